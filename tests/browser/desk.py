"""A page with ComfyUI's graph in it, as tests want to use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.editor import Editor
from tools.server import ComfyServer

NODES2 = "Comfy.VueNodes.Enabled"
PREVIEW = "detour_schedule_preview"
OURS = "/extensions/detour/"
EMPTY = {"last_node_id": 0, "last_link_id": 0, "nodes": [], "links": [], "version": 0.4}
CLOSE = """async () => {
  const { sidebarTab, setting } = app.extensionManager;
  if (sidebarTab.activeSidebarTabId) sidebarTab.activeSidebarTabId = null;
  const panel = "Comfy.RightSidePanel.IsOpen";  // of newer frontends
  if (setting.get(panel)) await setting.set(panel, false);
}"""
BUILD = """([nodes, links]) => {
  const made = {};
  app.canvas.emitBeforeChange();
  for (const [key, type, x, y, values] of nodes) {
    const node = LiteGraph.createNode(type);
    node.pos = [x, y];
    app.graph.add(node);
    for (const [name, value] of Object.entries(values ?? {})) {
      const widget = node.widgets.find((one) => one.name === name);
      widget.value = value;
      widget.callback?.(value, app.canvas, node);
    }
    made[key] = node;
  }
  for (const [from, output, to, input] of links) {
    const slot = (slots, name) => slots.findIndex((one) => one.name === name);
    const [a, b] = [made[from], made[to]];
    a.connect(slot(a.outputs, output), b, slot(b.inputs, input));
  }
  app.canvas.emitAfterChange();
  app.canvas.setDirty(true, true);
  return Object.fromEntries(Object.entries(made).map(([key, node]) => [key, String(node.id)]));
}"""
CURVES = """(box) => {
  const probe = box.querySelector(".probe").getBBox();
  const words = [...box.querySelectorAll("text")].map((one) => one.textContent);
  const low = words.includes("\\u22121") ? -1 : 0;
  const read = (x, y) => [
    (x - probe.x) / probe.width,
    1 - ((y - probe.y) / probe.height) * (1 - low),
  ];
  return {
    curves: [...box.querySelectorAll(".curve")].map((path) =>
      path.getAttribute("d").slice(1).split("L")
        .map((pair) => read(...pair.split(",").map(Number)))),
    steps: [...box.querySelectorAll(".step")].map((dot) =>
      [...read(dot.cx.baseVal.value, dot.cy.baseVal.value), dot.classList.contains("active")]),
  };
}"""


class Desk(Editor):
    """One open page. `complaints`: errors and warnings of the console that our files caused."""

    def __init__(self, page: Any, server: ComfyServer) -> None:
        super().__init__(page, server)
        self.name, self.nodes2 = "", False
        self.complaints: list[str] = []

    def show_as(self, name: str, nodes2: bool) -> None:
        """Switch Nodes 2.0 on or off, as the menu does."""
        self.name, self.nodes2 = name, nodes2
        self.run("([id, on]) => app.extensionManager.setting.set(id, on)", [NODES2, nodes2])
        self.page.wait_for_function("(on) => Boolean(LiteGraph.vueNodesMode) === on", arg=nodes2)

    def open(self) -> None:
        """Load the page, following its console from the first line on."""
        session = self.page.context.new_cdp_session(self.page)
        session.on("Runtime.consoleAPICalled", self._hear)
        session.on("Runtime.exceptionThrown", self._hear)
        session.send("Runtime.enable")
        super().open()

    def _hear(self, event: Mapping[str, Any]) -> None:
        if event.get("type") not in (None, "error", "warning", "assert"):
            return
        told = str(event)
        if OURS in told:
            self.complaints.append(told)

    def clear(self) -> None:
        """An empty graph, seen at its real size, and no panel beside it."""
        self.run(CLOSE)
        self.reload(EMPTY)

    def until(self, good: Callable[[], bool]) -> None:
        """Wait until something holds."""
        for _ in range(120):
            if good():
                return
            self.page.wait_for_timeout(40)
        assert good()

    def build(self, nodes: Sequence[Sequence[Any]], links: Sequence[Sequence[str]] = ()) -> dict:
        """Add nodes `[key, type, x, y, values]` and links by slot names; their ids by key."""
        ids = self.run(BUILD, [list(nodes), list(links)])
        self.settle()
        return ids

    def element(self, node: str, widget: str = PREVIEW) -> Any:
        """The DOM element of a widget."""
        return self.page.evaluate_handle(
            "([id, name]) => "
            "app.graph.getNodeById(id).widgets.find((w) => w.name === name).element",
            [node, widget],
        ).as_element()

    def box(self, element: Any) -> dict[str, float]:
        """Where an element is on the page, once it rests there."""
        last: dict[str, float] = {}
        for _ in range(120):
            now = element.bounding_box() or {}
            if now and now == last:
                return now
            last = now
            self.page.wait_for_timeout(40)
        raise AssertionError(f"The element never came to rest: {last}")

    def spot(self, node: str, progress: float, height: float = 0.5) -> tuple[float, float]:
        """Where a progress is on the page, at a share of the plot's height from below."""
        box = self.box(self.element(node).query_selector(".probe"))
        return box["x"] + progress * box["width"], box["y"] + (1 - height) * box["height"]

    def title(self, node: str) -> list[float]:
        """Where the title of a node is on the page."""
        if self.nodes2:
            box = self.box(self.page.query_selector(f'[data-node-id="{node}"]'))
            return [box["x"] + 90, box["y"] + 16]
        return self.run(
            """(id) => {
              const { canvas, ds } = app.canvas;
              const [x, y] = app.graph.getNodeById(id).pos;
              const place = canvas.getBoundingClientRect();
              const at = (value, shift) => (value + shift) * ds.scale;
              return [place.x + at(x + 60, ds.offset[0]), place.y + at(y - 14, ds.offset[1])];
            }""",
            node,
        )

    def hover(self, node: str, progress: float) -> None:
        """Put the pointer on a progress; right after a change of zoom the page takes a moment."""
        for _ in range(120):
            self.page.mouse.move(5, 5)
            self.page.mouse.move(*self.spot(node, progress))
            if self.words(node).startswith("progress"):
                return
            self.page.wait_for_timeout(40)
        raise AssertionError("The preview does not follow the pointer.")

    def words(self, node: str) -> str:
        """The line of text under the curve."""
        return self.element(node).query_selector("p").text_content()

    def drawn(self, node: str) -> dict[str, Any]:
        """The curves and the marked steps of a node, as progress and strength."""
        return self.element(node).evaluate(CURVES)

    def set(self, node: str, **values: Any) -> None:
        """Change widgets as the user does."""
        self.run(
            """([id, values]) => {
              const node = app.graph.getNodeById(id);
              for (const [name, value] of Object.entries(values)) {
                const widget = node.widgets.find((one) => one.name === name);
                widget.value = value;
                widget.callback?.(value, app.canvas, node);
              }
            }""",
            [node, values],
        )
        self.settle()

    def value(self, node: str, name: str) -> Any:
        """What a widget holds."""
        return self.run(
            "([id, name]) => app.graph.getNodeById(id).widgets.find((w) => w.name === name).value",
            [node, name],
        )

    def queued(self) -> dict[str, Any]:
        """The prompt that would be queued now: inputs by node id."""
        prompt = self.run("async () => (await app.graphToPrompt()).output")
        return {key: node["inputs"] for key, node in prompt.items()}

    def saved(self) -> dict[str, Any]:
        """The workflow as it would be saved."""
        return self.run("() => JSON.parse(JSON.stringify(app.graph.serialize()))")

    def reload(self, workflow: Mapping[str, Any]) -> None:
        """Open a saved workflow in the present tab, seen at its real size."""
        self.run(
            "async (data) => { const tab = app.extensionManager.workflow.activeWorkflow; "
            "await app.loadGraphData(data, true, false, tab); }",
            workflow,
        )
        self.camera()
        self.settle()

    def screenshot(self, path: Path) -> None:
        """The whole page as a picture."""
        self.page.screenshot(path=path)
