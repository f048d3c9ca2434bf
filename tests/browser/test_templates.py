"""What a newcomer does: open a template by clicking, run it, read its help, see the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_preview import DIAL
from .test_results import NOTICE, RESULT

FOLDER = Path(__file__).parents[2] / "example_workflows"
DOCS = Path(__file__).parents[2] / "js" / "docs"
TEMPLATE = "Tiny model first steps"
NEUTRALIZE = "DetourNeutralize"
LAID_OUT = ("Tiny model image to image", "Tiny who is who", "With FreeU and ControlNet")
"""Workflows that together hold nearly all kinds of nodes."""
LONG = "The window from 0 to 0.3 was never reached; use schedule_by = step, then look again. "
PLACES = """() => {
  const { ds, canvas } = app.canvas;
  const page = canvas.getBoundingClientRect();
  const graphX = (x) => (x - page.left) / ds.scale - ds.offset[0];
  const graphY = (y) => (y - page.top) / ds.scale - ds.offset[1];
  const nodes = app.graph.nodes.flatMap((node) => {
    const [[x, y], [w, h]] = [node.pos, node.size];
    const element = document.querySelector(`[data-node-id="${node.id}"]`);
    const box = element?.getBoundingClientRect();
    const seen = box && [graphX(box.left), graphY(box.top), graphX(box.right), graphY(box.bottom)];
    const name = node.title || node.type;
    const places = [[name, [x, y - LiteGraph.NODE_TITLE_HEIGHT, x + w, y + h]]];
    if (seen) places.push([`${name} (Nodes 2.0)`, seen]);
    return places.map(([name, place]) => [node.id, name, place]);
  });
  const groups = (app.graph.groups ?? app.graph._groups).map(({ pos: [x, y], size: [w, h] }) =>
    [x, y, x + w, y + h]);
  return { nodes, groups };
}"""


def assert_room(desk) -> None:
    """No two nodes overlap, and each lies in a group; a pixel of rounding is allowed."""
    found = desk.run(PLACES)
    for number, (node, name, (left, top, right, bottom)) in enumerate(found["nodes"]):
        for other, other_name, (x0, y0, x1, y1) in found["nodes"][:number]:
            across = min(right, x1) - max(left, x0)
            down = min(bottom, y1) - max(top, y0)
            assert node == other or across <= 1 or down <= 1, f"{name} lies on {other_name}"
        assert any(
            left >= x0 - 1 and top >= y0 - 1 and right <= x1 + 1 and bottom <= y1 + 1
            for x0, y0, x1, y1 in found["groups"]
        ), f"{name} leaves its group"


@pytest.mark.parametrize("name", LAID_OUT)
def test_nodes_have_room_before_and_after_a_run(desk, name):
    workflow = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    desk.run("(workflow) => app.loadGraphData(workflow)", workflow)  # in a tab of its own
    desk.camera(0.25, (100, 300))
    desk.settle()
    assert_room(desk)
    desk.run(
        """(text) => {
          for (const { id, type } of app.graph.nodes) {
            const node = String(id);
            app.api.dispatchCustomEvent("detour.notice", { node, text, missed: true });
            const output = { detour_report: [text.repeat(40)] };
            if (type.startsWith("Detour") && type !== "DetourDemoModel" &&
                app.graph.getNodeById(id).outputs.some(({ name }) => name === "report")) {
              app.api.dispatchCustomEvent("executed", { node, display_node: node, output });
            }
          }
        }""",
        LONG,
    )
    desk.page.wait_for_timeout(250)
    desk.settle()
    assert_room(desk)


WIDE = """() => {
  const style = document.createElement("style");
  style.textContent = '* { font-family: "DejaVu Sans", Verdana !important }';  // of one width
  document.head.append(style);
  window.wide = style;
  const pen = document.createElement("canvas").getContext("2d");
  const width = (font) => ((pen.font = `100px ${font}`), pen.measureText("Markdown").width);
  return width('"DejaVu Sans", Verdana, monospace') !== width("monospace");
}"""


@pytest.fixture
def wide_letters(desk):
    """The page in letters a fifth wider than the usual ones."""
    there = desk.run(WIDE)
    if there:
        yield
    desk.run("() => window.wide.remove()")
    if not there:
        pytest.skip("This machine has neither DejaVu Sans nor Verdana.")


@pytest.mark.usefixtures("wide_letters")
def test_every_workflow_has_room_for_wide_letters(desk):
    for file in sorted(FOLDER.glob("*.json")):
        workflow = json.loads(file.read_text(encoding="utf-8"))
        desk.run("(workflow) => app.loadGraphData(workflow)", workflow)
        desk.camera(0.25, (100, 300))
        desk.settle()
        assert_room(desk)


@pytest.mark.each_frontend
def test_a_template_is_opened_by_clicking_and_run(desk, run):
    desk.run("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    desk.page.get_by_text(TEMPLATE, exact=True).locator("visible=true").first.click()
    desk.page.wait_for_function("() => app.graph.nodes.length === 17")
    desk.page.get_by_text(TEMPLATE, exact=True).locator("visible=true").first.wait_for()
    kinds = desk.run("Object.fromEntries(app.graph.nodes.map((node) => [node.type, node.id]))")
    desk.set(str(kinds["EmptyChromaRadianceLatentImage"]), batch_size=2)
    run()
    notice = desk.element(str(kinds[DIAL]), NOTICE)
    desk.page.wait_for_function(
        "(box) => box.textContent === 'strength 1: bypassed 6 of 20 model calls'", arg=notice
    )
    drawn = [
        output["images"][0]
        for output in desk.run("app.nodeOutputs").values()
        if output.get("images")
    ]
    assert len(drawn) == 3, "without, with, the plot"


@pytest.mark.each_frontend
def test_a_real_result_is_drawn_and_there_again_without_running(desk, run, pictures):
    nodes = [
        ["digits", "DetourDemoDigits", 0, 0, {"count": 80}],
        ["load", "DetourLoadClassifier", 0, 700, {"file": "coloured_digits.safetensors"}],
        [
            "edit",
            NEUTRALIZE,
            560,
            0,
            {"method": "evidence", "edit": "one_weight", "max_weights": 1},
        ],
    ]
    links = [["digits", "PROBES", "edit", "probes"], ["load", "CLASSIFIER", "edit", "classifier"]]
    node = desk.build(nodes, links)["edit"]
    box = desk.element(node, RESULT)
    assert "Run" in box.query_selector("pre").text_content()
    run()
    shown = "(box) => box.querySelector('img').naturalWidth === 960 && box.offsetHeight > 600"
    desk.camera(0.6)
    desk.page.wait_for_function(shown, arg=box)
    report = box.query_selector("pre").text_content()
    assert "high, red" in report and "accuracy" in report
    desk.screenshot(pictures / f"{desk.name}-neutralize.png")
    saved = desk.saved()
    desk.clear()
    desk.reload(saved)
    desk.camera(0.6)
    again = desk.element(node, RESULT)
    desk.page.wait_for_function(shown, arg=again)
    assert again.query_selector("pre").text_content() == report


@pytest.mark.each_frontend
@pytest.mark.parametrize("kind", [DIAL, NEUTRALIZE])
def test_the_help_panel_shows_our_page(desk, kind):
    node = desk.build([["a", kind, 200, 60, {}]])["a"]
    desk.run("(id) => app.canvas.selectNode(app.graph.getNodeById(id))", node)
    desk.page.locator('[data-testid="info-button"]').dispatch_event("click")
    second = (DOCS / f"{kind}.md").read_text(encoding="utf-8").splitlines()[2]
    words = second.replace("**", "").replace("*", "")[:40]
    desk.page.get_by_text(words).locator("visible=true").first.wait_for(timeout=8000)
