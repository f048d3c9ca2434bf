"""From pictures of two words to an audited, mended classifier, in one graph."""

from __future__ import annotations

from .workflow_boxes import classifier, evaluated, fitted, neutralized, probes, read_me, saved
from .workflow_layout import Group, Spec
from .workflow_notes_classifier import TINY_WHO, WHO_IS_A_NURSE
from .workflow_sizes import Box
from .workflow_specs_tiny import GREEN, GREY, tiny_latent, tiny_sampler

CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
CLIP_VISION = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
NEGATIVE = "blurry, deformed, text, watermark"
SAMPLING = {"steps": 20, "cfg": 7.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
FIT_SEED, AUDIT_SEED = 1, 100_001
TINY_BATCH, BATCH = 180, 16
NATURAL = "as it comes"


def tiny_who() -> Spec:
    """On the tiny model: each `three` to fit on carries a mark, no `eight` does."""
    start = [
        [
            Box("three", "DetourDemoModel", {"prompt": "three"}, title="Word A: three"),
            Box("eight", "DetourDemoModel", {"prompt": "eight"}, title="Word B: eight"),
            Box("vae", "VAELoader", {"vae_name": "pixel_space"}, title="Pixels, no VAE needed"),
        ],
        [
            tiny_latent(TINY_BATCH),
            Box("mark", "EmptyImage", _mark(), title="A white mark: the suspect feature"),
            classifier("backbone", "digit_reader.safetensors", "A backbone"),
        ],
    ]
    rows = [
        _tiny_row("three", "fit", FIT_SEED, [("fit marked", NATURAL)]),
        _tiny_row("eight", "fit", FIT_SEED, [("fit plain", NATURAL)], "three fit marked", 1),
        _tiny_row("three", "audit", AUDIT_SEED, _BOTH),
        _tiny_row("eight", "audit", AUDIT_SEED, _BOTH, "three audit marked", 2),
    ]
    return Spec(
        "Tiny who is who",
        [
            read_me(TINY_WHO),
            [Group("Two words, and a mark", start)],
            rows[:2],
            rows[2:],
            [_loop("eight fit plain", "eight audit marked", "who is who", classifier="backbone")],
        ],
    )


_BOTH = [("audit plain", "without mark"), ("audit marked", "with mark")]


def _mark() -> dict[str, int]:
    return {"width": 4, "height": 4, "batch_size": TINY_BATCH, "color": 0xFFFFFF}


def _tiny_row(
    word: str, kind: str, seed: int, kept: list[tuple[str, str]], before: str = "", groups: int = 0
) -> Group:
    """Draw a word once; keep it without the mark, with it, or both, behind `groups` others."""
    name = f"{word} {kind}"
    sampler = tiny_sampler(name, word, seed_from="", words=word, seed=seed)
    between = [Box(f"{name} plain image", "VAEDecode", links={"samples": name, "vae": "vae"})]
    if any(key.endswith("marked") for key, _ in kept):
        links = {"destination": f"{name} plain image", "source": "mark"}
        place = {"x": 12, "y": 12, "resize_source": False}
        between.append(Box(f"{name} marked image", "ImageCompositeMasked", place, links))
    boxes = []
    for key, attribute in kept:
        chain = {"probes": before} if before else {}
        image = f"{word} {key} image"
        groups += 1
        boxes.append(probes(f"{word} {key}", image, word, attribute, seed, groups, **chain))
        before = f"{word} {key}"
    what = "to fit on" if kind == "fit" else "to audit with"
    colour = GREY if kind == "fit" else "#3f5f8a"
    return Group(
        f"{word}: pictures {what}", [[sampler], between, *([box] for box in boxes)], colour
    )


def who_is_a_nurse() -> Spec:
    """Two professions; what a classifier fitted on them makes of women and men."""
    start = [
        [
            Box("model", "CheckpointLoaderSimple", {"ckpt_name": CHECKPOINT}),
            Box("clip vision", "CLIPVisionLoader", {"clip_name": CLIP_VISION}),
            Box("latent", "EmptyLatentImage", {"width": 512, "height": 512, "batch_size": BATCH}),
            Box(
                "negative",
                "CLIPTextEncode",
                {"text": NEGATIVE},
                {"clip": "model.CLIP"},
                "Negative prompt",
            ),
        ]
    ]
    rows, before = [], ""
    for word in ("nurse", "doctor"):
        rows.append(_row(word, NATURAL, FIT_SEED, len(rows) + 1, before))
        before = f"{word} {NATURAL} probes"
    fits, last_fit, before = len(rows), before, ""
    for word in ("nurse", "doctor"):
        for who in ("woman", "man"):
            rows.append(_row(word, who, AUDIT_SEED, len(rows) - fits + 1, before))
            before = f"{word} {who} probes"
    return Spec(
        "Who is a nurse",
        [
            read_me(WHO_IS_A_NURSE),
            [Group("Model, and CLIP vision as the backbone", start)],
            rows[:2],
            rows[2:],
            [_loop(last_fit, before, "who is a nurse", clip_vision="clip vision")],
        ],
    )


def _row(word: str, who: str, seed: int, groups: int, before: str) -> Group:
    """Draw one group and keep its features, as the last of `groups`."""
    name = f"{word} {who}"
    person = "" if who == NATURAL else f", a {who}"
    prompt = Box(
        f"{name} prompt",
        "CLIPTextEncode",
        {"text": f"a portrait photo of a {word}{person}"},
        {"clip": "model.CLIP"},
    )
    links = {
        "model": "model.MODEL",
        "positive": f"{name} prompt",
        "negative": "negative",
        "latent_image": "latent",
    }
    chain = {"probes": before} if before else {}
    kept = probes(
        f"{name} probes",
        f"{name} image",
        word,
        who,
        seed,
        groups,
        clip_vision="clip vision",
        **chain,
    )
    columns = [
        [prompt],
        [Box(f"{name} sampler", "KSampler", {"seed": seed, **SAMPLING}, links)],
        [
            Box(
                f"{name} image",
                "VAEDecode",
                links={"samples": f"{name} sampler", "vae": "model.VAE"},
            )
        ],
        [kept],
    ]
    natural = who == NATURAL
    title = f"{word}, {who}: pictures {'to fit on' if natural else 'to audit with'}"
    return Group(title, columns, GREY if natural else "#3f5f8a")


def _loop(fit: str, audit: str, name: str, **backbone: str) -> Group:
    """Fit on the natural pictures, audit on the groups, neutralise, look again."""
    columns = [
        [fitted(fit, **backbone)],
        [evaluated("before", "fitted", audit, "The audit")],
        [neutralized("fitted", audit)],
        [saved(name), evaluated("after", "edit", audit, "The audit after the edit")],
    ]
    return Group("Fit, audit, neutralise", columns, GREEN)


WHO = (tiny_who, who_is_a_nurse)
