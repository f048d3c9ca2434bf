"""The nodes around the dial: sweep, plot, demo model, and a CURVE from the host's editor."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch


class Curve:
    """Stands for the host's CURVE, which 0.3.75 does not have: all we use is `interp`."""

    def __init__(self, function: Callable[[float], float]) -> None:
        self.function = function
        self.places: list[float] = []

    def interp(self, u: float) -> float:
        """The height of the curve at a place of 0 to 1."""
        self.places.append(u)
        return self.function(u)


def test_sweep_gives_a_model_and_a_label_for_each_strength(lab):
    model = lab.tiny("small")
    models, labels = lab.run_node(
        "DetourBypassSweep", model=model, strengths="0, 0.25; 1\n-0.5", end_percent=0.5
    )
    assert labels == ["strength 0", "strength 0.25", "strength 1", "strength -0.5"]
    pictures = [lab.sample(patched) for patched in models]
    wanted = [
        lab.sample(lab.bypass(model, strength, end_percent=0.5))
        for strength in (0.0, 0.25, 1.0, -0.5)
    ]
    assert all(map(torch.equal, pictures, wanted))
    assert torch.equal(pictures[0], lab.sample(model))


def test_sweep_passes_every_input_on(lab):
    model = lab.tiny("small")
    inputs = {
        "shape": "curve",
        "points": "0:1, 1:0.5",
        "start_percent": 0.2,
        "end_percent": 0.9,
        "apply_to": "cond",
        "schedule_by": "step",
        "skip_compute": False,
    }
    models, _ = lab.run_node("DetourBypassSweep", model=model, strengths="0.6", **inputs)
    got = lab.sample(models[0], steps=6)
    assert torch.equal(got, lab.sample(lab.bypass(model, 0.6, **inputs), steps=6))


def test_sweep_over_ways_has_each_way_at_each_strength(lab, reliefs, fades):
    model, given = lab.tiny("small"), {"strengths": "0, 0.5", "end_percent": 0.6}
    models, labels = lab.run_node(
        "DetourBypassSweep", model=model, ways="relief, bypass, fade", **given
    )
    assert labels == ["without", "relief 0.5", "bypass 0.5", "fade 0.5"]
    plain, early = lab.sample(model), {"end_percent": 0.6}
    relief, bypass = reliefs.relief(model, 0.5, **early), lab.bypass(model, 0.5, **early)
    fade = fades.fade(model, 0.5, schedule_by="sigma", **early)
    wanted = [plain, *(lab.sample(way) for way in (relief, bypass, fade))]
    assert all(torch.equal(lab.sample(one), two) for one, two in zip(models, wanted, strict=True))
    for ways, told in (("bypas", "one of: bypass, relief, fade"), (" , ", "ways is empty")):
        with pytest.raises(ValueError, match=told):
            lab.run_node("DetourBypassSweep", model=model, ways=ways)


def test_curve_is_read_across_its_window_at_node_time(lab):
    curve = Curve(lambda u: math.sin(3 * u))
    patched = lab.bypass(lab.tiny("small"), 0.5, curve=curve, start_percent=0.2, end_percent=0.7)
    count = len(curve.places)
    assert count == 101
    assert curve.places == sorted(curve.places)
    assert (curve.places[0], curve.places[-1]) == (0.0, 1.0)
    (wrapper,) = next(iter(patched.wrappers[lab.WrappersMP.APPLY_MODEL].values()))
    schedule = wrapper.__self__.ways[0].schedule
    for u in (0.0, 0.01, 0.333, 0.5, 0.805, 0.999):
        lam = schedule.lam(0.2 + 0.5 * u)
        assert lam == pytest.approx(0.5 * math.sin(3 * u), abs=1e-4)
    assert schedule.lam(0.19) == schedule.lam(0.7) == 0.0
    lab.sample(patched)
    assert len(curve.places) == count, "the host's object must not be asked while sampling"


def test_curve_as_points_gives_the_same_picture(lab):
    model = lab.tiny("small")
    curve = Curve(lambda u: 1.0 if u < 0.5 else 0.5)
    got = lab.sample(lab.bypass(model, curve=curve))
    points = "0:1, 0.49:1, 0.5:0.5, 1:0.5"
    assert torch.equal(got, lab.sample(lab.bypass(model, shape="curve", points=points)))


@pytest.mark.parametrize("schedule_by", ["sigma", "step"])
def test_plot_is_one_picture(lab, schedule_by):
    model = lab.tiny("small")
    sigmas = lab.comfy.samplers.calculate_sigmas(model.model.model_sampling, "normal", 10)
    (bare,) = lab.run_node("DetourPlotSchedule", schedule_by=schedule_by)
    (marked,) = lab.run_node(
        "DetourPlotSchedule", schedule_by=schedule_by, model=model, sigmas=sigmas
    )
    for picture in (bare, marked):
        assert picture.shape == (1, 480, 960, 3)
        assert picture.dtype == torch.float32
        assert 0.0 <= picture.min() < picture.max() <= 1.0
    assert not torch.equal(bare, marked)


def test_demo_model_picks_the_word_and_the_empty_prompt(lab):
    words = lab.pack("nodes.demo").load_tiny("demo").words
    vocabulary = lab.pack("demo.words").VOCABULARY
    for word in ("", "nurse", "gardener"):
        _, positive, negative = lab.run_node("DetourDemoModel", prompt=word)
        place = vocabulary.index(word)
        assert torch.equal(positive[0][0], words[place : place + 1])
        assert torch.equal(negative[0][0], words[:1])
