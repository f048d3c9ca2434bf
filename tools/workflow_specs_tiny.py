"""The example workflows that run on the tiny model, with nothing to download."""

from __future__ import annotations

from .workflow_layout import Group, Spec
from .workflow_sizes import Box

SEED, STEPS, PICTURES, COLUMNS = 7, 20, 48, 12
OPEN_WORD, GUIDED = "odd", 3.0
EULER = {"sampler_name": "euler", "scheduler": "normal"}
WIDE_PREVIEW = (640, 262)
GREY, GREEN = "#5c6470", "#3b7a57"

FIRST_STEPS = """## First steps

Press **Run**. Nothing is downloaded; a few seconds on any computer.

A tiny model paints 48 small digits twice, from the same seeds: above as it is, below with the \
**Variety Dial**. The prompt is `odd`: it leaves the digit open (1, 3, 5, 7 or 9), as "a nurse" \
leaves the face open. In training **high digits (5-9) were rare, mostly green**; low ones (0-4) \
common, mostly red. With guidance (`cfg` 3) the model hardly ever answers with a rare one: that \
is its bias.

### What you should see
- **Without Detour**: nearly only 1 and 3, mostly red.
- **With Detour**: more 5, 7 and 9. The same place is the same seed, so compare picture by \
picture: most stay as they are, some turn into another digit, often in their old colour. What is \
drawn changes sooner than its colour. `python dev.py demo` counts hundreds of pictures.
- **The window**: the dial acts only on the first, noisy steps. Then the whole model cleans up.

### What to try next
1. `strength` **0**: both sheets are equal to the last pixel. **0.5**: fewer pictures change. \
**-0.3**: the other way.
2. `end_percent` **0.45**, then **0.6**: more variety, and more broken digits. You pay for one \
with the other.
3. Prompt `even`, or `seven`; an empty prompt and `cfg` **1** in both samplers: any digit.
4. `variant` **mirror**: a twin in which the low digits are the minority. It should turn the \
other way round.
5. Another number in **Seed for both**."""

SWEEP = """## One sheet, several strengths

Press **Run**. Everything behind the **Variety Sweep** runs once for each number in `strengths`.

### What you should see
- One column for each strength, headed by it; one row for each seed.
- Read along a row: the same seed with more and more bypass. On the left the plain model, on the \
right the full bypass.
- Many rows hardly change; some turn into another digit, most of them from one strength on.
- The window is a little longer here (`end_percent` 0.45), so that more rows change. The price: \
more broken digits.

### What to try next
1. `strengths` **-0.5, 0, 0.5, 1**: below 0 the mid-block counts more.
2. `end_percent` **0.3**, the dial's usual window, and **0.6**.
3. `batch_size` **12**: twice as many seeds.
4. The sheet is saved as `detour/sweep` in the output folder."""

IMAGE_TO_IMAGE = """## Image to image needs another window

Press **Run**. The first sampler paints 24 digits. Two others paint over them with `denoise` \
**0.6**, both from one other seed.

An image-to-image run begins late, with a picture that is already half clear. The dial's usual \
window lies in the early, noisy part, which such a run never visits.

### What you should see
- **Window by sigma**: the dial does nothing, and a notice on its node says so: *the window was \
never reached; use schedule_by = step*.
- **Window by step**: the same window, now over the steps of **this** run. A few digits come out \
differently from the sheet above it.

### What to try next
1. `denoise` **0.8** and **0.4** in both of the lower samplers.
2. `end_percent` **0.6** in the dial by step.
3. For your own pictures: the workflow *SDXL or SD image to image*."""


def _model(prompt: str = "") -> list[Box]:
    wanted = {"prompt": prompt, "variant": "demo"}
    return [
        Box("model", "DetourDemoModel", wanted, title="Tiny model"),
        Box("vae", "VAELoader", {"vae_name": "pixel_space"}, title="Pixels, no VAE needed"),
    ]


def tiny_latent(batch: int) -> Box:
    """An empty picture for the tiny model, which has no latent space of its own."""
    widgets = {"width": 16, "height": 16, "batch_size": batch}
    return Box("latent", "EmptyChromaRadianceLatentImage", widgets, title="Empty picture 16x16")


def tiny_sampler(
    key: str,
    model: str,
    latent: str = "latent",
    seed_from: str = "seed",
    words: str = "model",
    **more,
) -> Box:
    """A sampler for the tiny model. `seed_from`: the box that gives the seed; "" = its
    own widget. `words`: the tiny model that gives the conditionings."""
    links = {
        "model": model,
        "positive": f"{words}.positive",
        "negative": f"{words}.negative",
        "latent_image": latent,
    }
    if seed_from:
        links["seed"] = seed_from
    widgets = {"seed": SEED, "steps": STEPS, "cfg": 1.0, "denoise": 1.0, **EULER, **more}
    return Box(key, "KSampler", widgets, links)


def _seed() -> Box:
    return Box("seed", "PrimitiveInt", {"value": SEED}, title="Seed for both")


def _sheet(name: str, title: str, columns: int, preview: tuple[int, int]) -> list[list[Box]]:
    """Decode, lay out and show what the sampler `name` made."""
    return [
        [
            Box(f"{name} decode", "VAEDecode", links={"samples": name, "vae": "vae"}),
            Box(
                f"{name} sheet",
                "DetourContactSheet",
                {"columns": columns},
                {"images": f"{name} decode"},
            ),
        ],
        [
            Box(
                f"{name} preview",
                "PreviewImage",
                links={"images": f"{name} sheet"},
                title=title,
                size=preview,
            )
        ],
    ]


def _window() -> Group:
    plan = {"scheduler": "normal", "steps": STEPS, "denoise": 1.0}
    plot = Box(
        "plot",
        "DetourPlotSchedule",
        links={"model": "model", "sigmas": "steps"},
        title="Set it like the Variety Dial",
    )
    return Group(
        "The window: when the dial acts",
        [
            [Box("steps", "BasicScheduler", plan, {"model": "model"}, "The sampler's steps")],
            [plot],
            [],
            [Box("plot preview", "PreviewImage", links={"images": "plot"}, size=(640, 350))],
        ],
        GREY,
    )


def first_steps() -> Spec:
    """The same seeds without and with the dial."""
    dial = Box("dial", "DetourMidBlockBypass", links={"model": "model"}, title="Variety Dial")
    plain = _sheet("plain", "Without Detour", COLUMNS, WIDE_PREVIEW)
    varied = [[tiny_sampler("varied", "dial", cfg=GUIDED)]]
    varied += _sheet("varied", "With Detour", COLUMNS, WIDE_PREVIEW)
    return Spec(
        "Tiny model first steps",
        [
            [Group("Read me", [[Box("note", "MarkdownNote", {"text": FIRST_STEPS})]], GREY)],
            [Group("The tiny model", [[*_model(OPEN_WORD), tiny_latent(PICTURES), _seed()]])],
            [
                Group("Without Detour", [[], [tiny_sampler("plain", "model", cfg=GUIDED)], *plain]),
                Group("With Detour", [[dial], *varied], GREEN),
                _window(),
            ],
        ],
    )


def sweep() -> Spec:
    """One column for each strength."""
    models = Box(
        "sweep",
        "DetourBypassSweep",
        {"strengths": "0, 0.25, 0.5, 0.75, 1", "end_percent": 0.45},
        {"model": "model"},
    )
    sheet = Box(
        "sheet",
        "DetourContactSheet",
        links={"images": "decode", "labels": "sweep.labels"},
    )
    save = Box(
        "save",
        "SaveImage",
        {"filename_prefix": "detour/sweep"},
        {"images": "sheet"},
        size=(520, 660),
    )
    sampler = tiny_sampler("sampler", "sweep.models", cfg=GUIDED)
    decode = Box("decode", "VAEDecode", links={"samples": "sampler", "vae": "vae"})
    seed = Box("seed", "PrimitiveInt", {"value": SEED}, title="Seed")
    return Spec(
        "Tiny model sweep",
        [
            [Group("Read me", [[Box("note", "MarkdownNote", {"text": SWEEP})]], GREY)],
            [Group("The tiny model", [[*_model(OPEN_WORD), tiny_latent(6), seed]])],
            [
                Group(
                    "The same seeds at several strengths",
                    [[models], [sampler], [decode, sheet], [save]],
                    GREEN,
                )
            ],
        ],
    )


def image_to_image() -> Spec:
    """The window by sigma, which such a run never reaches, beside the window by step."""
    preview = (560, 310)
    groups = [
        Group(
            "The pictures to start from",
            [[], [tiny_sampler("first", "model")], *_sheet("first", "The start", 8, preview)],
        )
    ]
    for by, colour in (("sigma", GREY), ("step", GREEN)):
        title = f"Painted over, window by {by}"
        dial = Box(
            f"dial {by}",
            "DetourMidBlockBypass",
            {"schedule_by": by},
            {"model": "model"},
            "Variety Dial",
        )
        sampler = tiny_sampler(by, f"dial {by}", "first", "seed over", denoise=0.6)
        groups.append(Group(title, [[dial], [sampler], *_sheet(by, title, 8, preview)], colour))
    note = Box("note", "MarkdownNote", {"text": IMAGE_TO_IMAGE})
    seeds = [
        Box("seed", "PrimitiveInt", {"value": SEED}, title="Seed of the start"),
        Box("seed over", "PrimitiveInt", {"value": SEED + 1}, title="Seed for painting over"),
    ]
    return Spec(
        "Tiny model image to image",
        [
            [Group("Read me", [[note]], GREY)],
            [Group("The tiny model", [[*_model(), tiny_latent(24), *seeds]])],
            groups,
        ],
    )


TINY = (first_steps, sweep, image_to_image)
