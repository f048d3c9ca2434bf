"""The example workflows with classifiers: find a shortcut, take it out, prove it."""

from __future__ import annotations

from .workflow_boxes import asked, classifier, digits, fitted, neutralized, read_me, saved
from .workflow_layout import Group, Spec
from .workflow_notes_classifier import BIASED_AUDITOR, CARTON, NEW_HEAD, REMOVE
from .workflow_sizes import Box
from .workflow_specs_tiny import GREEN, GREY, tiny_latent, tiny_sampler

BIASED, READER = "coloured_digits.safetensors", "digit_reader.safetensors"
MOBILENET, CARTON_FOLDER = "mobilenet_v2.pth", "carton"
DRAWN = 384


def biased_auditor() -> Spec:
    """An auditor that looks at the colour, mended, beside a reader that sees no colour."""
    window = {"end_percent": 0.45}
    tiny = [
        Box("model", "DetourDemoModel", {"prompt": ""}, title="Tiny model"),
        Box("dial", "DetourMidBlockBypass", window, {"model": "model"}, "Variety Dial"),
    ]
    drawn = [
        [
            Box("vae", "VAELoader", {"vae_name": "pixel_space"}, title="Pixels, no VAE needed"),
            tiny_latent(DRAWN),
            tiny_sampler("sampler", "dial", seed_from=""),
        ],
        [
            Box("decode", "VAEDecode", links={"samples": "sampler", "vae": "vae"}),
            Box("sheet", "DetourContactSheet", {"columns": 24}, {"images": "decode"}),
            Box("shown", "PreviewImage", links={"images": "sheet"}, size=(420, 380)),
        ],
    ]
    mended = [
        [classifier("biased", BIASED, "The auditor"), digits("probes", 1500, "Both colours")],
        [neutralized("biased", "probes"), saved("colour blind")],
        [
            classifier("reader", READER, "A backbone that sees no colour"),
            fitted("probes", classifier="reader"),
        ],
    ]
    counted = [
        [asked("before", "biased", "decode", "1. The auditor as it is")],
        [asked("after", "edit", "decode", "2. The auditor after the edit")],
        [asked("truth", "fitted", "decode", "3. A reader that sees no colour")],
    ]
    return Spec(
        "Tiny classifier shortcut",
        [
            read_me(BIASED_AUDITOR),
            [Group("What the tiny model draws", [tiny, *drawn])],
            [
                Group("Find the shortcut, take it out", mended, GREEN),
                Group("Who is in the pictures?", counted, GREY),
            ],
        ],
    )


def remove_a_class() -> Spec:
    """A class that is never predicted again."""
    links = {"classifier": "reader", "probes": "probes"}
    columns = [
        [
            classifier("reader", READER, "A reader of ten digits"),
            digits("probes", 2000, "Ten classes", classes="digits"),
        ],
        [Box("edit", "DetourRemoveClass", {"class_name": "7"}, links)],
        [saved("no sevens"), asked("asked", "edit", "probes.IMAGE", "No sevens any more")],
    ]
    return Spec("Tiny remove a class", [read_me(REMOVE), [Group("Remove a class", columns, GREEN)]])


def new_head() -> Spec:
    """A real ImageNet backbone, a head with a shortcut, and a few edited numbers."""
    columns = [
        [
            classifier("mobile", MOBILENET, "MobileNetV2 (ImageNet)"),
            digits("biased", 1500, "Colour goes with the class", correlation=0.9),
        ],
        [
            fitted("biased", classifier="mobile"),
            digits("probes", 1500, "Every digit in both colours", digits_seed=1),
        ],
        [neutralized("fitted", "probes", edit="one_weight_bias")],
        [saved("new head")],
    ]
    return Spec(
        "MobileNetV2 new head", [read_me(NEW_HEAD), [Group("Fit and mend", columns, GREEN)]]
    )


def carton() -> Spec:
    """ImageNet's own shortcut: a watermark is taken for a carton."""
    choice = {"method": "paired", "edit": "one_weight", "target_class": "carton"}
    columns = [
        [
            classifier("mobile", MOBILENET, "MobileNetV2 (ImageNet)"),
            Box("probes", "DetourProbeFolder", {"folder": CARTON_FOLDER}),
        ],
        [neutralized("mobile", "probes", **choice)],
        [saved("carton")],
    ]
    return Spec(
        "ImageNet carton shortcut", [read_me(CARTON), [Group("One weight", columns, GREEN)]]
    )


CLASSIFIERS = (biased_auditor, remove_a_class, new_head, carton)
