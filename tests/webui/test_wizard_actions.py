"""What the page "Mend by pointing" does, with the tiny classifier; no page is needed."""

from __future__ import annotations

import importlib

import pytest
import torch
from tab_probes import CLASSIFIER, host_with_data

from demo.probe_faces import probe_faces

PACKAGE = "detour_webui.extension"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A host with its data folder."""
    with host_with_data(tmp_path_factory.mktemp("data"), 80) as host:
        yield host


class Page:
    """A browser session, its buttons pressed from Python."""

    def __init__(self) -> None:
        self.work = importlib.import_module(f"{PACKAGE}.work")
        self.module = importlib.import_module(f"{PACKAGE}.wizard_actions")
        self.cards = importlib.import_module("detour_webui.detour.report.cards")
        self.session = self.work.TabSession()

    def do(self, name, *values, show=lambda share, what: None):
        return self.session.run(lambda: self.module.ACTIONS[name], values, show)

    def click(self, number: int):
        """Click the middle of a picture."""
        row, column = divmod(number, self.cards.COLUMNS)
        middle = self.cards.GAP + self.cards.SIDE / 2
        place = [middle + column * self.cards.WIDE, middle + row * self.cards.HIGH]
        return self.module.click(self.held, place)

    @property
    def held(self):
        return self.session.held

    def wrong_ones(self) -> list[int]:
        """The pictures that have not the job of their clothes."""
        faces = probe_faces(self.module.FACES, self.module.SEED)
        return [
            place
            for place, (picture, says) in enumerate(
                zip(self.held.sources, self.held.says, strict=True)
            )
            if faces.classes[_which(faces.pictures, picture)] != says
        ]


def _which(pictures, picture) -> int:
    return next(n for n, one in enumerate(pictures) if torch.equal(one, picture))


@pytest.fixture
def page(host):
    """The tiny classifier and its people."""
    made = Page()
    shown = made.do("try_faces")
    assert shown.message.startswith("48 people") and shown.after is None
    assert made.module.click(None, [1, 1]) is None
    return made


def test_clicked_pictures_are_mended_and_the_edit_is_saved(host, page):
    unedited = page.held.classifier.logits(probe_faces(40, 5).pictures)
    wrong = page.wrong_ones()
    for number in wrong:
        shown = page.click(number)
    assert shown.message.startswith(f"{len(wrong)} wrong, {48 - len(wrong)} right.")
    shown = page.do("mend")
    mended = {n for n in wrong if page.held.now[n] != page.held.says[n]}
    assert len(mended) >= 0.9 * len(wrong)
    assert shown.message.startswith(f"{len(mended)} of {len(wrong)} wrong pictures and ")
    assert "right ones" in shown.message and "broke (" in shown.message
    assert "at least 95 % of the right pictures" in shown.report
    assert "at least 80 % of the right pictures" in page.do("mend", 0.8).report
    assert shown.after.size == shown.before.size and shown.chart.width == 960
    assert torch.equal(page.held.classifier.logits(probe_faces(40, 5).pictures), unedited)
    page.click(wrong[0])  # taken back: the edit stays until Mend is pressed again
    assert page.held.mended is not None and len(page.held.wrong) == len(wrong) - 1
    shown = page.do("save_edit", "mine")
    assert "Saved mine.edit.json" in shown.message
    text = (host.data / "detour" / "edits" / "mine.edit.json").read_text(encoding="utf-8")
    assert "Mends pictures that were labelled wrong" in text
    assert "Saved mine.safetensors" in page.do("save_classifier", "mine").message
    other = Page()
    other.do("look", "mine.safetensors", "", None, "2026-01-31")
    assert len(other.held.sources) == 6
    (host.data / "models" / "image_classifiers" / "mine.safetensors").unlink()


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("mend", (), "All pictures"),
        ("mark", ("99",), "there are 48 pictures"),
        ("mark", ("first",), "'first'"),
        ("look", (None, "", None, "2026-01-31"), "No classifier was chosen"),
        ("look", (CLASSIFIER, "", None, ""), "nothing to classify"),
        ("look", (CLASSIFIER, "", None, "../etc"), "'..'"),
        ("look", (CLASSIFIER, "", None, "damaged/nurse/long hair"), "no pict"),
        ("look", (CLASSIFIER, "tall", None, "2026-01-31"), "There is no class 'tall'"),
        ("look", ("hostile.pt", "", None, "2026-01-31"), "was refused"),
        ("save_edit", ("x",), "nothing to save yet"),
        ("save_classifier", ("../x",), "nothing to save yet"),
    ],
)
def test_bad_input_is_one_sentence_and_no_click_is_lost(host, page, name, values, told):
    for number in range(48) if told.startswith("All") else (2, 5):
        page.click(number)
    before, wrong = page.held, set(page.held.wrong)
    shown = page.do(name, *values)
    assert told in shown.message and "\n" not in shown.message and "Traceback" not in shown.message
    assert page.held is before and page.held.wrong == wrong
    assert not hasattr(shown, "before") and not (host.data / "it_ran").exists()


def test_nothing_comes_before_pictures(host):
    for name, values in (("mend", ()), ("mark", ("1",)), ("save_edit", ("x",))):
        assert "There are no pictures yet." in Page().do(name, *values).message


def test_clicks_while_it_searches_are_kept_and_a_stop_keeps_nothing_else(page):
    for number in page.wrong_ones():
        page.click(number)
    many = len(page.held.wrong)

    def stop(share, what):
        if what == "Searching" and page.session.work is not None:
            page.click(page.wrong_ones()[0])
            page.session.stop()

    shown = page.do("mend", show=stop)
    assert shown.message == "Stopped: nothing of it was kept." and page.held.mended is None
    assert len(page.held.wrong) in (many, many - 1)


def test_a_click_is_at_the_picture_that_is_drawn_there(page):
    cards = page.cards
    drawn = cards.draw_cards([cards.Card(page.held.pictures[0])] * 8)
    middle = cards.SIDE / 2 + cards.GAP
    for number in range(8):
        row, column = divmod(number, cards.COLUMNS)
        x, y = middle + column * cards.WIDE, middle + row * cards.HIGH
        assert cards.card_at(8, x, y) == number and x < drawn.width and y < drawn.height
    assert cards.card_at(8, middle + 3 * cards.WIDE, middle + cards.HIGH) is None
    assert cards.card_at(8, drawn.width + 50, middle) is None
