"""The nodes that bypass the mid-block (one strength, or several side by side), and the one that
draws a schedule before anything is sampled."""

from __future__ import annotations

from comfy_api.latest import io

from ..detour.progress import SigmaTable, stable_diffusion_sigmas
from ..detour.report.canvas import to_images
from ..detour.report.schedule import draw_schedule
from ..detour.schedule import parse_strengths
from ..detour.words import DIAL, DIAL_INTRO, PLOT
from .model_host import patch_model
from .run import model_table
from .schedule_inputs import (
    apply_to_input,
    curve_input,
    points_input,
    read_schedule,
    schedule_by_input,
    skip_compute_input,
    strength_input,
    window_inputs,
)
from .schema import CATEGORY, build

ALIASES = ["variety", "diversity", "same face", "bias", "fairness", "mid-block", "bypass"]


class MidBlockBypass(io.ComfyNode):
    """The main node: a MODEL in, the same model with a bypass out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourMidBlockBypass",
            display_name="Variety Dial (mid-block bypass)",
            category=CATEGORY,
            description=(
                f"{DIAL_INTRO} No training and no extra model call; a full bypass saves a little "
                "time. Works with SD 1.x, SD 2.x, SDXL and SVD; models without a mid-block (Flux, "
                "SD3, Z-Image, Cascade ...) are refused."
            ),
            inputs=[
                io.Model.Input("model", tooltip=DIAL["model"].tooltip),
                strength_input(),
                *window_inputs(),
                apply_to_input(),
                schedule_by_input(),
                skip_compute_input(),
                points_input(),
                curve_input(),
            ],
            outputs=[
                io.Model.Output(
                    "patched",
                    display_name="MODEL",
                    tooltip="The model with the bypass: connect it to a sampler.",
                )
            ],
            hidden=[io.Hidden.unique_id],
            # Else the host gives an equal node elsewhere this node's model, notices and all.
            not_idempotent=True,
            search_aliases=ALIASES,
        )

    @classmethod
    def execute(
        cls,
        model,
        strength,
        shape,
        start_percent,
        end_percent,
        apply_to,
        schedule_by,
        skip_compute=True,
        points="",
        curve=None,
    ) -> io.NodeOutput:
        schedule = read_schedule(
            strength, shape, start_percent, end_percent, schedule_by, points, curve
        )
        node_id = cls.hidden.unique_id
        return io.NodeOutput(patch_model(model, schedule, apply_to, skip_compute, node_id))


class BypassSweep(io.ComfyNode):
    """One model in, a list of models with rising strength out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourBypassSweep",
            display_name="Variety Sweep",
            category=CATEGORY,
            description=(
                "The same seeds at several strengths: everything after this node runs once "
                "for each strength. Connect the models to a sampler and the pictures, with the "
                "labels, to the Contact Sheet. Costs one whole run for each strength. Works "
                "with SD 1.x, SD 2.x, SDXL and SVD."
            ),
            inputs=_bypass_sweep_inputs(),
            outputs=[
                io.Model.Output(
                    "models",
                    display_name="models",
                    is_output_list=True,
                    tooltip="One patched model for each strength.",
                ),
                io.String.Output(
                    "labels",
                    display_name="labels",
                    is_output_list=True,
                    tooltip="The strengths as text, for the Contact Sheet.",
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
        shape,
        start_percent,
        end_percent,
        apply_to,
        schedule_by,
        skip_compute=True,
        points="",
        curve=None,
    ) -> io.NodeOutput:
        models, labels = [], []
        for strength in parse_strengths(strengths):
            schedule = read_schedule(
                strength, shape, start_percent, end_percent, schedule_by, points, curve
            )
            node_id = cls.hidden.unique_id
            models.append(patch_model(model, schedule, apply_to, skip_compute, node_id))
            labels.append(f"strength {strength:g}")
        return io.NodeOutput(models, labels)


def _bypass_sweep_inputs() -> list:
    return [
        io.Model.Input("model", tooltip=DIAL["model"].tooltip),
        io.String.Input("strengths", default="0, 0.25, 0.5, 1", tooltip=DIAL["strengths"].tooltip),
        *window_inputs(),
        apply_to_input(),
        schedule_by_input(),
        skip_compute_input(),
        points_input(),
        curve_input(),
    ]


class PlotSchedule(io.ComfyNode):
    """Schedule inputs in, a picture of the curve out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourPlotSchedule",
            display_name="Plot Bypass Schedule",
            category=CATEGORY,
            description=(
                "Draws how strongly the mid-block is bypassed over the denoising, without "
                "sampling anything. Connect SIGMAS to see which steps of a run are bypassed, "
                "and a MODEL for its own noise schedule (Stable Diffusion's otherwise)."
            ),
            inputs=_inputs(),
            outputs=[
                io.Image.Output(
                    "plot", display_name="plot", tooltip="The curve as a picture of 960x480."
                )
            ],
            search_aliases=["schedule", "curve", "preview", "mid-block", "variety"],
        )

    @classmethod
    def execute(
        cls,
        strength,
        shape,
        start_percent,
        end_percent,
        schedule_by,
        points="",
        model=None,
        sigmas=None,
        curve=None,
    ) -> io.NodeOutput:
        schedule = read_schedule(
            strength, shape, start_percent, end_percent, schedule_by, points, curve
        )
        if model is None:
            table = SigmaTable(stable_diffusion_sigmas())
        else:
            table = model_table(model.get_model_object("model_sampling"))
        of_run = [] if sigmas is None else sigmas.tolist()
        return io.NodeOutput(to_images(draw_schedule(schedule, table, of_run)))


def _inputs() -> list:
    return [
        strength_input(),
        *window_inputs(),
        schedule_by_input(),
        points_input(),
        io.Model.Input("model", optional=True, tooltip=PLOT["model"].tooltip),
        io.Sigmas.Input("sigmas", optional=True, tooltip=PLOT["sigmas"].tooltip),
        curve_input(),
    ]
