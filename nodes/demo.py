"""The tiny model as a node: everything can be tried with nothing to download."""

from __future__ import annotations

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models_base
import torch
from comfy.model_base import ModelType
from comfy_api.latest import io

from ..demo.faces import VARIANTS
from ..demo.probe_faces import CLASSES, probe_faces
from ..demo.tiny import SHIFT, TinyWeights, load_tiny
from ..demo.words import VOCABULARY, word_index
from ..detour.checks import require_choice
from ..detour.probes.probe_set import ProbeSet
from ..detour.report.probes import describe_probes, preview
from ..detour.words import DEMO
from .classifier_host import ProbesSocket
from .schema import TINY, build, report_outputs, shown

MOST_FACES = 20_000
UNUSED = "norm_final.weight"
"""Of the transformer: ComfyUI 0.3.75 has this layer and never calls it, newer ones lack it."""


class PixelLatent(comfy.latent_formats.LatentFormat):
    """The tiny model paints RGB pixels directly, in -1..1."""

    latent_channels = 3

    def __init__(self) -> None:
        self.latent_rgb_factors = torch.eye(3).tolist()


class TinyConfig(comfy.supported_models_base.BASE):
    """What the host has to know of the tiny U-Net."""

    unet_extra_config: dict = {}  # noqa: RUF012 - the host reads it as a class attribute
    latent_format = PixelLatent
    sampling_settings = {"zsnr": True}  # noqa: RUF012
    memory_usage_factor = 1.0

    def model_type(self, state_dict, prefix=""):
        return ModelType.V_PREDICTION


class TinyTransformerConfig(TinyConfig):
    """The same of the tiny transformer, which is of the class of Lumina 2 and Z-Image."""

    sampling_settings = {"shift": SHIFT, "multiplier": 1.0}  # noqa: RUF012

    def get_model(self, state_dict, prefix="", device=None):
        return comfy.model_base.Lumina2(self, device=device)


def build_model(tiny: TinyWeights):
    """The host's model patcher around its own network with the tiny model's weights."""
    kind = TinyTransformerConfig if tiny.is_transformer else TinyConfig
    config = kind(tiny.architecture)
    config.set_inference_dtype(torch.float32, None)
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    base = config.get_model({}, "", device=offload_device)
    weights = dict(tiny.network)
    if not hasattr(base.diffusion_model, "norm_final"):
        weights.pop(UNUSED, None)
    base.diffusion_model.load_state_dict(weights)
    return comfy.model_patcher.ModelPatcher(base, load_device, offload_device)


class DemoModel(io.ComfyNode):
    """A prompt word in; MODEL and both conditionings out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourDemoModel",
            display_name="Tiny Demo Model (people)",
            category=TINY,
            description=(
                "A real but tiny diffusion model that paints people of 16x16 pixels in seconds, "
                "most nurses with long hair and most builders with short hair, to try Detour with. "
                "Use an empty Chroma Radiance latent of 16x16 and the VAE 'pixel_space'."
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
            search_aliases=["detour demo", "tiny model", "people", "faces", "example"],
        )

    @classmethod
    def execute(cls, prompt, variant) -> io.NodeOutput:
        require_choice("variant", variant, tuple(VARIANTS))
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


class DemoFaces(io.ComfyNode):
    """Portraits as probes: a job, hair that has nothing to do with it, and the person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourDemoFaces",
            display_name="Tiny Demo People",
            category=TINY,
            description=(
                "Portraits of people at work, to try classifiers and edits with nothing to "
                "download; by itself everybody comes once with long and once with short hair. Load "
                "the classifier nurse_or_builder.safetensors beside it: it looks at the hair."
            ),
            inputs=_demo_faces_inputs(),
            outputs=[
                ProbesSocket.Output(
                    "face_probes",
                    display_name="PROBES",
                    tooltip="The portraits with job, hair and person.",
                ),
                io.Image.Output("images", display_name="IMAGE", tooltip="The same pictures."),
                *report_outputs(),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,  # it shows its report itself
            search_aliases=["detour demo", "faces", "portraits", "example", "probes"],
        )

    @classmethod
    def execute(cls, count, faces_seed, classes, correlation=0.5, headshots=0.0) -> io.NodeOutput:
        require_choice("classes", classes, CLASSES)
        drawn = probe_faces(count, faces_seed, classes, correlation, headshots)
        probes = ProbeSet(
            tuple(drawn.pictures),
            drawn.attributes,
            drawn.classes,
            tuple(str(unit) for unit in drawn.units),
        )
        text = describe_probes(probes)
        images, ui = shown(cls, text, preview(probes))
        return io.NodeOutput(probes, drawn.pictures, text, images, ui=ui)


def _demo_faces_inputs() -> list:
    return [
        io.Int.Input(
            "count", default=1500, min=2, max=MOST_FACES, step=2, tooltip=DEMO["count"].tooltip
        ),
        io.Int.Input(
            # Not "seed": the editor would change it after each run.
            "faces_seed",
            default=0,
            min=0,
            max=2**31 - 1,
            tooltip=DEMO["faces_seed"].tooltip,
        ),
        io.Combo.Input(
            "classes",
            options=list(CLASSES),
            default="nurse_builder",
            tooltip=DEMO["classes"].tooltip,
        ),
        io.Float.Input(
            "correlation",
            default=0.5,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip=DEMO["correlation"].tooltip,
        ),
        io.Float.Input(
            "headshots",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.05,
            optional=True,
            tooltip=DEMO["headshots"].tooltip,
        ),
    ]
