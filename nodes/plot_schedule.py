"""The node that draws a schedule before anything is sampled."""

from __future__ import annotations

from comfy_api.latest import io

from ..detour.progress import SigmaTable, stable_diffusion_sigmas
from ..detour.report.canvas import to_images
from ..detour.report.schedule_plot import draw_schedule
from .run import model_table
from .schedule_inputs import (
    curve_input,
    points_input,
    read_schedule,
    schedule_by_input,
    strength_input,
    window_inputs,
)
from .schema import CATEGORY, build


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
        io.Model.Input(
            "model",
            optional=True,
            tooltip=(
                "For the sigmas under the axis. You should see: Stable Diffusion's "
                "sigmas without it."
            ),
        ),
        io.Sigmas.Input(
            "sigmas",
            optional=True,
            tooltip=(
                "The sigmas of a run, from a scheduler node. You should see: one mark "
                "for each step, filled where the bypass is active."
            ),
        ),
        curve_input(),
    ]
