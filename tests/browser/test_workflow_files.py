"""The example workflows in the real editor: laid out with room, and saved as they are.

The files are the source of the templates; these tests are what keeps them whole. As they are, they
are saved by the ComfyUI that our tests fetch: a newer one adds outputs to nodes of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tools.downloads import VERSION
from tools.workflows import FOLDER, to_prompt, to_text

EVERYWHERE = ("Tiny model first steps", "Who is a nurse")
"""The files that are loaded with every frontend and renderer: our widgets, and a subgraph."""
ONCE = [pytest.mark.each_frontend]
FILES = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in EVERYWHERE else ONCE)
    for path in sorted(FOLDER.glob("*.json"))
]

LONG = "The window from 0 to 0.3 was never reached; use schedule_by = step, then look again. "
PLACES = """() => {
  const { ds, canvas, graph } = app.canvas;
  const page = canvas.getBoundingClientRect();
  const graphX = (x) => (x - page.left) / ds.scale - ds.offset[0];
  const graphY = (y) => (y - page.top) / ds.scale - ds.offset[1];
  const nodes = graph.nodes.flatMap((node) => {
    const [[x, y], [w, h]] = [node.pos, node.size];
    const element = document.querySelector(`[data-node-id="${node.id}"]`);
    const box = element?.getBoundingClientRect();
    const seen = box && [graphX(box.left), graphY(box.top), graphX(box.right), graphY(box.bottom)];
    const name = node.title || node.type;
    const places = [[name, [x, y - LiteGraph.NODE_TITLE_HEIGHT, x + w, y + h]]];
    if (seen) places.push([`${name} (Nodes 2.0)`, seen]);
    return places.map(([name, place]) => [node.id, name, place]);
  });
  const groups = (graph.groups ?? graph._groups).map(({ pos: [x, y], size: [w, h] }) =>
    [x, y, x + w, y + h]);
  return { nodes, groups };
}"""
ENTER = """() => {
  const node = app.canvas.graph.nodes.find((one) => one.subgraph);
  if (node) app.canvas.openSubgraph(node.subgraph, node);
  return Boolean(node);
}"""
RESULTS = """(text) => {
  for (const { id, type } of app.graph.nodes) {
    const node = String(id);
    app.api.dispatchCustomEvent("detour.notice", { node, text, missed: true });
    const output = { detour_report: [text.repeat(40)] };
    if (type.startsWith("Detour") && type !== "DetourDemoModel" &&
        app.graph.getNodeById(id).outputs.some(({ name }) => name === "report")) {
      app.api.dispatchCustomEvent("executed", { node, display_node: node, output });
    }
  }
}"""
WRITTEN = """() => app.graph.nodes.flatMap(({ widgets }) => widgets ?? [])
  .every(({ notice }) => !notice || notice.box.textContent)"""
WIDE = """() => {
  const style = document.createElement("style");
  style.textContent = '* { font-family: "DejaVu Sans", Verdana !important }';  // of one width
  document.head.append(style);
  window.wide = style;
  const pen = document.createElement("canvas").getContext("2d");
  const width = (font) => ((pen.font = `100px ${font}`), pen.measureText("Markdown").width);
  return width('"DejaVu Sans", Verdana, monospace') !== width("monospace");
}"""


def assert_room(desk) -> None:
    """No two nodes overlap, and each lies in a group; a pixel of rounding is allowed."""
    desk.camera(0.25, (100, 300))
    desk.settle()
    found = desk.run(PLACES)
    assert found["nodes"]
    for number, (node, name, (left, top, right, bottom)) in enumerate(found["nodes"]):
        for other, other_name, (x0, y0, x1, y1) in found["nodes"][:number]:
            across = min(right, x1) - max(left, x0)
            down = min(bottom, y1) - max(top, y0)
            assert node == other or across <= 1 or down <= 1, f"{name} lies on {other_name}"
        assert any(
            left >= x0 - 1 and top >= y0 - 1 and right <= x1 + 1 and bottom <= y1 + 1
            for x0, y0, x1, y1 in found["groups"]
        ), f"{name} leaves its group: {left:.0f} {top:.0f} {right:.0f} {bottom:.0f}"


def other_letters(desk) -> Iterator[str]:
    """The page in its own letters; where they make a difference, also in ones a fifth wider."""
    yield "usual"
    if desk.nodes2:
        assert desk.run(WIDE), "This machine has neither DejaVu Sans nor Verdana."
        yield "wide"
        desk.run("() => window.wide.remove()")


@cache
def facts(server) -> tuple[str, dict[str, Any]]:
    """The version of a host, and its nodes."""
    version = server.get_json("/system_stats")["system"]["comfyui_version"]
    return version, server.get_json("/object_info")


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_what_the_editor_saves_and_has_room(desk, path):
    before = json.loads(path.read_text(encoding="utf-8"))
    desk.load(before)
    exported = desk.exported()
    version, nodes = facts(desk.server)
    if version == VERSION:
        saved = to_text(exported["workflow"], before, drawn=desk.nodes2)
        assert saved == path.read_text(encoding="utf-8"), "run `python dev.py workflows --save`"
    assert asked(exported["output"]) == asked(to_prompt(before, nodes))
    desk.run(RESULTS, LONG)  # nodes are at their largest
    desk.page.wait_for_function(WRITTEN)
    for _ in other_letters(desk):
        assert_room(desk)
    while desk.run(ENTER):
        for _ in other_letters(desk):
            assert_room(desk)


def asked(prompt: dict[str, Any]) -> dict[str, Any]:
    """What a prompt asks for, without the titles."""
    return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}
