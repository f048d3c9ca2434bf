"""The example workflows for real checkpoints, and the list of all of them."""

from __future__ import annotations

from .workflow_layout import Group, Spec
from .workflow_notes import CONTROL, IMAGE_TO_IMAGE, SD15_AB, SD15_SWEEP, SDXL_WINDOW
from .workflow_sizes import Box
from .workflow_specs_classifier import CLASSIFIERS
from .workflow_specs_tiny import GREEN, GREY, TINY
from .workflow_specs_who import WHO

SD15, SDXL = "v1-5-pruned-emaonly-fp16.safetensors", "sd_xl_base_1.0.safetensors"
CONTROL_NET, POSE = "control_v11p_sd15_openpose_fp16.safetensors", "pose.png"
NURSE = "a portrait of a nurse, photo"
CEO = "a portrait of a CEO, photo"
NEGATIVE = "blurry, deformed, text, watermark"
DIAL = "Variety Dial"
SEED = 20250517
SAMPLING = {"steps": 25, "cfg": 7.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
PREVIEW = (420, 446)


def _start(checkpoint: str, prompt: str, latent: Box | None, extra: list[Box]) -> Group:
    """Checkpoint, prompts, seed, and what the sampling begins with."""
    loader = Box("model", "CheckpointLoaderSimple", {"ckpt_name": checkpoint})
    clip = {"clip": "model.CLIP"}
    positive = Box("positive", "CLIPTextEncode", {"text": prompt}, clip, "Prompt")
    negative = Box("negative", "CLIPTextEncode", {"text": NEGATIVE}, clip, "Negative prompt")
    seed = Box("seed", "PrimitiveInt", {"value": SEED}, title="Seed")
    first = [loader, positive, negative, seed, *([latent] if latent else [])]
    return Group("Model and prompts", [first, extra] if extra else [first])


def _empty(side: int, batch: int) -> Box:
    widgets = {"width": side, "height": side, "batch_size": batch}
    return Box("latent", "EmptyLatentImage", widgets)


def _sampler(key: str, model: str, prompts: str = "", **more) -> Box:
    """A KSampler; `prompts`: the box that gives both conditionings, else the two prompts."""
    links = {
        "model": model,
        "seed": "seed",
        "positive": f"{prompts}.positive" if prompts else "positive",
        "negative": f"{prompts}.negative" if prompts else "negative",
        "latent_image": "latent",
    }
    return Box(key, "KSampler", {"seed": SEED, **SAMPLING, **more}, links)


def _decoded(key: str) -> Box:
    return Box(f"{key} decode", "VAEDecode", links={"samples": key, "vae": "model.VAE"})


def _shown(key: str, title: str) -> list[list[Box]]:
    """Decode and show what the sampler `key` made."""
    preview = Box(
        f"{key} preview",
        "PreviewImage",
        links={"images": f"{key} decode"},
        title=title,
        size=PREVIEW,
    )
    return [[_decoded(key)], [preview]]


def _pair(dial: list[Box], plain_model: str, dialled_model: str, **sampler) -> list[Group]:
    """The same seed without and with the dial."""
    plain = _sampler("plain", plain_model, **sampler)
    varied = _sampler("varied", dialled_model, **sampler)
    before = [[box] for box in dial]
    return [
        Group("Without Detour", [*([[]] * len(dial)), [plain], *_shown("plain", "Without")]),
        Group("With Detour", [*before, [varied], *_shown("varied", "With Detour")], GREEN),
    ]


def _spec(name: str, note: str, start: Group, groups: list[Group]) -> Spec:
    read_me = Group("Read me", [[Box("note", "MarkdownNote", {"text": note})]], GREY)
    return Spec(name, [[read_me], [start], groups])


def sd15_ab() -> Spec:
    """Stable Diffusion 1.5 without and with the dial."""
    dial = Box("dial", "DetourMidBlockBypass", links={"model": "model.MODEL"}, title=DIAL)
    start = _start(SD15, NURSE, _empty(512, 4), [])
    return _spec("SD 1.5 A-B on one seed", SD15_AB, start, _pair([dial], "model.MODEL", "dial"))


def sdxl_window() -> Spec:
    """SDXL with a bypass that falls softly to nothing."""
    window = {"shape": "cosine", "end_percent": 0.5}
    dial = Box("dial", "DetourMidBlockBypass", window, {"model": "model.MODEL"}, DIAL)
    plan = {"scheduler": "karras", "steps": SAMPLING["steps"], "denoise": 1.0}
    steps = Box("steps", "BasicScheduler", plan, {"model": "model.MODEL"}, "The sampler's steps")
    plot = Box(
        "plot",
        "DetourPlotSchedule",
        window,
        {"model": "model.MODEL", "sigmas": "steps"},
        "Set it like the Variety Dial",
    )
    shown = Box("plot preview", "PreviewImage", links={"images": "plot"}, size=(420, 240))
    curve = Group("The window: when the dial acts", [[steps], [plot], [], [shown]], GREY)
    start = _start(SDXL, CEO, _empty(1024, 2), [])
    pair = _pair([dial], "model.MODEL", "dial")
    return _spec("SDXL progressive window", SDXL_WINDOW, start, [*pair, curve])


def image_to_image() -> Spec:
    """A picture painted over, the window over the steps of that run."""
    window = {"schedule_by": "step", "shape": "ramp_down", "end_percent": 0.5}
    dial = Box("dial", "DetourMidBlockBypass", window, {"model": "model.MODEL"}, DIAL)
    scale = {"upscale_method": "lanczos", "width": 1024, "height": 1024, "crop": "center"}
    pictures = [
        Box("picture", "LoadImage", {"image": "example.png"}, title="Your picture"),
        Box("scaled", "ImageScale", scale, {"image": "picture.IMAGE"}, "Scale (SD 1.x: 512)"),
        Box("encoded", "VAEEncode", links={"pixels": "scaled", "vae": "model.VAE"}),
        Box("latent", "RepeatLatentBatch", {"amount": 2}, {"samples": "encoded"}, "How many"),
    ]
    start = _start(SDXL, CEO, None, pictures)
    pair = _pair([dial], "model.MODEL", "dial", denoise=0.6)
    return _spec("SDXL or SD image to image", IMAGE_TO_IMAGE, start, pair)


def sd15_sweep() -> Spec:
    """One column for each strength, one row for each seed."""
    models = Box("sweep", "DetourBypassSweep", links={"model": "model.MODEL"})
    links = {"images": "sampler decode", "labels": "sweep.labels"}
    sheet = Box("sheet", "DetourContactSheet", links=links)
    save = Box(
        "save",
        "SaveImage",
        {"filename_prefix": "detour/sd15 sweep"},
        {"images": "sheet"},
        size=(640, 700),
    )
    sampler = _sampler("sampler", "sweep.models")
    columns = [[models], [sampler], [_decoded("sampler"), sheet], [save]]
    start = _start(SD15, NURSE, _empty(512, 4), [])
    group = Group("The same seeds at several strengths", columns, GREEN)
    return _spec("SD 1.5 sweep with contact sheet", SD15_SWEEP, start, [group])


def freeu_and_control() -> Spec:
    """The dial behind FreeU, on a run that a ControlNet guides."""
    freeu = Box("freeu", "FreeU_V2", links={"model": "model.MODEL"})
    dial = Box("dial", "DetourMidBlockBypass", links={"model": "freeu"}, title=DIAL)
    links = {
        "positive": "positive",
        "negative": "negative",
        "control_net": "net",
        "image": "pose.IMAGE",
    }
    control = [
        Box("net", "ControlNetLoader", {"control_net_name": CONTROL_NET}),
        Box("pose", "LoadImage", {"image": POSE}, title="A pose map (OpenPose)"),
        Box("control", "ControlNetApplyAdvanced", {"strength": 0.9}, links),
    ]
    start = _start(SD15, NURSE, _empty(512, 4), control)
    pair = _pair([freeu, dial], "freeu", "dial", prompts="control")
    pair[0] = Group(
        "FreeU and ControlNet without Detour", [[freeu], *pair[0].columns[1:]], pair[0].colour
    )
    pair[1] = Group("The same with Detour", [[], *pair[1].columns[1:]], GREEN)
    return _spec("With FreeU and ControlNet", CONTROL, start, pair)


def specs() -> list[Spec]:
    """All example workflows."""
    real = (sd15_ab, sdxl_window, image_to_image, sd15_sweep, freeu_and_control)
    return [make() for make in (*TINY, *real, *CLASSIFIERS, *WHO)]
