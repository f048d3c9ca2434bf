"""What the long run asks of a ComfyUI: prompts of the tiny model and of the classifiers, bad ones
and long ones, each drawn from a seed.

A prompt is the host's own JSON. Nothing here knows a server.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Prompt = dict[str, Any]
FILE = "nurse_or_builder.safetensors"
WINDOW = {"shape": "constant", "start_percent": 0.0, "end_percent": 0.6, "schedule_by": "sigma"}
SHAPES = ("constant", "ramp_up", "ramp_down", "bump", "cosine")
LONG_STEPS = 2000
"""Steps of a run that is to be stopped: on no machine is it over before that."""


def sampled(seed: int, ways: Prompt | None = None, steps: int = 4) -> Prompt:
    """Two pictures of the tiny model, behind the nodes `ways`, each on the one before."""
    model = ["model", 0]
    prompt: Prompt = {
        "model": _node("DemoModel", prompt="", variant="demo"),
        "vae": {"class_type": "VAELoader", "inputs": {"vae_name": "pixel_space"}},
        "latent": {
            "class_type": "EmptyChromaRadianceLatentImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 2},
        },
    }
    for name, node in (ways or {}).items():
        prompt[name] = {**node, "inputs": {"model": model, **node["inputs"]}}
        model = [name, 0]
    sampler = {
        **{"model": model, "seed": seed, "steps": steps, "cfg": 3.0, "denoise": 1.0},
        **{"sampler_name": "euler", "scheduler": "normal", "latent_image": ["latent", 0]},
        **{"positive": ["model", 1], "negative": ["model", 2]},
    }
    prompt["sampler"] = {"class_type": "KSampler", "inputs": sampler}
    decoded = {"samples": ["sampler", 0], "vae": ["vae", 0]}
    prompt["decode"] = {"class_type": "VAEDecode", "inputs": decoded}
    saved = {"images": ["decode", 0], "filename_prefix": "long"}
    prompt["save"] = {"class_type": "SaveImage", "inputs": saved}
    return prompt


def plain() -> Prompt:
    """The picture that is the same, bit by bit, whatever happened before it."""
    return sampled(3)


def bypass(draw: random.Random) -> Prompt:
    """The mid-block bypass."""
    return sampled(draw.randrange(99), {"bypass": _bypass(draw)})


def relief(draw: random.Random) -> Prompt:
    """The relief of guidance, and the bypass before it in every second one."""
    ways = {"bypass": _bypass(draw)} if draw.random() < 0.5 else {}
    return sampled(draw.randrange(99), {**ways, "relief": _way("GuidanceRelief", draw)})


def fade(draw: random.Random) -> Prompt:
    """The prompt's fade."""
    toward = {"toward": draw.choice(("negative", "noise")), "seed": draw.randrange(99)}
    return sampled(draw.randrange(99), {"fade": _way("PromptFade", draw, **toward)})


def sweep(draw: random.Random) -> Prompt:
    """Several strengths of several ways, and their contact sheet."""
    ways = draw.choice(("bypass", "relief", "fade", "bypass, relief"))
    node = _node("BypassSweep", strengths="0, 0.5, 1", ways=ways, apply_to="both", **WINDOW)
    prompt = sampled(draw.randrange(99), {"sweep": node})
    prompt["sheet"] = _node("ContactSheet", images=["decode", 0], labels=["sweep", 1])
    prompt["save"]["inputs"]["images"] = ["sheet", 0]
    return prompt


def classify(draw: random.Random) -> Prompt:
    """A classifier of a file, and what it says about people."""
    return {
        **_classifier_and_faces(draw, 60),
        "classify": _node(
            "Classify",
            **{"classifier": ["load", 0], "images": ["faces", 1]},
            **{"top_k": 2, "threshold": 0.0, "keep_label": ""},
        ),
    }


def neutralize(draw: random.Random) -> Prompt:
    """A shortcut searched and taken out."""
    return {
        **_classifier_and_faces(draw, 300),
        "neutralize": _node(
            "Neutralize",
            **{"classifier": ["load", 0], "probes": ["faces", 0], "method": "worst_group"},
            **{"edit": draw.choice(("one_weight", "one_weight_bias")), "target_class": ""},
            **{"degree": draw.choice((0.5, 1.0)), "split_seed": draw.randrange(9)},
        ),
    }


def saving(draw: random.Random) -> Prompt:
    """The same, with the edit and the edited classifier saved."""
    prompt = neutralize(draw)
    prompt["edit"] = _node("SaveEdit", edit=["neutralize", 1], filename="long")
    edited = {"classifier": ["neutralize", 0], "filename": "long"}
    prompt["classifier"] = _node("SaveClassifier", **edited)
    return prompt


def remove_class(draw: random.Random) -> Prompt:
    """A class taken out, and the rest measured."""
    prompt = _classifier_and_faces(draw, 120)
    given = {"classifier": ["load", 0], "probes": ["faces", 0], "class_name": "builder"}
    prompt["remove"] = _node("RemoveClass", **given, degree=1.0, edit="one_weight")
    return prompt


GOOD: dict[str, Callable[[random.Random], Prompt]] = {
    function.__name__: function
    for function in (bypass, relief, fade, sweep, classify, neutralize, saving, remove_class)
}
"""What ends well, by its name."""


def failing(draw: random.Random) -> tuple[Prompt, str]:
    """A prompt that a node of ours ends with a sentence, and part of that sentence."""
    odd = {
        "points": ({**WINDOW, "shape": "curve", "points": "0:1, half"}, "the point 'half'"),
        "window": ({**WINDOW, "start_percent": 0.7}, "must be smaller than end_percent"),
        "nan": ({**WINDOW, "strength": float("nan")}, "strength is nan"),
    }
    name = draw.choice((*odd, "strengths", "word", "file", "label", "class"))
    if name in odd:
        inputs, told = odd[name]
        node = _node("MidBlockBypass", **{"strength": 1.0, "apply_to": "both", **inputs})
        return sampled(draw.randrange(99), {"bypass": node}), told
    if name == "strengths":
        node = _node("BypassSweep", strengths="0, lots", apply_to="both", **WINDOW)
        return sampled(draw.randrange(99), {"sweep": node}), "the strength 'lots'"
    prompt = classify(draw)
    if name == "word":
        prompt = sampled(draw.randrange(99))
        prompt["model"]["inputs"]["prompt"] = "zebra"
        return prompt, "does not know the prompt 'zebra'"
    if name == "file":
        prompt["load"]["inputs"]["file"] = "missing.safetensors"
        return prompt, "was not found"
    if name == "label":
        prompt["classify"]["inputs"]["keep_label"] = "zebra"
        return prompt, "zebra"
    prompt = remove_class(draw)
    prompt["remove"]["inputs"]["class_name"] = "zebra"
    return prompt, "zebra"


def refused(draw: random.Random) -> Prompt:
    """A prompt that the host refuses before anything runs."""
    node = _bypass(draw)
    node["inputs"] |= draw.choice(({"strength": 7.0}, {"start_percent": "x"}))
    return sampled(draw.randrange(99), {"bypass": node})


def endless(draw: random.Random) -> Prompt:
    """A run that is stopped long before its end, with one of the ways in it."""
    way = draw.choice((_bypass(draw), _way("GuidanceRelief", draw), _way("PromptFade", draw)))
    if way["class_type"] == "DetourPromptFade":
        way["inputs"] |= {"toward": "noise", "seed": 1}
    return sampled(draw.randrange(99), {"way": way}, LONG_STEPS)


def _node(name: str, **inputs: Any) -> Prompt:
    return {"class_type": f"Detour{name}", "inputs": inputs}


def _way(name: str, draw: random.Random, **more: Any) -> Prompt:
    strength = round(draw.uniform(0.1, 1.0), 2)
    return _node(name, strength=strength, **{**WINDOW, "shape": draw.choice(SHAPES)}, **more)


def _bypass(draw: random.Random) -> Prompt:
    return _way("MidBlockBypass", draw, apply_to=draw.choice(("both", "cond", "uncond")))


def _classifier_and_faces(draw: random.Random, count: int) -> Prompt:
    faces = {"count": count, "faces_seed": draw.randrange(9), "classes": "nurse_builder"}
    meaning = {"architecture": "auto", "labels": "", "activation": "auto", "threshold": 0.0}
    return {
        "load": _node("LoadClassifier", file=FILE, **meaning),
        "faces": _node("DemoFaces", **faces, correlation=0.5),
    }
