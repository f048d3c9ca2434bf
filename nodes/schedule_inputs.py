"""The inputs that describe a bypass over the denoising, shared by all nodes that have them."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..detour.schedule import APPLY_TO, SCHEDULE_BY, SHAPES, Points, Schedule, parse_points
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
        tooltip=(
            "How much of the mid-block is bypassed. 0 = exactly the unpatched model, 1 = the "
            "mid-block is skipped, below 0 = it counts more (less variety). You should see: "
            "more of what the model rarely draws as this goes up, and rougher pictures when "
            "the window is long."
        ),
    )


def window_inputs() -> list[Any]:
    """Shape and window, which every schedule has."""
    return [
        io.Combo.Input(
            "shape",
            options=list(SHAPES),
            default="constant",
            tooltip=(
                "How the bypass runs through its window: constant, rising, falling, a bump, "
                "a soft fall (cosine), or your own curve from 'points'. You should see: "
                "falling shapes keep more detail than constant at the same strength."
            ),
        ),
        io.Float.Input(
            "start_percent",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip=(
                "Where the bypass begins: 0 = pure noise, 1 = finished picture. A share of the "
                "noise schedule, not of the steps. You should see: a later start changes "
                "details instead of what is drawn."
            ),
        ),
        io.Float.Input(
            "end_percent",
            default=Schedule.end_percent,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip=(
                "Where the bypass ends; from here on the whole model cleans up. You should "
                "see: more variety and more broken pictures as this goes up."
            ),
        ),
    ]


def apply_to_input() -> Any:
    """Which half of classifier-free guidance is bypassed."""
    return io.Combo.Input(
        "apply_to",
        options=list(APPLY_TO),
        default="both",
        tooltip=(
            "both = prompt and negative prompt alike; cond = only the prompt's half; uncond = "
            "only the negative prompt's half, which works like extra guidance. You should "
            "see: no difference between them at CFG 1 for 'both' and 'cond'."
        ),
    )


def schedule_by_input() -> Any:
    """What start and end are measured in."""
    return io.Combo.Input(
        "schedule_by",
        options=list(SCHEDULE_BY),
        default="sigma",
        tooltip=(
            "sigma = the window lies in the model's noise schedule and means the same in every "
            "run. step = the window lies over the steps of this run; take it for "
            "image-to-image and hires passes, which begin late. You should see: with sigma and "
            "a low denoise nothing changes, and a notice says so."
        ),
    )


def points_input() -> Any:
    """The curve as text."""
    return build(
        io.String.Input,
        "points",
        default="0:1, 0.5:0.6, 1:0",
        optional=True,
        tooltip=(
            "Only for the shape 'curve': place:height pairs inside the window, for example "
            "'0:1, 0.5:0.6, 1:0'. You should see: the bypass follow straight lines between "
            "these points."
        ),
        advanced=True,
    )


def skip_compute_input() -> Any:
    """Whether a full bypass saves the mid-block's time."""
    return build(
        io.Boolean.Input,
        "skip_compute",
        default=True,
        optional=True,
        tooltip=(
            "At strength 1 do not compute the mid-block at all, which saves its time. Switch "
            "it off if another extension reads the mid-block's inside. You should see: the same "
            "picture either way."
        ),
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
        tooltip=(
            "A curve from the Curve Editor of newer ComfyUI versions, used in place of 'shape' "
            "and 'points'. You should see: the bypass follow the drawn curve across its window."
        ),
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
