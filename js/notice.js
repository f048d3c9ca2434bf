// Shows on a Detour node what its last run did; nodes/model_host.py sends the text. Nothing of it is
// saved, and without a browser the same text is in ComfyUI's log.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyle, grow, html, nodeById, showOnNode } from "./dom.js";
import { widgetOf } from "./node_values.js";

const EVENT = "detour.notice";
const NODES = [
  "DetourMidBlockBypass",
  "DetourGuidanceRelief",
  "DetourPromptFade",
  "DetourBypassSweep",
];
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

/** The widget for notices, out of sight until there is one. Made with the node: Nodes 2.0 of
 *  frontend 1.32 does not show widgets that a connected node gets later. */
function addNotice(node) {
  const text = html("div");
  const about = { class: "detour-notice", role: "status", "aria-live": "polite", hidden: "" };
  const box = html("div", about, text);
  let height = 0;
  showOnNode(node, NAME, box, () => ({ min: height, max: height }));
  new ResizeObserver(() => {
    if (!text.offsetHeight) return; // out of sight
    height = Math.min(text.offsetHeight, LINES * LINE) + 2 * (PADDING + MARGIN);
    grow(node);
  }).observe(text);
}

/** Write the text; of one prompt all different texts are kept, the newest below. */
function write(box, text, missed, of) {
  const list = box.firstChild;
  box.hidden = false;
  if (list.dataset.prompt !== `${of}`) list.replaceChildren();
  list.dataset.prompt = of;
  if ([...list.children].some((line) => line.dataset.text === text)) return;
  const line = html("div");
  line.dataset.text = text;
  if (missed) line.append(html("b", {}, "No effect"), " ");
  line.append(text);
  list.append(line);
  box.classList.toggle("missed", list.querySelector("b") !== null);
  box.scrollTop = box.scrollHeight;
}

app.registerExtension({
  name: "Detour.Notice",
  setup() {
    addStyle(STYLE);
    api.addEventListener("execution_start", () => prompt++);
    api.addEventListener("status", ({ detail }) => {
      if (detail?.exec_info?.queue_remaining === 0) prompt++; // for prompts of other clients
    });
    api.addEventListener(EVENT, ({ detail }) => {
      const box = widgetOf(nodeById(detail?.node), NAME)?.element;
      if (!box) return;
      setTimeout(write, SPOKEN_AFTER, box, String(detail.text), detail.missed === true, prompt);
    });
  },
  nodeCreated(node) {
    if (NODES.includes(node.comfyClass)) addNotice(node);
  },
});
