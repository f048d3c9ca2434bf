"""The pictures beside the example workflows: `python -m tools.workflow_pictures [NAME ...]`.

Each is a screenshot of the real editor, framed around what matters, or what its run drew. Workflows
on the tiny model and on what `dev.py examples` brings are run before; the others need models of the
user's own.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from collections.abc import Sequence

from PIL import Image, ImageDraw

from detour.report.canvas import INK, PAPER, font

from .checks import ROOT
from .commands import EXAMPLES
from .editor import Editor, local_host, open_editor
from .failure import in_one_sentence, say
from .server import ComfyServer
from .workflows import FOLDER

SIZE = {"width": 1350, "height": 900}
SAVED, LARGEST = (900, 600), 100 * 1024
QUALITIES = range(85, 40, -5)
"""The first at which a picture is small enough."""
QUIET = {
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
    "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0.01,
}
CLEAN = ".comfy-menu-hamburger { display: none !important }"
EXAMPLE_FILES, RUN = ("ImageNet", "MobileNetV2"), ("ImageNet", "MobileNetV2", "Tiny")
"""How the names of workflows begin that need the files of `dev.py examples`, that can be run."""
CHARTS = {
    "ImageNet carton shortcut": "Neutralize Shortcut",
    "MobileNetV2 new head": "Neutralize Shortcut",
    "Tiny classifier shortcut": "Neutralize Shortcut",
    "Tiny mend a classifier": "Before and after",
    "Tiny remove a class": "Remove Class",
    "Tiny transformer": "Which Blocks Matter",
    "Tiny who is who": "Neutralize Shortcut",
}
"""The node whose chart is the picture."""
DRAWN = {"Tiny model first steps": ("Without Detour", "With Detour")}
"""The nodes whose pictures, one below the other, are the picture."""
WIDE, TITLE = 800, 31
"""Pixels of such a picture's width, and above it for its title."""
LEFT_OUT = ("Read me", "The tiny model", "The window: when the dial acts")
"""Groups that a picture of a graph does without."""
SHOWN = """() => app.graph.nodes.every(({ images, imgs }) =>
  !images?.length || imgs?.every((one) => one.complete))"""
SOURCE = """(title) => {
  const { id } = app.graph.nodes.find((node) => node.title === title);
  return `${location.origin}/view?${new URLSearchParams(app.nodeOutputs[id].images[0])}`;
}"""
FRAME = """([chart, leftOut, width, height]) => {
  const { graph, ds, canvas } = app.canvas;
  const groups = graph._groups.filter(({ title }) => !leftOut.includes(title));
  let boxes = groups.map(({ pos: [x, y], size: [w, h] }) => [x, y, x + w, y + h]);
  const node = graph.nodes.find(({ title }) => title === chart);
  if (node) {
    const { element } = node.widgets.find(({ name }) => name === "detour_result");
    const image = element.querySelector("img");
    const seen = image.getBoundingClientRect();
    const below = (seen.top - canvas.getBoundingClientRect().top) / ds.scale - ds.offset[1];
    const [[x, above], [w]] = [node.pos, node.size];
    const y = seen.height ? below : above;
    boxes = [[x, y, x + w, y + (w * height) / width]];
  }
  const [left, top] = [0, 1].map((side) => Math.min(...boxes.map((box) => box[side])));
  const [right, bottom] = [2, 3].map((side) => Math.max(...boxes.map((box) => box[side])));
  ds.scale = Math.min(width / (right - left + 16), height / (bottom - top + 16));
  ds.offset = [(width / ds.scale - left - right) / 2, (height / ds.scale - top - bottom) / 2];
  app.canvas.setDirty(true, true);
}"""


def picture(editor: Editor, name: str) -> bytes:
    """The picture of one workflow, run where it can be, as a JPEG."""
    editor.load(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))
    if name.startswith(RUN):
        editor.queue()
        editor.page.wait_for_function(SHOWN)
    shot = drawn(editor, DRAWN[name]) if name in DRAWN else screenshot(editor, name)
    return as_jpeg(shot.resize(SAVED, Image.Resampling.LANCZOS))


def as_jpeg(shot: Image.Image) -> bytes:
    """The picture in the best quality in which it is no larger than `LARGEST`."""
    for quality in QUALITIES:
        data = io.BytesIO()
        shot.save(data, "JPEG", quality=quality, optimize=True)
        if len(data.getvalue()) <= LARGEST:
            break
    return data.getvalue()


def screenshot(editor: Editor, name: str) -> Image.Image:
    """The editor, framed around the chart or the groups of a workflow."""
    for _ in range(2):  # a chart that was not in sight has no place before
        editor.run(FRAME, [CHARTS.get(name), LEFT_OUT, SIZE["width"], SIZE["height"]])
        editor.settle()
        editor.page.wait_for_timeout(800)
    return Image.open(io.BytesIO(editor.page.screenshot())).convert("RGB")


def drawn(editor: Editor, titles: Sequence[str]) -> Image.Image:
    """What the nodes with these titles show, one below the other."""
    canvas = Image.new("RGB", SAVED, PAPER)
    pen, x, y = ImageDraw.Draw(canvas), (SAVED[0] - WIDE) // 2, 0
    for title in titles:
        data = editor.page.request.get(editor.run(SOURCE, title)).body()
        sheet = Image.open(io.BytesIO(data)).convert("RGB")
        pen.text((x, y + TITLE // 2), title, INK, font(22), anchor="lm")
        sheet = sheet.resize((WIDE, WIDE * sheet.height // sheet.width), Image.Resampling.LANCZOS)
        canvas.paste(sheet, (x, y + TITLE))
        y += SAVED[1] // len(titles)
    return canvas


@in_one_sentence
def main(arguments: Sequence[str]) -> int:
    """Make all of them, or those that are named; the exit status."""
    parser = argparse.ArgumentParser(prog="tools.workflow_pictures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="without .json; default all")
    names = parser.parse_args(arguments).names or [p.stem for p in sorted(FOLDER.glob("*.json"))]
    with ComfyServer(local_host(), {"detour": ROOT}) as server:
        if any(name.startswith(EXAMPLE_FILES) for name in names):
            subprocess.run([sys.executable, "-m", EXAMPLES, str(server.base)], check=True)
        server.post_json("/settings", QUIET)
        with open_editor(server, SIZE) as editor:
            editor.run("app.extensionManager.command.execute('Workspace.ToggleFocusMode')")
            editor.page.add_style_tag(content=CLEAN)
            for name in names:
                data = picture(editor, name)
                (FOLDER / f"{name}.jpg").write_bytes(data)
                say(f"{name}: {len(data) / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
