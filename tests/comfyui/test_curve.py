"""The CURVE input: a socket on every host, and what may come through it."""

from __future__ import annotations

import math

import pytest

NODES = ("DetourMidBlockBypass", "DetourPromptFade", "DetourBypassSweep", "DetourPlotSchedule")
RAMP = [[0.0, 0.0], [1.0, 1.0]]


class Drawn:
    """What a Curve Editor gives: an object with `interp`."""

    def __init__(self, height):
        self.interp = height


@pytest.fixture
def read(lab):
    """`read_schedule` for the shape ramp_down and a curve."""
    inputs = lab.pack("nodes.schedule_inputs")
    return lambda curve: inputs.read_schedule(0.5, "ramp_down", 0, 1, "sigma", "0:1", curve)


@pytest.mark.parametrize("name", NODES)
def test_the_page_gets_a_socket_and_no_editor(lab, name):
    """Newer hosts draw an editor for this type, which always sends its ramp, unless told so."""
    info = lab.node(name).GET_NODE_INFO_V1()
    kind, options = info["input"]["optional"]["curve"]
    assert kind == "CURVE" and options["forceInput"] is True
    assert "default" not in options and not options.get("socketless")
    order = info["input_order"]["optional"]
    assert set(order[order.index("curve") + 1 :]) <= {"ways", "blocks"}


def test_a_curve_wins_over_shape_and_points(read):
    schedule = read(Drawn(lambda u: u * u))
    assert schedule.shape == "curve"
    for progress in (0.0, 0.25, 0.5, 1.0):
        assert schedule.lam(progress) == pytest.approx(0.5 * progress**2, abs=1e-4)


def test_a_smooth_curve_a_hair_above_1_is_taken(read):
    above = math.nextafter(1.0, 2.0)
    assert read(Drawn(lambda _: above)).lam(0.3) == 0.5


@pytest.mark.parametrize("interpolation", ["linear", "monotone_cubic"])
def test_the_hosts_own_curves_are_taken(read, interpolation):
    inputs = pytest.importorskip("comfy_api.input")
    if not hasattr(inputs, "CurveInput"):
        pytest.skip("This ComfyUI has no Curve Editor.")
    points = [[0.0, 1.0], [0.3, 1.0], [0.7, 0.2], [1.0, 0.2]]
    curve = inputs.CurveInput.from_raw({"points": points, "interpolation": interpolation})
    schedule = read(curve)
    for index in range(101):
        expected = 0.5 * curve.interp(index / 100)
        assert schedule.lam(index / 100) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    "sent", [None, RAMP, {"points": RAMP, "interpolation": "monotone_cubic"}, {"points": RAMP}]
)
def test_an_editor_that_nobody_drew_in_never_overrides_the_shape(read, sent):
    """In prompts that were saved while newer hosts drew their editor inside the node."""
    assert read(sent) == read(None)
    assert read(sent).shape == "ramp_down"


@pytest.mark.parametrize(
    "sent",
    [
        {"points": [[0, 1], [1, 0]], "interpolation": "linear"},
        {"points": None},
        {},
        [],
        [[0.0, 1.0], [1.0, 0.0]],
        "0:1, 1:0",
        0.5,
        object(),
    ],
    ids=lambda sent: type(sent).__name__,
)
def test_what_is_no_curve_is_refused_by_a_sentence(read, sent):
    with pytest.raises(ValueError, match="which is no curve: connect a Curve Editor") as refusal:
        read(sent)
    assert type(sent).__name__ in str(refusal.value) and "'points'" in str(refusal.value)
    assert len(str(refusal.value)) < 600 and "\n" not in str(refusal.value)


@pytest.mark.parametrize("height", [math.nan, 2.0, -1.5])
def test_a_curve_that_leaves_the_range_is_refused(read, height):
    with pytest.raises(ValueError, match="The value v of a point is"):
        read(Drawn(lambda _: height))


def test_every_dial_reads_it(lab):
    model = lab.tiny("small")
    flat = Drawn(lambda _: 0.0)
    (patched,) = lab.run_node("DetourMidBlockBypass", model=model, strength=1.0, curve=flat)
    models, _ = lab.run_node("DetourBypassSweep", model=model, strengths="1", curve=flat)
    (plot,) = lab.run_node("DetourPlotSchedule", curve=flat)
    (constant,) = lab.run_node("DetourPlotSchedule")
    assert not (patched.wrappers or models[0].wrappers), "flat at 0 is off"
    assert not plot.equal(constant)
