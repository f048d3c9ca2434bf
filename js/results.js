// Draws on a Detour node what its last run found: its chart, and the same as text to copy. The text
// is kept in the workflow, so that it is there when it is opened again without running.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyle, grow, html, nodeById, showOnNode } from "./dom.js";

const NAME = "detour_result";
const PROPERTY = "detour_result";
const CATEGORY = "Detour";
const [TEXT_HEIGHT, CHART_HEIGHT] = [150, 330]; // px that the widget takes at least
const MARGINS = 20; // px, what the canvas leaves free around a widget
const COPIED_MS = 1500;

const STYLE = `
.detour-result { box-sizing: border-box; display: flex; flex-direction: column; gap: 4px;
  height: 100%; padding: 5px; border-radius: 6px; overflow: hidden; text-align: left;
  background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd);
  font: 11px/16px Inter, Arial, sans-serif; }
.detour-result[hidden] { display: none; }
.detour-result img { flex: 1 1 0; min-height: 0; object-fit: contain; border-radius: 4px; background: #fff; }
.detour-result img[hidden] { display: none; }
.detour-result pre { flex: 1 1 0; min-height: 48px; margin: 0; overflow: auto; scrollbar-width: thin;
  white-space: pre-wrap; overflow-wrap: anywhere; user-select: text; cursor: text;
  font: 11px/16px ui-monospace, Menlo, Consolas, monospace; }
.detour-result pre:focus-visible, .detour-result button:focus-visible { outline: 2px solid currentColor; }
.detour-result button { flex: none; align-self: flex-end; padding: 1px 8px; border-radius: 4px;
  border: 1px solid currentColor; background: none; color: inherit; font: inherit; cursor: pointer; }`;

const isOurs = (node) => node?.constructor.nodeData?.category?.startsWith(CATEGORY) ?? false;

/** The result in what a node's run sent to the browser; null when there is none. */
function resultOf(output) {
  if (!output?.detour_report?.length) return null;
  const text = output.detour_report.map((entry) => entry.text ?? entry).join("\n\n");
  return { text, charts: output.detour_chart ?? [] };
}

function chartAddress({ filename, subfolder = "", type = "temp" }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

/** The widget of one node, out of sight until there is a result. Made with the node: Nodes 2.0 of
 *  frontend 1.32 does not show widgets that a connected node gets later. */
class Result {
  constructor(node) {
    this.node = node;
    this.height = 0;
    this.chart = html("img", { alt: "Chart of the report below", hidden: "" });
    this.text = html("pre", { tabindex: 0, role: "region", "aria-label": "Report" });
    this.copy = html("button", { type: "button" }, "Copy");
    const parts = [this.chart, this.text, this.copy];
    this.box = html("div", { class: "detour-result", hidden: "" }, ...parts);
    this.chart.addEventListener("error", () => (this.chart.hidden = true)); // temp was emptied
    this.chart.addEventListener("load", () => (this.chart.hidden = false));
    this.copy.addEventListener("click", () => this.copyText());
    for (const kind of ["pointerdown", "keydown", "copy"]) {
      this.text.addEventListener(kind, (event) => event.stopPropagation()); // text, not nodes
    }
    showOnNode(node, NAME, this.box, () => ({ min: this.height, max: this.height ? undefined : 0 }));
  }

  show({ text, charts }) {
    this.text.textContent = text;
    if (charts.length) this.chart.src = chartAddress(charts[0]);
    else this.chart.hidden = true;
    this.height = charts.length ? CHART_HEIGHT : TEXT_HEIGHT;
    this.box.style.minHeight = `${this.height - MARGINS}px`;
    this.box.hidden = false;
    grow(this.node);
  }

  async copyText() {
    await navigator.clipboard.writeText(this.text.textContent);
    this.copy.textContent = "Copied";
    setTimeout(() => (this.copy.textContent = "Copy"), COPIED_MS);
  }
}

const results = new WeakMap(); // by node

app.registerExtension({
  name: "Detour.Results",
  setup() {
    addStyle(STYLE);
    api.addEventListener("executed", ({ detail }) => {
      const node = nodeById(detail.display_node ?? detail.node);
      const result = isOurs(node) ? resultOf(detail.output) : null;
      if (!result) return;
      node.properties[PROPERTY] = result;
      results.get(node).show(result);
    });
  },
  nodeCreated(node) {
    if (!isOurs(node)) return;
    results.set(node, new Result(node));
    const configured = node.onConfigure;
    node.onConfigure = function (...args) {
      configured?.apply(this, args);
      const kept = this.properties[PROPERTY];
      if (kept) results.get(this).show(kept);
    };
  },
});
