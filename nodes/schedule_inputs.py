"""The inputs of a schedule, which every way has, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..detour.schedule import SHAPES, Points, Schedule, parse_points
from ..detour.words import DIAL, Words
from .schema import VARIETY, build

CURVE_SAMPLES = 101
"""Places at which a connected CURVE is read; between them it is taken as straight."""
UNTOUCHED_EDITOR = [[0.0, 0.0], [1.0, 1.0]]
"""What the host's editor sends as long as nobody has drawn in it."""
CurveSocket = io.Custom("CURVE")


def way_schema(*, told: str, **schema: Any) -> io.Schema:
    """The schema of a node that puts a way on a MODEL: what all of them have in common.

    told: the tooltip of the MODEL that comes out. schema: what is the node's own.
    """
    patched = io.Model.Output("patched", display_name="MODEL", tooltip=told)
    return build(
        io.Schema,
        category=VARIETY,
        outputs=[patched],
        hidden=[io.Hidden.unique_id],
        # Else the host gives an equal node elsewhere this node's model, notices and all.
        not_idempotent=True,
        **schema,
    )


def window_inputs(words: Mapping[str, Words] = DIAL) -> list[Any]:
    """Shape and window. words: of each input, by its name."""
    return [
        choice("shape", SHAPES, words),
        share("start_percent", Schedule.start_percent, words=words),
        share("end_percent", Schedule.end_percent, words=words),
    ]


def share(name: str, default: float, least: float = 0.0, words: Mapping[str, Words] = DIAL) -> Any:
    """A number up to 1."""
    return io.Float.Input(
        name, default=default, min=least, max=1.0, step=0.01, tooltip=words[name].tooltip
    )


def choice(name: str, options: tuple[str, ...], words: Mapping[str, Words] = DIAL) -> Any:
    """One of several, for those who look for it."""
    return build(
        io.Combo.Input,
        name,
        options=list(options),
        default=options[0],
        tooltip=words[name].tooltip,
        advanced=True,
    )


def points_input(words: Mapping[str, Words] = DIAL) -> Any:
    """The curve as text."""
    return build(
        io.String.Input,
        "points",
        default="0:1, 0.5:0.6, 1:0",
        optional=True,
        tooltip=words["points"].tooltip,
        advanced=True,
    )


def curve_input(words: Mapping[str, Words] = DIAL) -> Any:
    """The optional CURVE socket, last of all inputs.

    Never the editor that newer hosts draw inside a node for this type: it would always send its
    ramp. Hosts that do not know the type have the socket too, so that a workflow of one host
    finds the same inputs on any other.
    """
    return CurveSocket.Input(
        "curve", optional=True, tooltip=words["curve"].tooltip, extra_dict={"forceInput": True}
    )


def read_schedule(
    strength: float,
    shape: str,
    start_percent: float,
    end_percent: float,
    schedule_by: str,
    points: str = "",
    curve: Any = None,
) -> Schedule:
    """The schedule that the widgets describe; ValueError with one sentence if they cannot."""
    read = read_curve(curve)
    if read is not None:
        shape = "curve"
    else:
        read = parse_points(points) if shape == "curve" else ()
    return Schedule(strength, shape, start_percent, end_percent, schedule_by, read)


def read_curve(curve: Any) -> Points | None:
    """The points of what comes through the CURVE socket; None if no curve was drawn.

    A prompt that was saved while the socket was an editor holds the editor's points; nobody
    drew its first ones. Raises ValueError for anything that is no curve.
    """
    sent = curve.get("points") if isinstance(curve, dict) else curve
    if curve is None or (isinstance(sent, list) and sent == UNTOUCHED_EDITOR):
        return None
    if not callable(getattr(curve, "interp", None)):
        raise ValueError(
            f"curve is a {type(curve).__name__}, which is no curve: connect a Curve Editor to it, "
            "or leave it empty, choose the shape 'curve' and write the same into 'points'."
        )
    places = [index / (CURVE_SAMPLES - 1) for index in range(CURVE_SAMPLES)]
    # Rounded, since a smooth curve along 1 comes out a hair above it.
    return tuple((u, round(float(curve.interp(u)), 9)) for u in places)
