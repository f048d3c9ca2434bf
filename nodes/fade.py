"""The node that fades the prompt."""

from __future__ import annotations

from comfy_api.latest import io

from ..detour.schedule import SCHEDULE_BY, Schedule
from ..detour.ways.fade import LARGEST_SEED, TOWARD, Fade
from ..detour.words import FADE, FADE_INTRO
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
from .schema import build


class PromptFade(io.ComfyNode):
    """A MODEL in, the same model with a fade of its prompt out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return way_schema(
            node_id="DetourPromptFade",
            display_name="Prompt Fade",
            description=FADE_INTRO,
            inputs=[
                io.Model.Input("model", tooltip=FADE["model"].tooltip),
                share("strength", Schedule.strength, words=FADE),
                *window_inputs(FADE),
                choice("schedule_by", SCHEDULE_BY, FADE),
                choice("toward", TOWARD, FADE),
                build(
                    io.Int.Input,
                    "seed",
                    default=0,
                    min=0,
                    max=LARGEST_SEED,
                    tooltip=FADE["seed"].tooltip,
                    # Pages roll what is called so after each run, unless they are told not to.
                    control_after_generate=False,
                    advanced=True,
                ),
                points_input(FADE),
                curve_input(FADE),
            ],
            told="The model whose prompt fades: connect it to a sampler.",
            search_aliases=["variety", "diversity", "same face", "bias", "prompt", "CADS"],
        )

    @classmethod
    def execute(cls, model, toward="negative", seed=0, **schedule) -> io.NodeOutput:
        fade = Fade(read_schedule(**schedule), toward, seed)
        return io.NodeOutput(patch_model(model, fade, cls.hidden.unique_id))
