// Shows on a Detour node what its last run did; nodes/host.py sends the text. Nothing of it is
// saved, and without a browser the same text is in ComfyUI's log.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const EVENT = "detour.notice";
const NODES = ["DetourMidBlockBypass", "DetourBypassSweep"];
const NAME = "detour_notice";
const LINES = 4;
const LINE = 16; // px
const PADDING = 5; // px, above and below the text
const MARGIN = 10; // px, what the canvas leaves free around a widget
const SPOKEN_AFTER = 100; // ms; a screen reader follows changes of what is already there

const STYLE = `
.detour-notice {
  box-sizing: border-box;
  max-height: ${LINES * LINE + 2 * PADDING}px;
  padding: ${PADDING}px 7px;
  overflow: hidden auto;
  overflow-wrap: anywhere;
  scrollbar-width: thin;
  border-radius: 6px;
  background: var(--comfy-input-bg, #222);
  color: var(--input-text, #ddd);
  font: 11px/${LINE}px Inter, Arial, sans-serif;
  text-align: left;
  user-select: text;
}
.detour-notice.missed { box-shadow: inset 3px 0 #f0a818; }
.detour-notice b { padding: 0 5px; border-radius: 3px; background: #f0a818; color: #201600; }`;

let prompt = 0; // rises with each prompt: its first notice replaces those of the last one

const element = (tag, textContent = "") =>
  Object.assign(document.createElement(tag), { textContent });

/** The node with an id of the executor; "12:3" is node 3 in the subgraph node 12. */
function findNode(id) {
  let graph = app.rootGraph ?? app.graph;
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part);
    graph = node?.subgraph;
  }
  return NODES.includes(node?.comfyClass) ? node : null;
}

/** Make room for the notice; a node that is large enough stays as it is. */
function grow(node) {
  const height = node.computeSize()[1];
  if (node.size[1] < height) node.setSize([node.size[0], height]);
  node.graph?.setDirtyCanvas(true, true);
}

/** The widget for the notice, made when it is first needed. */
function noticeWidget(node) {
  const present = node.widgets?.find((widget) => widget.name === NAME);
  if (present) return present;
  const text = element("div");
  const box = element("div");
  box.className = "detour-notice";
  box.setAttribute("role", "status");
  box.setAttribute("aria-live", "polite");
  box.append(text);
  let height = LINE + 2 * (PADDING + MARGIN);
  const widget = node.addDOMWidget(NAME, "DETOUR_NOTICE", box, {
    serialize: false, // not in the prompt
    hideOnZoom: false,
    margin: MARGIN,
    getMinHeight: () => height,
    getMaxHeight: () => height,
    surfaces: { canvas: "shown", vueNode: "shown", panel: "never" }, // newer frontends
  });
  widget.serialize = false; // not in the workflow
  new ResizeObserver(() => {
    if (!text.offsetHeight) return; // out of sight
    height = Math.min(text.offsetHeight, LINES * LINE) + 2 * (PADDING + MARGIN);
    grow(node);
  }).observe(text);
  box.addEventListener("wheel", (event) => {
    if (box.closest(".dom-widget")) app.canvas.processMouseWheel(event); // zoom as elsewhere
  });
  grow(node);
  return widget;
}

/** Write the text; of one prompt all different texts are kept, the newest below. */
function write(box, text, missed, of) {
  const list = box.firstChild;
  if (list.dataset.prompt !== `${of}`) list.replaceChildren();
  list.dataset.prompt = of;
  if ([...list.children].some((line) => line.dataset.text === text)) return;
  const line = element("div");
  line.dataset.text = text;
  if (missed) line.append(element("b", "No effect"), " ");
  line.append(text);
  list.append(line);
  box.classList.toggle("missed", list.querySelector("b") !== null);
  box.scrollTop = box.scrollHeight;
}

app.registerExtension({
  name: "Detour.Notice",
  setup() {
    document.head.append(element("style", STYLE));
    api.addEventListener("execution_start", () => prompt++);
    api.addEventListener("status", ({ detail }) => {
      if (detail?.exec_info?.queue_remaining === 0) prompt++; // for prompts of other clients
    });
    api.addEventListener(EVENT, ({ detail }) => {
      const node = findNode(detail?.node);
      if (!node) return;
      const box = noticeWidget(node).element;
      setTimeout(write, SPOKEN_AFTER, box, String(detail.text), detail.missed === true, prompt);
    });
  },
});
