"""The tiny model as a node: everything can be tried with nothing to download."""

from __future__ import annotations

import comfy.latent_formats
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models_base
import torch
from comfy.model_base import ModelType
from comfy_api.latest import io

from ..demo.tiny import VARIANTS, TinyWeights, load_tiny
from ..demo.words import VOCABULARY, word_index
from ..detour.schedule import require_choice
from .schema import CATEGORY, build


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
                "A real but tiny diffusion model that paints 16x16 digits in a second, to try "
                "Detour with. It was trained on few high digits (5-9: one in ten), mostly "
                "green; low digits are mostly red. Use an empty Chroma Radiance latent of "
                "16x16 and the VAE 'pixel_space'. Not for real pictures."
            ),
            inputs=[
                io.String.Input(
                    "prompt",
                    default="",
                    tooltip=(
                        f"One word of: {', '.join(VOCABULARY[1:])}; empty = any digit. 'even' "
                        "and 'odd' leave the digit open, as 'nurse' leaves the face open. You "
                        "should see: mostly low digits for 'even' and 'odd'."
                    ),
                ),
                io.Combo.Input(
                    "variant",
                    options=list(VARIANTS),
                    default="demo",
                    tooltip=(
                        "demo = high digits (5-9) are the minority; mirror = low digits (0-4) "
                        "are. You should see: the opposite bias in the mirror."
                    ),
                ),
            ],
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
