"""The pipelines of diffusers, each made with tiny random parts and run from end to end.

Parts and arguments are found by the names that a pipeline's `__init__` and `__call__` give
them; what is different for one stands in diffusers_special.py. Not a test file.
"""

import importlib
import inspect
import pkgutil
from functools import cache

import diffusers
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DiffusionPipeline
from diffusers_parts import (
    POOLED,
    SD,
    SIZE,
    WORDS,
    controlnet,
    embeds,
    mask,
    motion_adapter,
    movq,
    picture,
    sd,
    sdxl,
    t2i_adapter,
    vae,
)
from diffusers_special import NONE, NOT_TRIED, SPECIAL


@cache
def every_pipeline():
    """All pipeline classes that diffusers ships for torch, by name."""
    found = {}
    for entry in pkgutil.walk_packages(diffusers.pipelines.__path__, "diffusers.pipelines."):
        if "flax" in entry.name or "onnx" in entry.name:
            continue
        try:
            module = importlib.import_module(entry.name)
        except ImportError:  # needs a package, or a newer one, that has no U-Net here
            continue
        for name, kind in vars(module).items():
            pipeline = inspect.isclass(kind) and issubclass(kind, DiffusionPipeline)
            if pipeline and kind.__module__ == entry.name:
                found[name] = kind
    return found


def with_unet():
    """The names of the pipelines that have a part which may be a U-Net."""

    def parts(kind):
        given = inspect.signature(kind.__init__).parameters.values()
        return [one for one in given if one.name.endswith("unet") or "UNet" in str(one.annotation)]

    return sorted(name for name, kind in every_pipeline().items() if parts(kind))


def known_parts(name):
    """The parts by name; those missing here keep the pipeline's default, or None."""
    xl = "XL" in name or "Kolors" in name
    return {
        "unet": sdxl if xl else sd,
        "vae": vae,
        "movq": movq,
        "controlnet": (lambda: controlnet(**POOLED)) if xl else controlnet,
        "adapter": t2i_adapter,
        "motion_adapter": motion_adapter,
        "scheduler": lambda: DDIMScheduler(**SD, clip_sample=False),
        "image_noising_scheduler": lambda: DDPMScheduler(),
        "low_res_scheduler": lambda: DDPMScheduler(**SD),
        "requires_safety_checker": lambda: False,
        "add_watermarker": lambda: False,
    }


def known_arguments():
    return {
        "prompt_embeds": embeds(1),
        "negative_prompt_embeds": embeds(-1),
        "pooled_prompt_embeds": torch.ones(1, WORDS),
        "negative_pooled_prompt_embeds": -torch.ones(1, WORDS),
        "image": picture(),
        "mask_image": mask(),
        "control_image": picture(60),
        "video": [picture(), picture(60)],
        "conditioning_frames": [picture(), picture(60)],
        "num_frames": 2,
        "height": SIZE,
        "width": SIZE,
        "num_inference_steps": 4,
        "output_type": "latent",
        "hint": torch.ones(1, 3, SIZE, SIZE),
    }


class NotRun(Exception):
    pass


def make(name):
    """A pipeline with tiny random parts, and a function that runs it with equal seeds."""
    if name in NOT_TRIED:
        raise NotRun(NOT_TRIED[name])
    kind, special = every_pipeline()[name], SPECIAL.get(name, {})
    known = {**known_parts(name), **special.get("parts", {})}
    torch.manual_seed(0)
    parts = {}
    for part, given in inspect.signature(kind.__init__).parameters.items():
        if part in known:
            parts[part] = known[part]()
        elif part != "self" and given.default is inspect.Parameter.empty:
            parts[part] = None
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipe = kind(**parts)
    pipe.set_progress_bar_config(disable=True)
    if "encode_prompt" in special:
        pipe.encode_prompt = lambda **_: special["encode_prompt"]
    method = getattr(kind, special.get("method", "__call__"), lambda: None)
    accepted = inspect.signature(method).parameters
    arguments = {key: value for key, value in known_arguments().items() if key in accepted}
    arguments.update(special.get("call", {}))
    arguments = {key: value for key, value in arguments.items() if value is not NONE}

    def run(**more):
        torch.manual_seed(1)
        drawn = {"generator": torch.Generator().manual_seed(2)} if "generator" in accepted else {}
        return method(pipe, **{**arguments, **drawn, **more})[0]

    return pipe, run


def flat(result):
    """The numbers of a result: tensors, arrays or pictures."""
    import numpy as np

    if torch.is_tensor(result):
        return result
    return torch.as_tensor(np.stack([np.asarray(one) for one in result]))


def why_refused(sentence):
    """In short for the table; the sentence itself is held by its words."""
    for words, short in (
        ("has no part named unet", "name its U-Net"),
        ("has no mid-block", "no mid-block"),
        ("has no alphas_cumprod", "its scheduler tells no progress"),
    ):
        if words in sentence:
            return short
    raise AssertionError(sentence)
