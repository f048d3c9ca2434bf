"""The CURVE socket: never the host's editor inside a node, and a linked Curve Editor counts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from .test_preview import DIAL, PLOT, SWEEP

SAVED = Path(__file__).parents[1] / "golden" / "saved"
"""Workflows of before the socket: `with_editor` from a host that drew its editor inside the node,
`without_curve` from one that does not know the type. Otherwise they are the same."""
DRAWN = {"shape": "bump", "start_percent": 0.1, "end_percent": 0.9, "schedule_by": "step"}
VALUES = {
    DIAL: {
        **{"strength": -0.25, **DRAWN, "apply_to": "cond", "skip_compute": False},
        "blocks": "auto",
    },
    SWEEP: {
        **{"strengths": "0, 1", **DRAWN, "apply_to": "uncond", "skip_compute": True},
        "ways": "bypass",
        "blocks": "auto",
    },
    PLOT: {"strength": 0.75, **DRAWN},
}
POINTS = "0:0.5, 1:-1"
LINKED = {(DIAL, "strength"): "PrimitiveFloat", (PLOT, "end_percent"): "PrimitiveFloat"}
LINKED |= {(PLOT, "sigmas"): "BasicScheduler"}


def ids_by_type(desk) -> dict[str, str]:
    return desk.run("Object.fromEntries(app.graph.nodes.map((n) => [n.type, String(n.id)]))")


def with_curve_editor(desk) -> None:
    """Skip where there is no such node: hosts before 0.19 with their own frontend."""
    if not desk.run("'CurveEditor' in LiteGraph.registered_node_types"):
        pytest.skip("This ComfyUI has no Curve Editor.")


@pytest.mark.each_frontend
@pytest.mark.parametrize("kind", [DIAL, SWEEP, PLOT])
def test_the_curve_is_a_socket_and_nothing_is_sent_through_it(desk, kind):
    node = desk.build([["a", kind, 0, 0, {}]])["a"]
    names = desk.run("app.graph.nodes[0].widgets.map((widget) => widget.name)")
    assert "curve" not in names and "points" in names
    slots = desk.run("app.graph.nodes[0].inputs.map(({ name, widget }) => [name, !!widget])")
    assert ["curve", False] in slots
    assert "curve" not in desk.queued()[node]
    assert len(desk.saved()["nodes"][0]["widgets_values"]) == len(VALUES[kind]) + 1


@pytest.mark.each_frontend
@pytest.mark.parametrize("name", ["with_editor", "without_curve"])
def test_a_workflow_of_any_host_opens_with_every_value_in_its_place(desk, name):
    desk.reload(json.loads((SAVED / f"{name}.json").read_text(encoding="utf-8")))
    ids = ids_by_type(desk)
    queued = desk.queued()
    for kind, values in VALUES.items():
        found = {value: desk.value(ids[kind], value) for value in [*values, "points"]}
        assert found == {**values, "points": POINTS}
        assert "curve" not in queued[ids[kind]]
        for value in values:
            source = LINKED.get((kind, value))
            sent = [ids[source], 0] if source else values[value]
            assert queued[ids[kind]][value] == sent, f"{kind}.{value}"
    assert queued[ids[PLOT]]["sigmas"] == [ids["BasicScheduler"], 0]
    saved = desk.saved()
    desk.reload(saved)
    assert desk.queued() == queued


@pytest.mark.each_frontend
def test_a_linked_curve_editor_acts_in_place_of_the_shape(desk, run):
    with_curve_editor(desk)
    nodes = [
        ["curve", "CurveEditor", 0, 0, {}],
        ["plot", PLOT, 420, 0, {"shape": "ramp_up", "end_percent": 1.0}],
        ["other", PLOT, 840, 0, {"shape": "ramp_down", "end_percent": 1.0}],
        ["seen", "PreviewImage", 1260, 0, {}],
        ["also", "PreviewImage", 1260, 400, {}],
    ]
    links = [["curve", "curve", "other", "curve"]]
    links += [["plot", "plot", "seen", "images"], ["other", "plot", "also", "images"]]
    ids = desk.build(nodes, links)
    assert desk.queued()[ids["other"]]["curve"] == [ids["curve"], 0]
    assert desk.words(ids["other"]).startswith("The connected curve acts from 0 to 1")
    run()
    outputs = desk.run("app.nodeOutputs")
    drawn, ramp = (
        desk.server.view(place["filename"], place["subfolder"], place["type"])
        for place in (outputs[ids[key]]["images"][0] for key in ("also", "seen"))
    )
    assert len(drawn) > 1000
    apart = [abs(a - b) for a, b in zip(pixels(drawn), pixels(ramp), strict=True)]
    assert max(apart) <= 2, "the editor's ramp, not the shape that falls"


def pixels(data: bytes) -> bytes:
    """The picture, coarse enough not to see which of two ways led to the same line."""
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("L").resize((48, 24), Image.Resampling.BOX).tobytes()
