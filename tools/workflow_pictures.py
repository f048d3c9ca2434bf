"""The pictures beside the example workflows: `python -m tools.workflow_pictures`.

Workflows on the tiny model and on what `dev.py examples` brings are run, in a ComfyUI that is
started for it (`COMFYUI_PATH`), and their real output is framed. The others need models of the
user's own, so their picture is the drawn graph.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageStat

from .checks import ROOT
from .commands import EXAMPLES
from .failure import Failure, say
from .graph_picture import draw_graph
from .make_workflows import FOLDER, local_host
from .picture_frame import BACK, INK, ORANGE, SOFT, letters, save
from .server import ComfyServer
from .workflow import to_prompt

WIDTH, EDGE, LINE, HEAD = 600, 12, 20, 58
TEXT, TITLE = 14, 19
CELL, GAP = 96, 6
"""Pixels of a tiny picture and of the space between two on a contact sheet."""
CHANGED = 14.0
"""Mean difference (of 255) from which on two pictures are drawn differently."""

Pictures = Mapping[str, Image.Image]


def run_pictures(server: ComfyServer, workflow: Mapping[str, Any]) -> dict[str, Image.Image]:
    """Run a workflow; the pictures it made by the title of the node that shows them."""
    prompt = to_prompt(workflow, server.get_json("/object_info"))
    found = {}
    for node, output in server.run(prompt).items():
        for place in (*output.get("images", ()), *output.get("detour_chart", ())):
            data = server.view(place["filename"], place["subfolder"], place["type"])
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            found[prompt[node]["_meta"]["title"]] = picture
    return found


def outlined(plain: Image.Image, varied: Image.Image) -> Image.Image:
    """A copy of a contact sheet with those cells outlined that differ clearly from `plain`."""
    sheet, step = varied.copy(), CELL + GAP
    pen = ImageDraw.Draw(sheet)
    for top in range(GAP, sheet.height - CELL, step):
        for left in range(GAP, sheet.width - CELL, step):
            box = (left, top, left + CELL, top + CELL)
            red, green, blue = ImageChops.difference(plain.crop(box), varied.crop(box)).split()
            strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
            if ImageStat.Stat(strongest).mean[0] > CHANGED:
                pen.rectangle((left - 6, top - 6, left + CELL + 5, top + CELL + 5), None, ORANGE, 7)
    return sheet


def first_steps(name: str, pictures: Pictures) -> Image.Image:
    """The two sheets under each other."""
    plain, varied = pictures["Without Detour"], pictures["With Detour"]
    across = WIDTH - 2 * EDGE
    sheets = [_to_width(sheet, across) for sheet in (plain, outlined(plain, varied))]
    step = LINE + sheets[0].height + EDGE
    line = "Prompt 'odd'. One place is one seed. Outlined: drawn differently."
    canvas = _titled(name, line, HEAD + 2 * step)
    _put(canvas, (EDGE, HEAD), "Without Detour", sheets[0])
    _put(canvas, (EDGE, HEAD + step), "With Detour", sheets[1])
    return canvas


def image_to_image(name: str, pictures: Pictures) -> Image.Image:
    """The start above, the two ways to paint over it below."""
    by_sigma = pictures["Painted over, window by sigma"]
    by_step = outlined(by_sigma, pictures["Painted over, window by step"])
    across = (WIDTH - 3 * EDGE) // 2
    start, left, right = (_to_width(p, across) for p in (pictures["The start"], by_sigma, by_step))
    step, middle = LINE + start.height + EDGE, 2 * EDGE + across
    canvas = _titled(name, "24 digits, painted over at denoise 0.6.", HEAD + 2 * step)
    _put(canvas, (EDGE, HEAD), "The start", start)
    lines = [
        "Such a run begins late.",
        "By sigma: the dial's window lies before",
        "its first step.",
    ]
    lines += ["By step: the window lies over this run.", "Outlined: drawn differently."]
    _write_lines(canvas, (middle, HEAD + LINE), lines)
    _put(canvas, (EDGE, HEAD + step), "Window by sigma: never reached", left)
    _put(canvas, (middle, HEAD + step), "Window by step", right)
    return canvas


def sweep(name: str, pictures: Pictures) -> Image.Image:
    """The tall sheet with the name to its left."""
    (picture,) = pictures.values()
    canvas = Image.new("RGB", (WIDTH, 400), BACK)
    inside = canvas.height - 2 * EDGE
    sheet = _to_width(picture, round(picture.width * inside / picture.height))
    canvas.paste(sheet, (WIDTH - EDGE - sheet.width, EDGE))
    ImageDraw.Draw(canvas).text((2 * EDGE, 120), name, INK, letters(TITLE))
    lines = ["One column for each strength,", "one row for each seed.", ""]
    _write_lines(canvas, (2 * EDGE, 160), [*lines, "Left: the plain model.", "Right: full bypass."])
    return canvas


def bars(name: str, pictures: Pictures) -> Image.Image:
    """The groups before and after an edit, and the pictures that they are of."""
    probes, line = BARS[name]
    shown = _to_width(pictures[probes], WIDTH // 2 - 2 * EDGE)
    chart = pictures["Neutralize Shortcut"]
    groups = _to_width(chart.crop((0, 0, chart.width, GROUPS_HEIGHT)), WIDTH - 2 * EDGE)
    canvas = _titled(name, line, HEAD + shown.height + 2 * EDGE + groups.height)
    canvas.paste(shown, (EDGE, HEAD))
    lines = [
        "A shortcut is found,",
        "named and taken out",
        "by editing a number or two",
        "of the last layer.",
    ]
    _write_lines(canvas, (WIDTH // 2 + EDGE, HEAD + LINE), lines)
    canvas.paste(groups, (EDGE, HEAD + shown.height + EDGE))
    return canvas


def removal(name: str, pictures: Pictures) -> Image.Image:
    """How often each class is predicted before and after."""
    chart = pictures["Remove Class"]
    shown = _to_width(chart, round(chart.width * 430 / chart.height))
    canvas = _titled(name, "One weight is edited; the other classes stay.", HEAD + 430 + EDGE)
    canvas.paste(shown, ((WIDTH - shown.width) // 2, HEAD))
    return canvas


def shortcut(name: str, pictures: Pictures) -> Image.Image:
    """What a watermark adds before and after the edit; the marked photos are not shown."""
    chart = _to_width(pictures["Neutralize Shortcut"], WIDTH - 2 * EDGE)
    canvas = _titled(name, "A real network, a real shortcut, one weight.", HEAD + chart.height + 86)
    canvas.paste(chart, (EDGE, HEAD))
    lines = [
        "MobileNetV2 takes a faint watermark for evidence of a carton.",
        "One weight of its last layer takes that out; its bias cannot.",
    ]
    _write_lines(canvas, (EDGE, HEAD + chart.height + EDGE), lines)
    return canvas


BARS = {
    "Tiny classifier shortcut": ("Both colours", "A classifier that looks at the colour, mended."),
    "Tiny who is who": ("eight, with mark", "A classifier that looks at the white mark, mended."),
    "MobileNetV2 new head": (
        "Every digit in both colours",
        "A real network, and a head that looks at the colour, mended.",
    ),
}
"""The workflows that mend a classifier: the node that shows its pictures, and a line."""
GROUPS_HEIGHT = 380
"""The first part of the chart of four groups."""

DRAWN: dict[str, Callable[[str, Pictures], Image.Image]] = {
    "Tiny model first steps": first_steps,
    "Tiny model image to image": image_to_image,
    "Tiny model sweep": sweep,
    "Tiny classifier shortcut": bars,
    "Tiny who is who": bars,
    "Tiny remove a class": removal,
    "MobileNetV2 new head": bars,
    "ImageNet carton shortcut": shortcut,
}
"""The workflows that are run, and who frames what they make."""


def _titled(name: str, line: str, height: int) -> Image.Image:
    canvas = Image.new("RGB", (WIDTH, height), BACK)
    pen = ImageDraw.Draw(canvas)
    pen.text((EDGE, EDGE - 2), name, INK, letters(TITLE))
    pen.text((EDGE, EDGE + 22), line, SOFT, letters(TEXT))
    return canvas


def _put(canvas: Image.Image, place: tuple[int, int], title: str, sheet: Image.Image) -> None:
    x, y = place
    ImageDraw.Draw(canvas).text(place, title, INK, letters(TEXT))
    canvas.paste(sheet, (x, y + LINE))


def _write_lines(canvas: Image.Image, place: tuple[int, int], lines: list[str]) -> None:
    pen = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        pen.text((place[0], place[1] + number * LINE), line, SOFT, letters(TEXT))


def _to_width(picture: Image.Image, width: int) -> Image.Image:
    height = round(picture.height * width / picture.width)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _write(name: str, picture: Image.Image) -> None:
    target = FOLDER / f"{name}.jpg"
    size = save(picture, target)
    say(f"{target.name}: {picture.width}x{picture.height}, {size / 1024:.0f} KiB")


def main() -> int:
    """Draw all of them; the exit status."""
    workflows = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(FOLDER.glob("*.json"))
    }
    try:
        for name in sorted(set(workflows) - set(DRAWN)):
            _write(name, draw_graph(name, workflows[name]))
        with ComfyServer(local_host(), {"detour": ROOT}) as server:
            subprocess.run([sys.executable, "-m", EXAMPLES, str(server.base)], check=True)
            for name, frame in DRAWN.items():
                _write(name, frame(name, run_pictures(server, workflows[name])))
    except Failure as failure:
        say(f"{failure.details}\nError: {failure}".strip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
