"""What a user keeps: saved, opened again, copied, undone; and found by its name."""

from __future__ import annotations

import pytest

from .test_preview import DIAL, PLOT, SWEEP

VALUES = {
    "strength": -0.25,
    "shape": "curve",
    "start_percent": 0.1,
    "end_percent": 0.9,
    "points": "0:0.5, 1:-1",
}


@pytest.mark.each_frontend
def test_a_workflow_of_before_the_preview_opens_with_room_for_it(desk):
    node = desk.build([["a", DIAL, 0, 0, VALUES]])["a"]
    saved = desk.saved()
    saved["nodes"][0]["size"] = [300, 226]
    desk.reload(saved)
    assert {name: desk.value(node, name) for name in VALUES} == VALUES
    desk.page.wait_for_function(
        "() => { const [node] = app.graph.nodes;"
        " return node.size[1] > 300 && node.size[1] >= node.computeSize()[1]; }"
    )


@pytest.mark.each_frontend
def test_copying_a_node_keeps_its_values(desk):
    node = desk.build([["a", DIAL, 0, 0, VALUES]])["a"]
    desk.run(
        "(id) => { const node = app.graph.getNodeById(id); app.canvas.selectNode(node); "
        "app.canvas.copyToClipboard([node]); app.canvas.pasteFromClipboard(); }",
        node,
    )
    desk.settle()
    assert desk.run("app.graph.nodes.length") == 2
    other = str(desk.run("app.graph.nodes[1].id"))
    assert {name: desk.value(other, name) for name in VALUES} == VALUES
    desk.set(other, strength=0.5)
    assert desk.value(node, "strength") == -0.25


@pytest.mark.each_frontend
@pytest.mark.parametrize(
    ("words", "name"),
    [("mid-block", "Variety Dial"), ("bypass schedule", "Plot")],
)
def test_nodes_are_found_by_name(desk, words, name):
    desk.run("app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    desk.page.locator("input:focus").wait_for(timeout=5000)
    desk.page.keyboard.type(words)
    desk.page.get_by_text(name).locator("visible=true").first.wait_for(timeout=5000)
    desk.page.keyboard.press("Escape")
    desk.page.wait_for_function("() => document.activeElement.tagName !== 'INPUT'")


@pytest.mark.each_frontend
def test_the_preview_follows_a_connected_number(desk):
    nodes = [
        ["number", "PrimitiveFloat", 0, 0, {"value": 0.2}],
        ["dial", DIAL, 400, 0, {"end_percent": 0.5}],
    ]
    ids = desk.build(nodes, [["number", "FLOAT", "dial", "strength"]])
    curve = desk.drawn(ids["dial"])["curves"][0]
    assert abs(max(strength for _, strength in curve) - 0.2) < 0.01
    desk.set(ids["number"], value=0.7)
    curve = desk.drawn(ids["dial"])["curves"][0]
    assert abs(max(strength for _, strength in curve) - 0.7) < 0.01


@pytest.mark.each_frontend
def test_every_node_draws_itself_again_after_undo(desk):
    nodes = [[kind, kind, index * 420, 0, {}] for index, kind in enumerate((DIAL, SWEEP, PLOT))]
    desk.build(nodes)
    desk.reload(desk.saved())
    assert desk.run("document.querySelectorAll('.detour-preview .curve').length") == 6
