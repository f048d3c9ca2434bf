"""The tiny model as a node: everything can be tried with nothing to download."""

from __future__ import annotations

import comfy.latent_formats
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models_base
import torch
from comfy.model_base import ModelType
from comfy_api.latest import io

from ..demo.probe_digits import CLASSES, probe_digits
from ..demo.tiny import VARIANTS, TinyWeights, load_tiny
from ..demo.words import VOCABULARY, word_index
from ..detour.checks import require_choice
from ..detour.probes.probe_set import ProbeSet
from ..detour.report.probes import describe_probes, preview
from ..detour.words import DEMO
from .classifier_host import ProbesSocket
from .schema import CATEGORY, build, report_outputs, shown

MOST_DIGITS = 9000
"""Both colours of the 450 digits of each kind that no classifier of the demo has seen."""


class PixelLatent(comfy.latent_formats.LatentFormat):
    """The tiny model paints RGB pixels directly, in -1..1."""

    latent_channels = 3

    def __init__(self) -> None:
        self.latent_rgb_factors = torch.eye(3).tolist()


class TinyConfig(comfy.supported_models_base.BASE):
    """What the host has to know of the tiny model."""

    unet_extra_config: dict = {}  # noqa: RUF012 - the host reads it as a class attribute
    latent_format = PixelLatent
    sampling_settings = {"zsnr": True}  # noqa: RUF012
    memory_usage_factor = 1.0

    def model_type(self, state_dict, prefix=""):
        return ModelType.V_PREDICTION


def build_model(tiny: TinyWeights):
    """The host's model patcher around its own U-Net with the tiny model's weights."""
    config = TinyConfig(tiny.architecture)
    config.set_inference_dtype(torch.float32, None)
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    base = config.get_model({}, "", device=offload_device)
    base.diffusion_model.load_state_dict(tiny.unet)
    return comfy.model_patcher.ModelPatcher(base, load_device, offload_device)


class DemoModel(io.ComfyNode):
    """A prompt word in; MODEL and both conditionings out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourDemoModel",
            display_name="Tiny Demo Model (digits)",
            category=CATEGORY,
            description=(
                "A real but tiny diffusion model that paints 16x16 digits in a second, with few "
                "high ones (5-9), to try Detour with. Use an empty Chroma Radiance latent of 16x16 "
                "and the VAE 'pixel_space'."
            ),
            inputs=_demo_model_inputs(),
            outputs=[
                io.Model.Output("demo_model", display_name="MODEL", tooltip="The tiny model."),
                io.Conditioning.Output(
                    "positive", display_name="positive", tooltip="The prompt's conditioning."
                ),
                io.Conditioning.Output(
                    "negative", display_name="negative", tooltip="The empty prompt's conditioning."
                ),
            ],
            search_aliases=["detour demo", "tiny model", "digits", "example"],
        )

    @classmethod
    def execute(cls, prompt, variant) -> io.NodeOutput:
        require_choice("variant", variant, VARIANTS)
        place = word_index(prompt)
        tiny = load_tiny(variant)
        positive, negative = ([[tiny.words[index : index + 1], {}]] for index in (place, 0))
        return io.NodeOutput(build_model(tiny), positive, negative)


def _demo_model_inputs() -> list:
    return [
        io.String.Input(
            "prompt",
            default="",
            tooltip=f"One word of: {', '.join(VOCABULARY[1:])}; {DEMO['prompt'].tooltip}",
        ),
        io.Combo.Input(
            "variant", options=list(VARIANTS), default="demo", tooltip=DEMO["variant"].tooltip
        ),
    ]


class DemoDigits(io.ComfyNode):
    """Real digits as probes: a class, a colour that has nothing to do with it, and the digit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourDemoDigits",
            display_name="Tiny Demo Digits",
            category=CATEGORY,
            description=(
                "Real handwritten digits in red and green, to try classifiers and edits with "
                "nothing to download; by itself every digit comes once in each colour. Load the "
                "classifier coloured_digits.safetensors beside it: it looks at the colour."
            ),
            inputs=_demo_digits_inputs(),
            outputs=[
                ProbesSocket.Output(
                    "digit_probes",
                    display_name="PROBES",
                    tooltip="The digits with class, colour and unit.",
                ),
                io.Image.Output("images", display_name="IMAGE", tooltip="The same pictures."),
                *report_outputs(),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            search_aliases=["detour demo", "digits", "example", "probes"],
        )

    @classmethod
    def execute(cls, count, digits_seed, classes, correlation=0.5) -> io.NodeOutput:
        require_choice("classes", classes, CLASSES)
        drawn = probe_digits(count, digits_seed, classes, correlation)
        probes = ProbeSet(
            tuple(drawn.pictures),
            drawn.attributes,
            drawn.classes,
            tuple(str(unit) for unit in drawn.units),
        )
        text = describe_probes(probes)
        images, ui = shown(cls, text, preview(probes))
        return io.NodeOutput(probes, drawn.pictures, text, images, ui=ui)


def _demo_digits_inputs() -> list:
    return [
        io.Int.Input(
            "count", default=1500, min=2, max=MOST_DIGITS, step=2, tooltip=DEMO["count"].tooltip
        ),
        io.Int.Input(
            # Not "seed": the editor would change it after each run.
            "digits_seed",
            default=0,
            min=0,
            max=2**31 - 1,
            tooltip=DEMO["digits_seed"].tooltip,
        ),
        io.Combo.Input(
            "classes", options=list(CLASSES), default="low_high", tooltip=DEMO["classes"].tooltip
        ),
        io.Float.Input(
            "correlation",
            default=0.5,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip=DEMO["correlation"].tooltip,
        ),
    ]
