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


def in_rows(settings):
    """Whether each lies a row below the one before."""
    return [y - settings[0][1] for _, y in settings] == [ROW * n for n in range(len(settings))]


def sizes(desk):
    return [node["size"][1] for node in desk.saved()["nodes"]]


def unfold(desk, nodes):
    """Click what unfolds or folds each: the host's button, or on the canvas ours."""
    for node in nodes:
        if desk.nodes2:
            place = f'[data-node-id="{node}"] [data-testid="advanced-inputs-button"]'
            desk.page.locator(place).click()
        else:
            desk.element(node).query_selector("button").click()


def shows(desk, node, names):
    """Wait until these settings can be seen, and no others."""
    desk.until(lambda: [name for name, _ in seen(desk, node)] == names)


def knows_advanced(desk):
    """Whether the host tells the page of advanced inputs: from 0.10 on."""
    told = desk.server.get_json(f"/object_info/{DIAL}")[DIAL]["input"]
    return any(one[1].get("advanced") for one in told["required"].values())


def test_strength_and_window_are_seen_and_the_rest_unfolds(desk):
    ids = desk.build([[kind, kind, 330 * index, 0, {}] for index, kind in enumerate(SHOWN)])
    if not knows_advanced(desk):
        every = "(n) => n.widgets.every((w) => !w.hidden && !w.advanced)"
        assert desk.run(f"app.graph.nodes.every({every})")
        return
    values = [node["widgets_values"] for node in desk.saved()["nodes"]]
    queued = desk.queued()
    for kind, node in ids.items():
        shows(desk, node, SHOWN[kind])
        desk.until(lambda node=node: desk.nodes2 or in_rows(seen(desk, node)))
    before = sizes(desk)
    unfold(desk, ids.values())
    for node in ids.values():
        every = [name for name in queued[node] if name not in ("model", "curve", "sigmas")]
        shows(desk, node, every)
    assert desk.queued() == queued
    unfold(desk, ids.values())
    for kind, node in ids.items():
        shows(desk, node, SHOWN[kind])
    desk.until(lambda: sizes(desk) == pytest.approx(before, abs=4))
    assert [node["widgets_values"] for node in desk.saved()["nodes"]] == values
