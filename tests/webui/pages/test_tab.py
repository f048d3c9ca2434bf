"""The tab in the two Gradio generations of the hosts, driven in a real Chromium."""

from __future__ import annotations

import re

import pytest
from gradio_app import keep_screenshot, opened
from tab_probes import CLASSIFIER

LONG = 60_000
"""Milliseconds that a search may take on a busy machine."""
DRAWN = """() => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))"""


@pytest.fixture(scope="module")
def page(web, browser):
    with opened(browser, web["tab"], "#detour_wizard_faces") as page:
        unfold(page, "All tools")
        page.wait_for_selector("#detour_tab_load")
        yield page


def press(page, name: str, told: str) -> str:
    """Press a button, wait until `told` stands in the message; the whole message.

    Pressed where it is when the press arrives: sections that unfold and pictures that come in
    late move it on a busy machine, and a click at its old place would be lost.
    """
    button = page.locator(f"#detour_tab_{name}")
    button.wait_for(state="visible")
    button.evaluate("button => button.click()")
    return wait_for(page, told)


def wait_for(page, told: str) -> str:
    """Wait until `told` stands in the message; the whole message."""
    page.wait_for_function(
        "told => document.querySelector('#detour_tab_message textarea').value.includes(told)",
        arg=told,
        timeout=LONG,
    )
    page.evaluate(DRAWN)  # the other results come with the message
    return page.input_value("#detour_tab_message textarea")


def report(page) -> str:
    return page.input_value("#detour_tab_report textarea")


def write(page, name: str, text: str) -> None:
    page.fill(f"#detour_tab_{name} textarea, #detour_tab_{name} input[type=text]", text)


def slide(page, name: str, value: str) -> None:
    box = page.locator(f"#detour_tab_{name} input[type=number]")
    box.fill(value)
    box.press("Tab")


def unfold(page, title: str) -> None:
    page.get_by_text(title, exact=True).click()


def worst_groups(page) -> list[float]:
    """Worst-group accuracy in the report, before and after."""
    line = next(line for line in report(page).splitlines() if line.startswith("Worst-group"))
    return [float(number) for number in re.findall(r"([\d.]+) %", line)]


def test_the_tab_is_built_and_nothing_heavy_is_loaded_for_it(web):
    assert (web["title"], web["id"]) == ("Detour", "detour_tab")
    assert web["heavy"] == []


def test_from_the_classifier_to_the_edit(web, page):
    message = press(page, "neutralize", "No classifier")
    assert message == "No classifier is loaded: choose one under 1 and press Load."
    press(page, "load", f"Loaded {CLASSIFIER}: 2 classes.")
    assert "2 classes: nurse, builder" in report(page)
    write(page, "probes", "people")
    press(page, "read_probes", "Read 800 probe pictures in 4 groups.")
    page.wait_for_selector("#detour_tab_chart img")
    keep_screenshot(page, f"tab-{web['version']}-probes")
    before = page.get_attribute("#detour_tab_chart img", "src")
    press(page, "neutralize", "The classifier has 1 edit now.")
    was, now = worst_groups(page)
    assert now > was + 3
    page.wait_for_function(
        "before => document.querySelector('#detour_tab_chart img').getAttribute('src') != before",
        arg=before,
    )
    keep_screenshot(page, f"tab-{web['version']}-neutralized", "#detour_tab")


def test_the_degree_moves_without_a_new_search(web, page):
    # A click in its middle and nothing else: degree 0.
    page.locator("#detour_tab_degree input[type=range]").click()
    wait_for(page, "The last edit is at degree 0 now.")
    was, now = worst_groups(page)
    assert was == now
    slide(page, "degree", "1")
    press(page, "set_degree", "The last edit is at degree 1 now.")
    was, now = worst_groups(page)
    assert now > was + 3
    keep_screenshot(page, f"tab-{web['version']}-degree")


def test_an_edit_is_saved_and_applied_to_a_second_load(web, page):
    unfold(page, "7. Save and apply")
    press(page, "save_edit", "Saved edit.edit.json in detour/edits.")
    kept = worst_groups(page)
    press(page, "load", f"Loaded {CLASSIFIER}: 2 classes.")
    page.click("#detour_tab_edit_file input")
    page.locator("ul.options li", has_text="edit.edit.json").click()
    press(page, "apply_edit", "Applied edit.edit.json. The classifier has 1 edit now.")
    unfold(page, "6. Evaluate the groups")
    page.click("#detour_tab_part input")
    page.locator("ul.options li", has_text="report").click()
    press(page, "evaluate", "Worst-group accuracy: ")
    assert worst_groups(page) == kept
    press(page, "save_classifier", "Saved edited.safetensors in models/image_classifiers.")
    keep_screenshot(page, f"tab-{web['version']}-files")


def test_pictures_of_an_output_folder_and_dropped_ones_are_classified(web, page):
    unfold(page, "2. Classify pictures")
    write(page, "folder", "2026-01-31")
    press(page, "classify", "Classified 6 pictures with 1 edit on the classifier.")
    page.wait_for_selector("#detour_tab_gallery img")
    assert page.locator("#detour_tab_gallery .grid-container img").count() == 6
    keep_screenshot(page, f"tab-{web['version']}-classified")
    files = sorted((web["data"] / "outputs" / "2026-01-31").iterdir())[:2]
    page.set_input_files("#detour_tab_files input[type=file]", [str(file) for file in files])
    # A name stands there from the start; a link to a file, once it has arrived.
    page.wait_for_function(
        "many => document.querySelectorAll('#detour_tab_files .download a').length == many",
        arg=len(files),
    )
    press(page, "classify", "Classified 2 pictures")


def test_a_class_is_removed_and_the_edit_undone(web, page):
    unfold(page, "5. Remove a class")
    page.click("#detour_tab_remove input")
    page.locator("ul.options li", has_text="builder").click()
    press(page, "remove_button", "The classifier has 2 edits now.")
    assert "Removal of class 'builder'" in report(page)
    keep_screenshot(page, f"tab-{web['version']}-removed")
    press(page, "undo", "The classifier has 1 edit now.")


def test_what_cannot_be_is_one_sentence(web, page):
    write(page, "probes", "../../etc")
    message = press(page, "read_probes", "'..'")
    assert "\n" not in message and "Traceback" not in message
    page.click("#detour_tab_file input")
    page.locator("ul.options li", has_text="hostile.pt").click()
    press(page, "load", "was refused")
    assert not (web["data"] / "it_ran").exists()


def test_stop_ends_a_search_and_keeps_nothing(web, page):
    write(page, "probes", "people")
    press(page, "read_probes", "Read 800")
    (web["data"] / "held").touch()
    page.click("#detour_tab_neutralize")
    page.wait_for_selector("text=Searching", timeout=LONG)
    keep_screenshot(page, f"tab-{web['version']}-searching")
    press(page, "stop", "Stopped: nothing of it was kept.")
    (web["data"] / "held").unlink()
    page.click("#detour_tab_stop")
    page.wait_for_timeout(300)
    assert page.input_value("#detour_tab_message textarea").startswith("Stopped: ")
    press(page, "undo", "The classifier has 0 edits now.")  # the one that was there before


def test_another_browser_has_a_session_of_its_own(page, wizard):
    press(page, "undo", "There is no edit")
    unfold(wizard, "All tools")
    press(wizard, "neutralize", "No classifier is loaded")
    unfold(wizard, "Mend by pointing")
