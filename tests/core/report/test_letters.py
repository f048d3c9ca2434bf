"""Pictures where Pillow (before 10.1) has letters in one small size only."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from detour.progress import SigmaTable, stable_diffusion_sigmas
from detour.report import canvas as drawing
from detour.report.canvas import BitmapLetters, fitted, font
from detour.report.schedule import RIGHT, SIZE, draw_schedule
from detour.schedule import Schedule


@pytest.fixture
def old_pillow(monkeypatch):
    """Pillow's letters as they were: no size can be asked for. The system has none either."""
    small = ImageFont.load_default_imagefont()
    monkeypatch.setattr(ImageFont, "load_default", lambda: small)
    monkeypatch.setattr(drawing, "_system_font", lambda name: None)
    return small


def test_letters_of_the_system_come_before_small_ones(old_pillow, monkeypatch):
    asked = []

    def truetype(name):  # stands for a system that has one of them only
        asked.append(name)
        if name != drawing.SYSTEM_FONTS[1]:
            raise OSError("cannot open resource")
        return FreeType()

    class FreeType:
        def font_variant(self, size):
            return f"letters of {size}"

    monkeypatch.undo()
    monkeypatch.setattr(ImageFont, "load_default", lambda: old_pillow)
    monkeypatch.setattr(ImageFont, "truetype", truetype)
    drawing._system_font.cache_clear()
    try:
        assert font(22) == "letters of 22" and font(9) == "letters of 9"
        assert tuple(asked) == drawing.SYSTEM_FONTS[:2]  # each is looked for once
    finally:
        drawing._system_font.cache_clear()


def ink(letters, text, anchor):
    """Columns and rows of the first and last drawn pixel, seen from the anchored point."""
    canvas = Image.new("L", (400, 100))
    ImageDraw.Draw(canvas).text((200, 50), text, 255, letters, anchor=anchor)
    left, top, right, bottom = canvas.getbbox()
    return left - 200, top - 50, right - 200, bottom - 50


def test_letters_grow_with_the_size_that_is_asked_for(old_pillow):
    assert isinstance(font(22), BitmapLetters)
    small, large = ink(font(11), "finished", "la"), ink(font(33), "finished", "la")
    assert large[3] - large[1] > 2.4 * (small[3] - small[1])
    assert font(33).getlength("finished") == 3 * old_pillow.getlength("finished")


def test_anchors_are_kept(old_pillow):
    letters = font(22)
    left, right, middle = (ink(letters, "hhhh", f"{side}a") for side in "lrm")
    assert left[0] >= 0 and right[2] <= 0
    assert middle[0] == pytest.approx(-middle[2], abs=3)
    top, centre, bottom = (ink(letters, "hhhh", f"l{side}") for side in "amd")
    assert top[1] >= 0 and bottom[3] <= 0 and centre[1] < 0 < centre[3]


def test_names_in_other_letters_are_drawn(old_pillow):
    assert ink(font(20), "日本…é", "la")[2] > 0
    assert fitted(font(20), "with and without", 80).count("…") == 1


def test_the_schedule_keeps_its_margin_and_its_words(old_pillow):
    table = SigmaTable(stable_diffusion_sigmas())
    picture = np.asarray(draw_schedule(Schedule(), table).convert("L"))
    foot = picture[SIZE[1] - 34 : SIZE[1] - 6]
    drawn = np.flatnonzero((foot < 128).any(axis=0))
    assert drawn.max() < SIZE[0] - RIGHT + 2
    rows = np.flatnonzero((foot[:, SIZE[0] - RIGHT - 150 :] < 128).any(axis=1))
    assert rows.max() - rows.min() >= 11  # "finished picture", with f and p


def test_newer_pillow_draws_its_own_letters():
    assert type(font(16)) is ImageFont.FreeTypeFont


def test_what_pillows_own_letters_lack_is_drawn_in_letters_of_the_system(monkeypatch):
    greek = ImageFont.load_default(10)  # stands for a system font: it "has" every letter

    class Complete:
        def getmask(self, text):
            return b"none" if text == drawing.NO_CHARACTER else text.encode()

        def font_variant(self, size):
            return self

    complete = Complete()
    monkeypatch.setattr(
        drawing, "_system_font", {"DejaVuSans.ttf": greek, "wqy-microhei.ttc": complete}.get
    )
    assert font(20, "Krankenschw\u00e4ster, \u5973 \u62a4 \u58eb") is complete
    assert font(20, "nurse") != complete
    monkeypatch.setattr(drawing, "_system_font", lambda name: None)
    assert font(20, "\u62a4").size == 20  # nothing better is there: boxes, no error
