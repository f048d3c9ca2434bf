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
  "DetourBlockScan",
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

/** What the runs of one prompt did, as one notice: a detailer or a tiled upscaler has many. */
class Notice {
  /** Out of sight until there is something. Made with the node: Nodes 2.0 of frontend 1.32 does not
   *  show widgets that a connected node gets later. */
  constructor(node) {
    this.list = html("div");
    const about = { class: "detour-notice", role: "status", "aria-live": "polite", hidden: "" };
    this.box = html("div", about, this.list);
    let height = 0;
    showOnNode(node, NAME, this.box, () => ({ min: height, max: height })).notice = this;
    new ResizeObserver(() => {
      if (!this.list.offsetHeight) return; // out of sight
      height = Math.min(this.list.offsetHeight, LINES * LINE) + 2 * (PADDING + MARGIN);
      grow(node);
    }).observe(this.list);
  }

  /** Take in what one more run did; missed: whether that was nothing, for the reason in `text`. */
  add(text, missed) {
    if (this.prompt !== prompt) Object.assign(this, { prompt, runs: 0, missed: 0, why: null, done: new Set() });
    this.runs++;
    if (!missed) this.done.add(text);
    else if (this.missed++ === 0) this.why = text;
    setTimeout(() => this.write(), SPOKEN_AFTER);
  }

  write() {
    const { runs, missed, why, done } = this;
    const lines = [...done].map((text) => html("div", {}, text));
    const badge = [html("b", {}, "No effect"), runs > 1 ? ` in ${runs} runs. ` : " "];
    const share = done.size ? [`No effect in ${missed} of ${runs} runs. `] : badge;
    if (missed) lines.push(html("div", {}, ...share, why));
    const text = lines.map((line) => line.textContent).join("");
    if (this.list.textContent !== text) this.list.replaceChildren(...lines); // else it is spoken again
    this.box.hidden = false;
    this.box.classList.toggle("missed", !done.size);
    this.box.scrollTop = this.box.scrollHeight;
  }
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
      const widget = widgetOf(nodeById(detail?.node), NAME);
      widget?.notice.add(String(detail.text), detail.missed === true);
    });
  },
  nodeCreated(node) {
    if (NODES.includes(node.comfyClass)) new Notice(node);
  },
});
