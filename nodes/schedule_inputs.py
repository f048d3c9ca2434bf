"""The inputs that describe a bypass over the denoising, shared by all nodes that have them."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..detour.schedule import APPLY_TO, SCHEDULE_BY, SHAPES, Points, Schedule, parse_points
from ..detour.words import DIAL
from .schema import build

CURVE_SAMPLES = 101
"""Places at which a connected CURVE is read; between them it is taken as straight."""
UNTOUCHED_EDITOR = [[0.0, 0.0], [1.0, 1.0]]
"""What the host's editor sends as long as nobody has drawn in it."""
CurveSocket = io.Custom("CURVE")


def strength_input() -> Any:
    """The one main slider."""
    return io.Float.Input(
        "strength",
        default=Schedule.strength,
        min=-1.0,
        max=1.0,
        step=0.01,
        tooltip=DIAL["strength"].tooltip,
    )


def window_inputs() -> list[Any]:
    """Shape and window, which every schedule has."""
    return [
        io.Combo.Input(
            "shape", options=list(SHAPES), default="constant", tooltip=DIAL["shape"].tooltip
        ),
        io.Float.Input(
            "start_percent",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip=DIAL["start_percent"].tooltip,
        ),
        io.Float.Input(
            "end_percent",
            default=Schedule.end_percent,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip=DIAL["end_percent"].tooltip,
        ),
    ]


def apply_to_input() -> Any:
    """Which half of classifier-free guidance is bypassed."""
    return io.Combo.Input(
        "apply_to", options=list(APPLY_TO), default="both", tooltip=DIAL["apply_to"].tooltip
    )


def schedule_by_input() -> Any:
    """What start and end are measured in."""
    return io.Combo.Input(
        "schedule_by",
        options=list(SCHEDULE_BY),
        default="sigma",
        tooltip=DIAL["schedule_by"].tooltip,
    )


def points_input() -> Any:
    """The curve as text."""
    return build(
        io.String.Input,
        "points",
        default="0:1, 0.5:0.6, 1:0",
        optional=True,
        tooltip=DIAL["points"].tooltip,
        advanced=True,
    )


def skip_compute_input() -> Any:
    """Whether a full bypass saves the mid-block's time."""
    return build(
        io.Boolean.Input,
        "skip_compute",
        default=True,
        optional=True,
        tooltip=DIAL["skip_compute"].tooltip,
        advanced=True,
    )


def curve_input() -> Any:
    """The optional CURVE socket, last of all inputs.

    Never the editor that newer hosts draw inside a node for this type: it would always send its
    ramp. Hosts that do not know the type have the socket too, so that a workflow of one host
    finds the same inputs on any other.
    """
    return CurveSocket.Input(
        "curve",
        optional=True,
        tooltip=DIAL["curve"].tooltip,
        extra_dict={"forceInput": True},
    )


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


def read_schedule(
    strength: float,
    shape: str,
    start_percent: float,
    end_percent: float,
    schedule_by: str,
    points: str,
    curve: Any = None,
) -> Schedule:
    """The schedule that the widgets describe; ValueError with one sentence if they cannot."""
    drawn = read_curve(curve)
    if drawn is not None:
        return Schedule(strength, "curve", start_percent, end_percent, schedule_by, drawn)
    read = parse_points(points) if shape == "curve" else ()
    return Schedule(strength, shape, start_percent, end_percent, schedule_by, read)
