"""Strength and window to see; those that a newer host knows as advanced unfold on a click."""

from __future__ import annotations

import pytest

from .test_preview import DIAL, FADE, PLOT, SWEEP

SHOWN = {
    DIAL: ["strength", "start_percent", "end_percent"],
    FADE: ["strength", "start_percent", "end_percent"],
    SWEEP: ["strengths", "start_percent", "end_percent", "ways"],
    PLOT: ["strength", "start_percent", "end_percent"],
}
LABELS = """(id) => {
  const names = app.graph.getNodeById(id).widgets.map(({ name }) => name);
  const inside = [...document.querySelectorAll(`[data-node-id="${id}"] *`)];
  const named = inside.map((one) => one.dataset.widgetName).filter(Boolean);
  if (named.length) return named.filter((name) => !name.startsWith("detour"));
  const texts = inside.filter((one) => !one.children.length).map((one) => one.textContent);
  return texts.filter((text) => names.includes(text));
}"""
"""The settings of a node in Nodes 2.0; frontend 1.49 does not name its rows but by their words."""
ROW = 24
"""What a row takes on the canvas, its gap included."""


def seen(desk, node):
    """The settings that can be seen, from above; on the canvas also how far from the top."""
    if desk.nodes2:
        return [(name, None) for name in desk.run(LABELS, node)]
    return desk.run(
        """(id) => {
          const node = app.graph.getNodeById(id);
          return node.widgets
            .filter((w) => !w.element && !w.name.startsWith("$$") && node.isWidgetVisible(w))
            .map((w) => [w.name, w.y]);
        }""",
        node,
    )


def unfold(desk, nodes):
    """Click what unfolds or folds each: the host's button, or on the canvas ours."""
    for node in nodes:
        if desk.nodes2:
            place = f'[data-node-id="{node}"] [data-testid="advanced-inputs-button"]'
            desk.page.locator(place).click()
        else:
            desk.element(node).query_selector("button").click()
        desk.settle()
    desk.page.wait_for_timeout(300)


def knows_advanced(desk):
    """Whether the host tells the page of advanced inputs: from 0.10 on."""
    told = desk.server.get_json(f"/object_info/{DIAL}")[DIAL]["input"]
    return any(one[1].get("advanced") for one in told["required"].values())


def test_strength_and_window_are_seen_and_the_rest_unfolds(desk):
    ids = desk.build([[kind, kind, 330 * index, 0, {}] for index, kind in enumerate(SHOWN)])
    desk.page.wait_for_timeout(300)
    if not knows_advanced(desk):
        every = "(n) => n.widgets.every((w) => !w.hidden && !w.advanced)"
        assert desk.run(f"app.graph.nodes.every({every})")
        return
    before, queued = desk.saved()["nodes"], desk.queued()
    for kind, node in ids.items():
        folded = seen(desk, node)
        assert [name for name, _ in folded] == SHOWN[kind]
        assert desk.nodes2 or [y - folded[0][1] for _, y in folded] == [
            ROW * row for row in range(len(folded))
        ]
    unfold(desk, ids.values())
    for node in ids.values():
        every = [name for name in queued[node] if name not in ("model", "curve", "sigmas")]
        assert [name for name, _ in seen(desk, node)] == every
    assert desk.queued() == queued
    unfold(desk, ids.values())
    for kind, node in ids.items():
        assert [name for name, _ in seen(desk, node)] == SHOWN[kind]
    for was, now in zip(before, desk.saved()["nodes"], strict=True):
        assert now["widgets_values"] == was["widgets_values"]
        assert now["size"][1] == pytest.approx(was["size"][1], abs=4)
