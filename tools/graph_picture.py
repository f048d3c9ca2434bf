"""Draw a workflow's graph: groups, boxes with their names, wires in the colours of the editor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image, ImageDraw

from .picture_frame import BACK, INK, SOFT, letters
from .workflow import NOTES
from .workflow_sizes import ROW, TITLE

WIDTH, HEIGHT, EDGE, FINE = 600, 400, 12, 3
"""FINE: drawn that many times larger, then reduced, for smooth wires."""
HEAD = 52
WIRES = {
    "MODEL": (179, 157, 219),
    "CLIP": (255, 213, 0),
    "VAE": (255, 110, 110),
    "CONDITIONING": (255, 169, 49),
    "LATENT": (255, 156, 249),
    "IMAGE": (100, 181, 246),
    "CONTROL_NET": (110, 231, 183),
    "CLIP_VISION": (168, 218, 220),
    "DETOUR_CLASSIFIER": (244, 114, 182),
    "DETOUR_PROBES": (190, 205, 90),
    "DETOUR_EDIT": (255, 140, 40),
}
OTHER_WIRE = (150, 168, 150)
BOX, BOX_EDGE, OURS, FRAME = (58, 62, 70), (96, 102, 112), (44, 110, 88), (34, 38, 46)
SHOWS = ("PreviewImage", "SaveImage")
NAMES = {
    "CheckpointLoaderSimple": "Load Checkpoint",
    "CLIPTextEncode": "Prompt",
    "EmptyLatentImage": "Empty Latent",
    "VAEDecode": "VAE Decode",
    "VAEEncode": "VAE Encode",
    "DetourBypassSweep": "Variety Sweep",
    "DetourContactSheet": "Contact Sheet",
    "DetourClassifierFromProbes": "Fit a classifier",
    "DetourNeutralize": "Neutralize Shortcut",
    "DetourSaveEdit": "Save Edit",
    "DetourProbeFolder": "Probes from Folder",
    "CLIPVisionLoader": "Load CLIP Vision",
    "ControlNetLoader": "Load ControlNet",
    "ControlNetApplyAdvanced": "Apply ControlNet",
    "FreeU_V2": "FreeU V2",
    "PreviewImage": "Preview",
    "SaveImage": "Save Image",
}

NAME_SIZES = (9, 7.5, 6)
"""Letters of a node's name, the first that fits; a node too small for them goes without."""

Place = tuple[float, float]


class View:
    """From the editor's coordinates to those of the fine picture."""

    def __init__(self, groups: list[Mapping[str, Any]]) -> None:
        boxes = [group["bounding"] for group in groups]
        self.left, self.top = min(box[0] for box in boxes), min(box[1] for box in boxes)
        width = max(box[0] + box[2] for box in boxes) - self.left
        height = max(box[1] + box[3] for box in boxes) - self.top
        room = (WIDTH - 2 * EDGE, HEIGHT - HEAD - EDGE)
        self.scale = FINE * min(room[0] / width, room[1] / height)
        self.x = (FINE * WIDTH - width * self.scale) / 2
        self.y = FINE * HEAD + (FINE * room[1] - height * self.scale) / 2

    def at(self, x: float, y: float) -> Place:
        """A place in the picture."""
        return self.x + (x - self.left) * self.scale, self.y + (y - self.top) * self.scale

    def box(self, x: float, y: float, width: float, height: float) -> list[Place]:
        """Two opposite corners in the picture."""
        return [self.at(x, y), self.at(x + width, y + height)]


def draw_graph(name: str, workflow: Mapping[str, Any]) -> Image.Image:
    """The graph without its notes, under the workflow's name."""
    nodes = [node for node in workflow["nodes"] if node["type"] not in NOTES]
    groups = [group for group in workflow["groups"] if _holds_any(group, nodes)]
    view = View(groups)
    canvas = Image.new("RGB", (FINE * WIDTH, FINE * HEIGHT), BACK)
    pen = ImageDraw.Draw(canvas)
    for group in groups:
        pen.rounded_rectangle(view.box(*group["bounding"]), 4 * FINE, FRAME)
    _draw_wires(pen, view, workflow)
    for group in groups:
        x, y = view.at(*group["bounding"][:2])
        place, font = (x + 5 * FINE, y), letters(8 * FINE)
        pen.rectangle(pen.textbbox(place, group["title"], font), FRAME)
        pen.text(place, group["title"], SOFT, font)
    for node in nodes:
        _draw_node(pen, view, node)
    pen.text((FINE * EDGE, FINE * 8), name, INK, letters(19 * FINE))
    line = "The graph. Needs models of your own; no result is shown."
    pen.text((FINE * EDGE, FINE * 32), line, SOFT, letters(12 * FINE))
    return canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _holds_any(group: Mapping[str, Any], nodes: list[Mapping[str, Any]]) -> bool:
    left, top, width, height = group["bounding"]
    return any(
        left <= node["pos"][0] < left + width and top <= node["pos"][1] < top + height
        for node in nodes
    )


def _draw_wires(pen: ImageDraw.ImageDraw, view: View, workflow: Mapping[str, Any]) -> None:
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for _, source, out_slot, target, in_slot, kind in workflow["links"]:
        begin, end = nodes[source], nodes[target]
        x0, y0 = begin["pos"][0] + begin["size"][0], begin["pos"][1] + ROW * (out_slot + 0.6)
        x1, y1 = end["pos"][0], end["pos"][1] + ROW * (in_slot + 0.6)
        curve = list(_curve(view.at(x0, y0), view.at(x1, y1)))
        pen.line(curve, WIRES.get(kind, OTHER_WIRE), round(1.4 * FINE), joint="curve")


def _curve(start: Place, end: Place) -> Iterator[Place]:
    """A Bezier curve that leaves to the right and arrives from the left."""
    (x0, y0), (x3, y3) = start, end
    reach = max(20.0 * FINE, abs(x3 - x0) / 2)
    x1, x2 = x0 + reach, x3 - reach
    for number in range(33):
        t = number / 32
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        yield a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y0 + c * y3 + d * y3


def _draw_node(pen: ImageDraw.ImageDraw, view: View, node: Mapping[str, Any]) -> None:
    (x, y), (width, height) = node["pos"], node["size"]
    corners = view.box(x, y - TITLE, width, height + TITLE)
    fill = OURS if node["type"].startswith("Detour") else BOX
    pen.rounded_rectangle(corners, 4 * FINE, fill, BOX_EDGE, FINE // 2)
    (left, top), (right, bottom) = corners
    name = NAMES.get(node["type"], "") or node.get("title") or node["type"]
    if node["type"] in SHOWS or node["type"] == "CLIPTextEncode":
        name = node.get("title") or name
    if node["type"] in SHOWS:
        name += "\n(your pictures)"
    middle = ((left + right) / 2, (top + bottom) / 2)
    for size in NAME_SIZES:
        font = letters(size * FINE)
        text = _wrapped(name, font, right - left - 4 * FINE)
        looks = {"font": font, "anchor": "mm", "align": "center", "spacing": FINE}
        box = pen.multiline_textbbox(middle, text, **looks)
        if box[0] >= left and box[1] >= top and box[2] <= right and box[3] <= bottom:
            pen.multiline_text(middle, text, INK, **looks)
            return


def _wrapped(text: str, font: Any, width: float) -> str:
    """The text with line breaks between words where it is too wide."""
    lines = [""]
    for part in text.split("\n"):
        for word in part.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and font.getlength(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        lines.append("")
    return "\n".join(line for line in lines if line)
