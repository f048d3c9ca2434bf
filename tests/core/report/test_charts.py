"""The charts have the bars that the numbers say: looked at pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from detour.judge.compare import compare
from detour.report import bars, sheet
from detour.report import degree as chart
from detour.report.bars import AFTER, BEFORE, EDGE, TOP, Axis, Bar, Row, draw_bars, row_height
from detour.report.canvas import ACCENT, ACCENT_WASH, fitted, font
from detour.report.degree import draw_degree
from detour.report.edit import edit_picture
from detour.report.edit_charts import draw_gap, draw_ladder, draw_standings
from detour.report.groups import MOST, draw_group_bars
from detour.report.removal import draw_removal
from detour.report.sheet import Sheet, draw_sheet


def widths(picture, colour, top, height):
    """Longest run of a colour in the lines of one row, as a share of the axis."""
    runs = []
    for y in range(top, top + height):
        line = [picture.getpixel((x, y)) == colour for x in range(bars.LEFT, bars.RIGHT + 1)]
        runs.append(sum(line))
    return max(runs) / (bars.RIGHT - bars.LEFT)


@pytest.mark.parametrize("share", [0.0, 0.13, 0.5, 1.0])
def test_a_bar_is_as_long_as_its_value(share):
    row = Row("a", (Bar(share, BEFORE), Bar(1 - share, AFTER)), "")
    picture = draw_bars("title", [row], [])
    assert widths(picture, BEFORE, TOP, row_height(row)) == pytest.approx(share, abs=0.01)
    assert widths(picture, AFTER, TOP, row_height(row)) == pytest.approx(1 - share, abs=0.01)


def test_bars_below_zero_go_left():
    axis = Axis(-1, 1, (-1, 0, 1), percent=False)
    picture = draw_bars("title", [Row("a", (Bar(-0.5, AFTER),), "")], [], axis)
    middle = TOP + row_height(Row("a", (), "")) // 2
    assert picture.getpixel((round(axis.x(-0.25)), middle)) == AFTER
    assert picture.getpixel((round(axis.x(0.25)), middle)) != AFTER


def test_the_worst_group_alone_is_marked(neutralized):
    done = neutralized["worst_group"]
    picture = draw_group_bars(done.after, done.before)
    height = row_height(Row("", (Bar(0, AFTER), Bar(0, AFTER)), ""))
    for g in range(4):
        top = TOP + g * height
        marked = picture.getpixel((EDGE // 2 + 2, top + 3)) == ACCENT_WASH
        assert marked == (g == done.after.worst_group)
        long = done.after.accuracy[g]
        assert widths(picture, AFTER, top, height) == pytest.approx(long, abs=0.03)
        long = done.before.accuracy[g]
        assert widths(picture, BEFORE, top, height) == pytest.approx(long, abs=0.03)


def test_the_chosen_rung_is_marked(neutralized):
    done = neutralized["worst_group"]
    picture = draw_ladder(done.ladder)
    height = row_height(Row("", (Bar(0, AFTER), Bar(0, AFTER)), ""))
    for place, rung in enumerate(done.ladder.rungs):
        top = TOP + place * height
        marked = picture.getpixel((EDGE // 2 + 2, top + 3)) == ACCENT_WASH
        assert marked == (rung.name == done.ladder.chosen)
        found = widths(picture, BEFORE, top, height)
        assert found == pytest.approx(rung.report.mean, abs=0.02)


def test_another_degree_than_the_ladders_is_said(neutralized):
    ladder = neutralized["half"].ladder
    assert draw_ladder(ladder, None, 0.5).height > draw_ladder(ladder, None, 1.0).height


def test_an_edit_of_another_method_is_a_row_of_its_own(neutralized):
    ladder = neutralized["evidence"].ladder
    bare = draw_ladder(ladder)
    other = draw_ladder(ladder, ("evidence", 2, neutralized["evidence"].after))
    assert other.height > bare.height
    assert other.getpixel((EDGE // 2 + 2, bare.height - bars.BOTTOM + 3)) == ACCENT_WASH


@pytest.mark.parametrize("degree", [0.0, 0.7, 2.0])
def test_the_chosen_degree_is_a_line(neutralized, degree):
    picture = draw_degree(neutralized["worst_group"].curve, degree)
    x = chart.LEFT + degree / 2 * (bars.WIDTH - chart.LEFT - chart.RIGHT)
    column = [picture.getpixel((round(x), y)) for y in range(chart.TOP, chart.HEIGHT)]
    assert column.count(ACCENT) > 0.8 * (chart.HEIGHT - chart.TOP - chart.BOTTOM)


def test_a_degree_beyond_the_curve_is_no_line(neutralized):
    picture = draw_degree(neutralized["worst_group"].curve, 3.0)
    column = [picture.getpixel((x, 300)) for x in range(bars.WIDTH)]
    assert ACCENT not in column


@pytest.mark.parametrize("gap", [(7.1, -0.5), (0.0, 0.0), (-3.0, 0.2), (1e-4, 120.0)])
def test_gap_bars_meet_zero(gap):
    picture = draw_gap(*gap, "carton", "watermark")
    assert picture.width == bars.WIDTH
    blue = int((np.asarray(picture) == AFTER).all(axis=-1).sum())
    assert (blue > 40) == (abs(gap[1]) > 0.1)


def test_standings_show_three_heads_and_how_far_units_differ(neutralized):
    found = neutralized["places"].standings
    picture = draw_standings(found, "carton", "watermark")
    assert picture.size == (
        bars.WIDTH,
        bars.TOP + 3 * row_height(Row("", (), "")) + bars.BOTTOM + 34,
    )
    wide = draw_standings([replace(one, high=one.high + 5) for one in found], "carton", "watermark")
    assert np.asarray(wide).tobytes() != np.asarray(picture).tobytes()


def test_removal_shows_the_rival_beside_the_edit(without_class):
    done = without_class["ten"]
    picture = draw_removal(done)
    height = row_height(Row("", (Bar(0, AFTER),) * 3, ""))
    first = widths(picture, BEFORE, TOP, height)
    assert first == pytest.approx(done.unseen_before / done.sizes[2], abs=0.06)
    kept = next(rate for rate in done.rates if rate.bias_only / rate.count > 0.3)
    top = TOP + (1 + done.rates.index(kept)) * height
    share = kept.bias_only / kept.count
    assert widths(picture, ACCENT, top, height) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("classes", [2, 10, 40])
def test_many_groups_stay_one_picture(probes_of, empty_stack, classes):
    probes = probes_of(400, c=classes)
    done = compare(probes, empty_stack(probes))
    picture = draw_group_bars(done.after)
    assert picture.width == bars.WIDTH
    rows = min(2 * classes, MOST)
    assert picture.height >= TOP + rows * row_height(Row("", (), "")) + bars.BOTTOM
    assert picture.height < 60 * (rows + 4)


@pytest.mark.parametrize("case", ["worst_group", "evidence", "paired", "few", "half", "bare"])
def test_every_result_has_a_picture(neutralized, case):
    done = neutralized[case]
    picture = edit_picture(
        done, "a feature with a name that is far too long for any heading at all"
    )
    assert picture.width == bars.WIDTH
    assert picture.height > (400 if done.after is not None else 200)


def test_long_names_keep_both_ends():
    letters = font(21)
    short = fitted(letters, "a class with a very long name, with glasses", 200)
    assert letters.getlength(short) <= 200
    assert short.startswith("a class") and short.endswith("glasses")
    assert fitted(letters, "short", 200) == "short"
    assert fitted(letters, "wide", 1) == "…"


def test_as_many_letters_as_fit_are_kept():
    letters, text = font(21), "with and without the suspect feature"
    for width in range(20, 300, 7):
        kept = len(fitted(letters, text, width)) - 1
        longer = text[: kept + 1 - (kept + 1) // 2] + "…" + text[len(text) - (kept + 1) // 2 :]
        assert letters.getlength(longer) > width


def test_endless_names_cost_neither_time_nor_room():
    name, picture = "x" * 200_000, Image.new("RGB", (8, 8))
    asked = 0

    class Counting:
        def getlength(self, text):
            nonlocal asked
            asked += 1
            return 10.0 * len(text)

    assert len(fitted(Counting(), name, 200)) == 20
    assert asked < 30
    assert draw_sheet(Sheet([[picture]], [name], [name])).width < 1000


def test_a_sheet_of_very_many_pictures_is_drawn_small_and_the_rest_counted(monkeypatch):
    monkeypatch.setattr(sheet, "MOST_PIXELS", 400_000)
    picture = Image.new("RGB", (200, 100), (255, 0, 0))

    def drawn(rows):
        return draw_sheet(Sheet([[picture] * 4] * rows))

    assert drawn(4).size == (4 * 206 + 6, 4 * 106 + 6)
    for rows in (40, 4000, 100_000):
        made = drawn(rows)
        assert made.width * made.height < 500_000
    few, many = drawn(40), drawn(100_000)
    assert np.asarray(few)[-20:].min() == 0  # pictures to the end
    foot = np.asarray(many)[-12:]
    assert not (foot == (255, 0, 0)).all(axis=2).any() and foot.min() < 100  # words in its place


def test_the_line_below_a_sheet_is_drawn():
    sheet = Sheet([[Image.new("RGB", (96, 96))]])
    told = replace(sheet, told="and 3 more groups")
    assert draw_sheet(told).height > draw_sheet(sheet).height
