"""The nodes that bypass a part of a model (one strength, or several side by side), and the one that
draws a schedule before anything is sampled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comfy_api.latest import io

from ..detour.progress import SigmaTable
from ..detour.report.canvas import to_images
from ..detour.report.schedule import draw_schedule
from ..detour.schedule import SCHEDULE_BY, Schedule, parse_strengths, parse_ways
from ..detour.ways.bypass import APPLY_TO, Dial
from ..detour.ways.fade import Fade
from ..detour.ways.relief import Relief
from ..detour.ways.targets import AUTO, Blocks, parse_blocks
from ..detour.ways.way import Way
from ..detour.words import DIAL, DIAL_INTRO, PLOT
from .model_host import patch_model
from .schedule_inputs import (
    choice,
    curve_input,
    points_input,
    read_schedule,
    share,
    way_schema,
    window_inputs,
)
from .schema import VARIETY, build

WAYS: dict[str, Callable[[Schedule, str, bool, Blocks | None], Way]] = {
    "bypass": Dial,
    "relief": lambda schedule, *_: Relief(schedule),
    "fade": lambda schedule, *_: Fade(schedule),
}
"""What a sweep can try, by name: a way's settings from a schedule, and from what is the bypass's
alone."""
ALIASES = ["variety", "diversity", "same face", "bias", "fairness", "mid-block", "bypass"]


class MidBlockBypass(io.ComfyNode):
    """The main node: a MODEL in, the same model with a bypass out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return way_schema(
            node_id="DetourMidBlockBypass",
            display_name="Variety Dial (mid-block bypass)",
            description=(
                f"{DIAL_INTRO} Of a transformer (Flux, Z-Image, Qwen-Image, SD 3, Wan) it bypasses "
                "some blocks in its middle; no training and no extra model call."
            ),
            inputs=[
                io.Model.Input("model", tooltip=DIAL["model"].tooltip),
                share("strength", Schedule.strength, -1.0),
                *_dial_inputs(),
                _blocks_input(),
            ],
            told="The model with the bypass: connect it to a sampler.",
            search_aliases=ALIASES,
        )

    @classmethod
    def execute(cls, model, apply_to, skip_compute=True, blocks=AUTO, **schedule) -> io.NodeOutput:
        dial = Dial(read_schedule(**schedule), apply_to, skip_compute, parse_blocks(blocks))
        return io.NodeOutput(patch_model(model, dial, cls.hidden.unique_id))


class BypassSweep(io.ComfyNode):
    """One model in, a list of models with rising strength out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourBypassSweep",
            display_name="Variety Sweep",
            category=VARIETY,
            description=(
                "Everything after this node runs once for each way and strength, from the same "
                "seeds. Connect the models to a sampler, and the pictures, with the labels, to the "
                "Contact Sheet."
            ),
            inputs=[
                io.Model.Input("model", tooltip=DIAL["model"].tooltip),
                io.String.Input(
                    "strengths", default="0, 0.25, 0.5, 1", tooltip=DIAL["strengths"].tooltip
                ),
                *_dial_inputs(),
                io.String.Input(
                    "ways", default="bypass", optional=True, tooltip=DIAL["ways"].tooltip
                ),
                _blocks_input(),
            ],
            outputs=[
                io.Model.Output(
                    "models",
                    display_name="models",
                    is_output_list=True,
                    tooltip="One patched model for each way and strength.",
                ),
                io.String.Output(
                    "labels",
                    display_name="labels",
                    is_output_list=True,
                    tooltip="What each column is, for the Contact Sheet.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            # Else the host gives an equal node elsewhere this node's model, notices and all.
            not_idempotent=True,
            search_aliases=[*ALIASES, "compare", "xy plot", "grid"],
        )

    @classmethod
    def execute(
        cls,
        model,
        strengths,
        apply_to,
        skip_compute=True,
        ways="bypass",
        blocks=AUTO,
        **schedule,
    ) -> io.NodeOutput:
        found = parse_strengths(strengths)
        names = parse_ways(ways, tuple(WAYS))
        columns = [(name, one) for name in names for one in found]
        if len(names) > 1:  # nothing done is the same for every way: one column is enough
            plain = [(names[0], 0.0)] if 0.0 in found else []
            columns = [*plain, *(column for column in columns if column[1])]
        own = (apply_to, skip_compute, parse_blocks(blocks))
        models = []
        for name, strength in columns:
            way = WAYS[name](read_schedule(strength, **schedule), *own)
            models.append(patch_model(model, way, cls.hidden.unique_id))
        return io.NodeOutput(models, [_column_label(name, one, names) for name, one in columns])


def _column_label(name: str, strength: float, names: tuple[str, ...]) -> str:
    """The head of a sweep's column; a sweep over one way names it only if it is no bypass."""
    if len(names) > 1 and strength == 0:
        return "without"
    return f"{'strength' if names == ('bypass',) else name} {strength:g}"


class PlotSchedule(io.ComfyNode):
    """Schedule inputs in, a picture of the curve out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourPlotSchedule",
            display_name="Plot Bypass Schedule",
            category=VARIETY,
            description=(
                "Draws how strongly the mid-block is bypassed over the denoising, without "
                "sampling anything. Connect SIGMAS to see which steps of a run are bypassed, "
                "and a MODEL for its own noise schedule (Stable Diffusion's otherwise)."
            ),
            inputs=[
                share("strength", Schedule.strength, -1.0),
                *window_inputs(),
                choice("schedule_by", SCHEDULE_BY),
                points_input(),
                io.Model.Input("model", optional=True, tooltip=PLOT["model"].tooltip),
                io.Sigmas.Input("sigmas", optional=True, tooltip=PLOT["sigmas"].tooltip),
                curve_input(),
            ],
            outputs=[
                io.Image.Output(
                    "plot", display_name="plot", tooltip="The curve as a picture of 960x480."
                )
            ],
            search_aliases=["schedule", "curve", "preview", "mid-block", "variety"],
        )

    @classmethod
    def execute(cls, model=None, sigmas=None, **schedule) -> io.NodeOutput:
        if model is None:
            table = SigmaTable.of_stable_diffusion()
        else:
            table = SigmaTable.of(model.get_model_object("model_sampling").sigmas)
        of_run = [] if sigmas is None else sigmas.tolist()
        return io.NodeOutput(to_images(draw_schedule(read_schedule(**schedule), table, of_run)))


def _dial_inputs() -> list[Any]:
    """What the dial and the sweep have besides the strength."""
    return [
        *window_inputs(),
        choice("apply_to", APPLY_TO),
        choice("schedule_by", SCHEDULE_BY),
        build(
            io.Boolean.Input,
            "skip_compute",
            default=True,
            optional=True,
            tooltip=DIAL["skip_compute"].tooltip,
            advanced=True,
        ),
        points_input(),
        curve_input(),
    ]


def _blocks_input() -> Any:
    """Which blocks of a transformer; it came after all other inputs."""
    return build(
        io.String.Input,
        "blocks",
        default=AUTO,
        optional=True,
        tooltip=DIAL["blocks"].tooltip,
        advanced=True,
    )
