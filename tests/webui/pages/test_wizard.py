"""The page "Mend by pointing" in the two Gradio generations, driven in a real Chromium."""

from __future__ import annotations

import pytest
from gradio_app import keep_screenshot
from tab_probes import OWN

from demo.probe_faces import probe_faces
from detour.classifier.load import load_classifier
from detour.report.cards import COLUMNS, GAP, HIGH, SIDE, WIDE

LONG = 60_000
FACES, SEED = 48, 1


@pytest.fixture
def page(wizard):
    return wizard


def wait_for(page, told: str) -> str:
    """Wait until `told` stands in the message; the whole message."""
    page.wait_for_function(
        "told => document.querySelector('#detour_wizard_message textarea').value.includes(told)",
        arg=told,
        timeout=LONG,
    )
    return page.input_value("#detour_wizard_message textarea")


def press(page, name: str, told: str) -> str:
    button = page.locator(f"#detour_wizard_{name}")
    button.wait_for(state="visible")
    button.evaluate("button => button.click()")
    return wait_for(page, told)


def sheet(page, name: str):
    """A sheet that has been drawn."""
    found = page.locator(f"#detour_wizard_{name} img")
    found.wait_for(state="visible", timeout=LONG)
    page.wait_for_function(
        "name => document.querySelector(`#detour_wizard_${name} img`).naturalWidth > 0", arg=name
    )
    return found


def click(page, number: int, told: str) -> None:
    """Click the middle of a picture of the sheet, wherever the page has put that."""
    before = sheet(page, "before")
    place = before.evaluate(
        """(image, [x, y]) => {
            const box = image.getBoundingClientRect();
            const [wide, high] = [image.naturalWidth, image.naturalHeight];
            const share = Math.min(box.width / wide, box.height / high);
            const left = (box.width - share * wide) / 2;
            const top = (box.height - share * high) / 2;
            return { x: left + share * x, y: top + share * y };
        }""",
        [
            GAP + (number % COLUMNS) * WIDE + SIDE / 2,
            GAP + (number // COLUMNS) * HIGH + SIDE / 2,
        ],
    )
    before.click(position=place)
    wait_for(page, told)


def wrong_ones(classifier) -> list[int]:
    """Which of the people, as the page orders them, are called by the other job."""
    faces = probe_faces(FACES, SEED)
    order = sorted(range(FACES), key=lambda number: (7 * number) % FACES)
    called = classifier.logits(faces.pictures).argmax(dim=1).tolist()
    return [
        place for place, n in enumerate(order) if classifier.labels[called[n]] != faces.classes[n]
    ]


def test_a_newcomer_mends_the_tiny_classifier(web, page):
    assert press(page, "mend", "There are no pictures yet").count("\n") == 0
    press(page, "faces", "48 people")
    keep_screenshot(page, f"wizard-{web['version']}-faces")
    press(page, "mend", "All pictures are labelled 'right'")
    wrong = wrong_ones(load_classifier(OWN))
    for count, number in enumerate(wrong[:5], 1):
        click(page, number, f"{count} wrong, {FACES - count} right.")
    click(page, wrong[4], f"4 wrong, {FACES - 4} right.")  # the same one, right after
    numbers = ", ".join(str(number + 1) for number in wrong)
    box = page.locator("#detour_wizard_marks textarea, #detour_wizard_marks input")
    assert box.input_value() == ", ".join(str(number + 1) for number in wrong[:4])
    box.fill("99")
    box.press("Enter")
    wait_for(page, "there are 48 pictures")
    box.fill(numbers)
    box.press("Enter")
    wait_for(page, f"{len(wrong)} wrong, {FACES - len(wrong)} right.")
    page.fill("#detour_wizard_keep_right input[type=number]", "0.9")
    press(page, "mend", f"{len(wrong)} of {len(wrong)} wrong pictures and 0 of ")
    sheet(page, "after")
    report = page.locator("#detour_wizard_report textarea")
    assert "at least 90 % of the right pictures" in report.input_value()
    keep_screenshot(page, f"wizard-{web['version']}-mended", "#detour_tab")
    press(page, "save_edit", "Saved mended.edit.json in detour/edits.")
    assert (web["data"] / "detour" / "edits" / "mended.edit.json").stat().st_size < 10_000


def test_pictures_of_the_users_own_and_a_folder_that_leads_out(web, page):
    page.get_by_text("Or a classifier and pictures of yours", exact=True).click()
    box = page.locator("#detour_wizard_folder textarea, #detour_wizard_folder input")
    kept = page.input_value("#detour_wizard_marks textarea, #detour_wizard_marks input")
    box.fill("../../etc")
    press(page, "look", "'..'")
    assert page.input_value("#detour_wizard_marks textarea, #detour_wizard_marks input") == kept
    box.fill("2026-01-31")
    press(page, "look", "Click each of the 6 pictures")
    page.wait_for_function(
        "() => !document.querySelector('#detour_wizard_after img')?.offsetParent"
    )
    keep_screenshot(page, f"wizard-{web['version']}-folder")
