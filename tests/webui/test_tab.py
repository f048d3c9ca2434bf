"""The tab in the two Gradio generations of the hosts, driven in a real Chromium; its routes
over HTTP from the same server."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from gradio_app import GENERATIONS, keep_screenshot, only_local, opened, served
from tab_probes import CLASSIFIER, write_data

APP = Path(__file__).with_name("tab_app.py")
NAME, PASSWORD = "someone", "a:secret"
LONG = 60_000
"""Milliseconds that a search may take on a busy machine."""


@pytest.fixture(scope="module", params=GENERATIONS)
def tab(request, tmp_path_factory):
    """The page of one generation: its address, what it said, its data folder."""
    data = tmp_path_factory.mktemp(request.param)
    write_data(data)
    with served(request.param, APP, str(data)) as told:
        yield {**told, "data": data}


@pytest.fixture(scope="module")
def page(tab):
    with opened(tab["url"], "#detour_tab_load") as page:
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
    page.wait_for_timeout(150)  # the other results come with the message; the page draws them
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


def test_the_tab_is_built_and_nothing_heavy_is_loaded_for_it(tab):
    assert (tab["title"], tab["id"]) == ("Detour", "detour_tab")
    assert tab["heavy"] == []


def test_from_the_classifier_to_the_edit(tab, page):
    message = press(page, "neutralize", "No classifier")
    assert message == "No classifier is loaded: choose one under 1 and press Load."
    press(page, "load", f"Loaded {CLASSIFIER}: 2 classes.")
    assert "2 classes: low, high" in report(page)
    write(page, "probes", "digits")
    press(page, "read_probes", "Read 800 probe pictures in 4 groups.")
    page.wait_for_selector("#detour_tab_chart img")
    keep_screenshot(page, f"tab-{tab['version']}-probes")
    before = page.get_attribute("#detour_tab_chart img", "src")
    press(page, "neutralize", "The classifier has 1 edit now.")
    was, now = worst_groups(page)
    assert now > was + 3
    page.wait_for_function(
        "before => document.querySelector('#detour_tab_chart img').getAttribute('src') != before",
        arg=before,
    )
    keep_screenshot(page, f"tab-{tab['version']}-neutralized")


def test_the_degree_moves_without_a_new_search(tab, page):
    # A click in its middle and nothing else: degree 0.
    page.locator("#detour_tab_degree input[type=range]").click()
    wait_for(page, "The last edit is at degree 0 now.")
    was, now = worst_groups(page)
    assert was == now
    slide(page, "degree", "1")
    press(page, "set_degree", "The last edit is at degree 1 now.")
    was, now = worst_groups(page)
    assert now > was + 3
    keep_screenshot(page, f"tab-{tab['version']}-degree")


def test_an_edit_is_saved_and_applied_to_a_second_load(tab, page):
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
    keep_screenshot(page, f"tab-{tab['version']}-files")


def test_pictures_of_an_output_folder_and_dropped_ones_are_classified(tab, page):
    unfold(page, "2. Classify pictures")
    write(page, "folder", "2026-01-31")
    press(page, "classify", "Classified 6 pictures with 1 edit on the classifier.")
    page.wait_for_selector("#detour_tab_gallery img")
    assert page.locator("#detour_tab_gallery .grid-container img").count() == 6
    keep_screenshot(page, f"tab-{tab['version']}-classified")
    files = sorted((tab["data"] / "outputs" / "2026-01-31").iterdir())[:2]
    page.set_input_files("#detour_tab_files input[type=file]", [str(file) for file in files])
    # A name stands there from the start; a link to a file, once it has arrived.
    page.wait_for_function(
        "many => document.querySelectorAll('#detour_tab_files .download a').length == many",
        arg=len(files),
    )
    press(page, "classify", "Classified 2 pictures")


def test_a_class_is_removed_and_the_edit_undone(tab, page):
    unfold(page, "5. Remove a class")
    page.click("#detour_tab_remove input")
    page.locator("ul.options li", has_text="high").click()
    press(page, "remove_button", "The classifier has 2 edits now.")
    assert "Removal of class 'high'" in report(page)
    keep_screenshot(page, f"tab-{tab['version']}-removed")
    press(page, "undo", "The classifier has 1 edit now.")


def test_what_cannot_be_is_one_sentence(tab, page):
    write(page, "probes", "../../etc")
    message = press(page, "read_probes", "'..'")
    assert "\n" not in message and "Traceback" not in message
    write(page, "probes", "only_red")
    press(page, "read_probes", "2 groups")
    message = press(page, "neutralize", "attribute")
    assert "\n" not in message
    page.click("#detour_tab_file input")
    page.locator("ul.options li", has_text="hostile.pt").click()
    press(page, "load", "was refused")
    assert not (tab["data"] / "it_ran").exists()


def test_stop_ends_a_search_and_keeps_nothing(tab, page):
    write(page, "probes", "digits")
    press(page, "read_probes", "Read 800")
    (tab["data"] / "slow").touch()
    page.click("#detour_tab_neutralize")
    page.wait_for_selector("text=Searching", timeout=LONG)
    keep_screenshot(page, f"tab-{tab['version']}-searching")
    press(page, "stop", "Stopped: nothing of it was kept.")
    (tab["data"] / "slow").unlink()
    page.click("#detour_tab_stop")
    page.wait_for_timeout(300)
    assert page.input_value("#detour_tab_message textarea").startswith("Stopped: ")
    press(page, "undo", "The classifier has 0 edits now.")  # the one that was there before


def test_another_browser_has_a_session_of_its_own(tab, page):
    other = page.context.browser.new_page()
    other.route("**/*", only_local)
    other.goto(tab["url"])
    press(other, "neutralize", "No classifier is loaded")
    other.close()


def ask(tab, path: str, body: dict | None = None, known: bool = True) -> tuple[int, dict]:
    """Status and JSON of a route; GET without a body."""
    request = urllib.request.Request(f"{tab['url'].rstrip('/')}/detour/v1/{path}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if known:
        words = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {words}")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def pictures(tab) -> list[str]:
    files = sorted((tab["data"] / "outputs" / "2026-01-31").iterdir())
    return [base64.b64encode(file.read_bytes()).decode() for file in files]


def test_routes_are_behind_the_hosts_password(tab):
    assert ask(tab, "classifiers", known=False)[0] == 401
    for path in ("classify", "apply-edit", "neutralize"):
        assert ask(tab, path, {}, known=False)[0] == 401
    status, told = ask(tab, "classifiers")
    assert status == 200 and CLASSIFIER in told["classifiers"]


def test_the_route_classifies_as_the_page_does(tab):
    sent = pictures(tab)
    sent[1] = f"data:image/png;base64,{sent[1]}"
    status, told = ask(tab, "classify", {"classifier": CLASSIFIER, "images": sent, "top_k": 1})
    assert status == 200 and told["labels"] == ["low", "high"]
    assert len(told["predictions"]) == 6
    assert {one["label"] for one in told["predictions"]} <= {"low", "high"}


def test_the_route_applies_an_edit_and_saves_the_classifier(tab):
    edits = tab["data"] / "detour" / "edits"
    edits.mkdir(parents=True, exist_ok=True)
    (edits / "route.edit.json").write_text(one_bias(0.5), encoding="utf-8")
    asked = {"classifier": CLASSIFIER, "edit": "route.edit.json"}
    status, told = ask(tab, "apply-edit", {**asked, "save_as": "by_route"})
    assert status == 200 and told["saved_as"] == "by_route.safetensors"
    (change,) = told["changed"]
    assert (change["row"], change["column"], change["to"]) == (1, None, 0.5)
    images = pictures(tab)
    edited = ask(tab, "classify", {**asked, "images": images})
    saved = ask(tab, "classify", {"classifier": told["saved_as"], "images": images})
    assert edited[1]["predictions"] == saved[1]["predictions"]
    plain = ask(tab, "classify", {**asked, "degree": 0, "images": images})
    assert plain[1]["predictions"] != saved[1]["predictions"]


def test_the_route_neutralizes_and_its_edit_applies(tab):
    asked = {"classifier": CLASSIFIER, "probes": "digits", "size": "one_weight_bias"}
    status, told = ask(tab, "neutralize", {**asked, "save_as": "found_by_route"})
    assert status == 200 and told["saved_as"] == "found_by_route.edit.json"
    (edit,), numbers = told["edit"]["edits"], told["numbers"]
    after = numbers["after"]["worst_group_accuracy"]
    assert after > numbers["before"]["worst_group_accuracy"] + 0.1
    assert f"{100 * after:.1f} %" in told["report"]
    status, applied = ask(
        tab, "apply-edit", {"classifier": CLASSIFIER, "edit": "found_by_route.edit.json"}
    )
    assert status == 200
    cells = {(cell["row"], cell["column"]): cell["new"] for cell in edit["cells"]}
    assert {(one["row"], one["column"]): one["to"] for one in applied["changed"]} == cells


def one_bias(value: float) -> str:
    """An edit file for the demo's classifier: the bias of class 1 becomes `value`."""
    from detour.classifier.load import load_classifier
    from detour.edit.file import to_json
    from detour.edit.record import Cell, Edit, new_stack

    root = Path(__file__).resolve().parents[2]
    made = load_classifier(root / "demo" / "classifiers" / CLASSIFIER)
    cell = Cell(1, None, float(made.bias[1]), value)
    return json.dumps(to_json(new_stack(made.weight, made.bias).push(Edit((cell,)))))


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("classify", {"classifier": "../x.safetensors", "images": ["AA=="]}, 400, "'..'"),
        ("classify", {"classifier": "none.safetensors", "images": ["AA=="]}, 404, "not found"),
        ("classify", {"classifier": "hostile.pt", "images": "PICTURES"}, 400, "was refused"),
        ("classify", {"classifier": CLASSIFIER, "images": []}, 400, "send 1 to"),
        ("classify", {"classifier": CLASSIFIER, "images": ["#"]}, 400, "images[0] is not base64"),
        ("classify", {"classifier": CLASSIFIER, "images": ["AA=="]}, 400, "images[0] is no pict"),
        ("classify", {"classifier": CLASSIFIER, "images": ["AA=="], "top_k": 0}, 422, "top_k"),
        ("apply-edit", {"classifier": CLASSIFIER, "edit": "../x.edit.json"}, 400, "'..'"),
        ("apply-edit", {"classifier": CLASSIFIER, "edit": "no.edit.json"}, 404, "not found"),
        ("apply-edit", {"classifier": CLASSIFIER, "edit": ""}, 422, "edit"),
        ("apply-edit", {"classifier": CLASSIFIER, "edit": "x", "degree": 5}, 422, "degree"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "../../etc"}, 400, "'..'"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "nowhere"}, 404, "not found"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "digits", "size": "9"}, 422, "size"),
        (
            "neutralize",
            {"classifier": CLASSIFIER, "probes": "digits", "method": "x"},
            422,
            "method",
        ),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "only_red"}, 400, "attribute"),
    ],
)
def test_routes_refuse_in_one_sentence(tab, path, body, status, told):
    if body["classifier"] == "hostile.pt":
        body = {**body, "images": pictures(tab)}
    found, answer = ask(tab, path, body)
    assert found == status and told in json.dumps(answer["detail"], ensure_ascii=False)
    assert not (tab["data"] / "it_ran").exists()
