"""The node that relieves guidance."""

from __future__ import annotations

from comfy_api.latest import io

from ..detour.schedule import SCHEDULE_BY, Schedule
from ..detour.ways.relief import Relief
from ..detour.words import RELIEF, RELIEF_INTRO
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


class GuidanceRelief(io.ComfyNode):
    """A MODEL in, the same model with a relief of its guidance out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return way_schema(
            node_id="DetourGuidanceRelief",
            display_name="Guidance Relief",
            description=RELIEF_INTRO,
            inputs=[
                io.Model.Input("model", tooltip=RELIEF["model"].tooltip),
                share("strength", Schedule.strength, -1.0, RELIEF),
                *window_inputs(RELIEF),
                choice("schedule_by", SCHEDULE_BY, RELIEF),
                points_input(RELIEF),
                curve_input(RELIEF),
            ],
            told="The model with the relief: connect it to a sampler.",
            search_aliases=["variety", "diversity", "same face", "bias", "CFG", "guidance"],
        )

    @classmethod
    def execute(cls, model, **schedule) -> io.NodeOutput:
        relief = Relief(read_schedule(**schedule))
        return io.NodeOutput(patch_model(model, relief, cls.hidden.unique_id))
