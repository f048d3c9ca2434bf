"""The curve on the node: Python's numbers, drawn as the widgets change."""

from __future__ import annotations

import bisect
from typing import Any

import pytest

from detour.schedule import SHAPES, Schedule, parse_points

DIAL, SWEEP, PLOT = "DetourMidBlockBypass", "DetourBypassSweep", "DetourPlotSchedule"
RELIEF, FADE = "DetourGuidanceRelief", "DetourPromptFade"
PLACES = [index / 60 for index in range(61)]
NEAR = 0.012
"""Pixels and hundredths: how exactly a drawn curve can be read."""
JUMP = 0.004


def height(curve: list[list[float]], place: float) -> float:
    """The drawn strength at a progress, on straight lines between the corners."""
    after = bisect.bisect_right(curve, place, key=lambda corner: corner[0])
    after = min(max(after, 1), len(curve) - 1)
    (p0, s0), (p1, s1) = curve[after - 1], curve[after]
    return s0 if p1 == p0 else s0 + (s1 - s0) * (place - p0) / (p1 - p0)


def assert_drawn(curve: list[list[float]], schedule: Schedule) -> None:
    """The curve shows the schedule everywhere but within a pixel of a jump."""
    for place in PLACES:
        around = [schedule.lam(min(max(place + d, 0), 1)) for d in (-JUMP, 0, JUMP)]
        if max(around) - min(around) < 0.1:
            assert height(curve, place) == pytest.approx(around[1], abs=NEAR), place


def schedule_of(values: dict[str, Any]) -> Schedule:
    return Schedule(**{**values, "points": parse_points(values.get("points", ""))})


@pytest.mark.parametrize(
    "kind", [DIAL, RELIEF, pytest.param(PLOT, marks=pytest.mark.each_frontend)]
)
def test_values_change_the_curve(desk, kind):
    node = desk.build([["a", kind, 0, 0, {}]])["a"]
    assert_drawn(desk.drawn(node)["curves"][0], Schedule())
    for index, shape in enumerate(SHAPES):
        values = {
            "shape": shape,
            "strength": (1.0, -0.6, 0.4)[index % 3],
            "start_percent": (0.0, 0.2)[index % 2],
            "end_percent": (0.35, 0.8, 1.0)[index % 3],
            "points": "0:1, 0.25:0.5, 0.25:-0.5, 0.9:0.3",
        }
        desk.set(node, **values)
        drawn = desk.drawn(node)["curves"]
        assert len(drawn) == 1
        assert_drawn(drawn[0], schedule_of(values))


@pytest.mark.each_frontend
def test_a_sweep_draws_one_curve_for_each_strength(desk):
    node = desk.build([["a", SWEEP, 0, 0, {"shape": "bump"}]])["a"]
    desk.set(node, strengths="-0.5, 0, 1", end_percent=0.6)
    curves = desk.drawn(node)["curves"]
    assert len(curves) == 3
    for strength, curve in zip((-0.5, 0, 1), curves, strict=True):
        assert_drawn(curve, Schedule(strength, "bump", 0.0, 0.6))


@pytest.mark.each_frontend
def test_steps_are_marked_behind_other_nodes_too(desk):
    nodes = [
        ["dial", DIAL, 0, 0, {"end_percent": 0.5}],
        ["freeu", "FreeU_V2", 400, 0, {}],
        ["sampler", "KSampler", 760, 0, {"steps": 10, "scheduler": "normal"}],
    ]
    links = [
        ["dial", "MODEL", "freeu", "model"],
        ["freeu", "MODEL", "sampler", "model"],
    ]
    ids = desk.build(nodes, links)
    steps = desk.drawn(ids["dial"])["steps"]
    assert len(steps) == 10
    assert [active for _, _, active in steps] == [place < 0.5 for place, _, _ in steps]
    assert steps[0][0] == pytest.approx(0, abs=0.005)
    assert desk.words(ids["dial"]) == "Acts on steps 1 to 5 of 10."
    desk.set(ids["sampler"], denoise=0.4)
    told = desk.words(ids["dial"])
    assert told.startswith("Acts on none of the 10 steps: they lie at 0.6")
    assert told.endswith("the window at 0 to 0.5. Use schedule_by = step.")
    assert "missed" in desk.element(ids["dial"]).get_attribute("class")
    desk.set(ids["dial"], schedule_by="step")
    assert desk.words(ids["dial"]) == "Acts on steps 1 to 5 of 10."
    assert "missed" not in desk.element(ids["dial"]).get_attribute("class")
    places = [place for place, _, _ in desk.drawn(ids["dial"])["steps"]]
    assert places == pytest.approx([index / 10 for index in range(10)], abs=0.005)


@pytest.mark.each_frontend
def test_the_steps_of_a_turbo_model_are_named(desk):
    nodes = [
        ["dial", DIAL, 0, 0, {}],
        ["turbo", "SDTurboScheduler", 400, 0, {"steps": 4}],
        ["sampler", "SamplerCustom", 400, 300, {}],
    ]
    links = [
        ["dial", "MODEL", "turbo", "model"],
        ["dial", "MODEL", "sampler", "model"],
        ["turbo", "SIGMAS", "sampler", "sigmas"],
    ]
    dial = desk.build(nodes, links)["dial"]
    assert desk.words(dial) == "Acts on steps 1 to 3 of 4."
    desk.set(dial, end_percent=0.1, schedule_by="step")
    assert desk.words(dial) == "Acts on step 1 of 4."


@pytest.mark.each_frontend
def test_wrong_values_are_told_in_pythons_words(desk):
    node = desk.build([["a", DIAL, 0, 0, {}]])["a"]
    desk.set(node, start_percent=0.5)
    with pytest.raises(ValueError) as refused:
        Schedule(start_percent=0.5)
    assert desk.words(node) == str(refused.value)
    desk.set(node, start_percent=0.0)
    assert "0 to 0.3 of the noise schedule" in desk.words(node)
    desk.set(node, shape="curve", points="half")
    with pytest.raises(ValueError) as refused:
        parse_points("half")
    assert desk.words(node) == str(refused.value)


def test_the_numbers_under_the_pointer(desk):
    node = desk.build([["a", DIAL, 0, 0, {"shape": "ramp_down", "end_percent": 0.5}]])["a"]
    desk.hover(node, 0.25)
    assert desk.words(node) == "progress 0.25 · sigma 4.09 (SD) · strength 0.5"
    desk.page.mouse.move(5, 5)
    assert "0 to 0.5 of the noise schedule" in desk.words(node)


@pytest.mark.each_frontend
def test_the_numbers_by_keyboard(desk):
    node = desk.build([["a", DIAL, 0, 0, {}]])["a"]
    probe = desk.element(node).query_selector(".probe")
    probe.focus()
    for _ in range(3):
        desk.page.keyboard.press("Shift+ArrowRight")
    assert probe.get_attribute("aria-valuetext").startswith("progress 0.30")
    assert desk.words(node).startswith("progress 0.30")


@pytest.mark.each_frontend
def test_a_zoomed_canvas_reads_the_same(desk):
    node = desk.build([["a", DIAL, 0, 0, {"end_percent": 0.5}]])["a"]
    desk.camera(0.7, (200, 200))
    desk.hover(node, 0.25)
    assert desk.spot(node, 1)[0] - desk.spot(node, 0)[0] < 200
    assert desk.words(node).startswith("progress 0.25")
    desk.page.mouse.move(5, 5)


@pytest.mark.each_frontend
def test_nothing_of_the_preview_is_saved_or_queued(desk):
    """Nor is anything behind the fade's seed, which pages would roll anew after each run."""
    kinds = (DIAL, FADE, SWEEP, PLOT)
    nodes = [[kind, kind, index * 400, 0, {}] for index, kind in enumerate(kinds)]
    ids = desk.build(nodes)
    for node in desk.saved()["nodes"]:
        expected = {DIAL: 9, FADE: 8, SWEEP: 10, PLOT: 6}[node["type"]]
        assert len(node["widgets_values"]) == expected
    queued = desk.queued()
    assert all("detour" not in name for node in ids.values() for name in queued[node])


@pytest.mark.each_frontend
def test_a_preview_at_rest_rests(desk):
    node = desk.build([["a", DIAL, 0, 0, {}]])["a"]
    desk.page.wait_for_timeout(500)  # what came before has been drawn
    looks = desk.run(
        """async (id) => {
          const widget = app.graph.getNodeById(id).widgets.find((w) => w.name === "strength");
          const kept = Object.getOwnPropertyDescriptor(widget, "value");
          const plain = JSON.stringify;
          let [reads, value, written] = [0, widget.value, 0];
          const read = () => {
            reads += /schedule_preview/.test(new Error().stack);
            return value;
          };
          Object.defineProperty(widget, "value", {
            configurable: true, get: read, set: (given) => (value = given),
          });
          JSON.stringify = function (...given) {
            written += /schedule_preview/.test(new Error().stack);
            return plain.apply(this, given);
          };
          await new Promise((done) => setTimeout(done, 700));
          JSON.stringify = plain;
          if (kept) Object.defineProperty(widget, "value", kept);
          else delete widget.value;
          return [reads, written];
        }""",
        node,
    )
    assert 2 <= looks[0] <= 9, "a look every 120 ms or so, not at display rate"
    assert looks[1] == 0
    # And what a script changes meanwhile is drawn all the same.
    desk.run("(id) => { app.graph.getNodeById(id).widgets[0].value = 0; }", node)
    words = desk.element(node).query_selector("p")
    desk.page.wait_for_function("(p) => p.textContent.startsWith('Strength 0')", arg=words)
