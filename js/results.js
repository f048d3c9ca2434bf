// Draws on a Detour node what its last run found: its chart, and the same as text to copy. The text
// is kept in the workflow, so that it is there when it is opened again without running.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyle, grow, html, nodeById, showOnNode } from "./dom.js";

const NAME = "detour_result";
const PROPERTY = "detour_result";
const CATEGORY = "Detour/";
const TEXT_HEIGHT = 150; // px that the text takes at least
const WIDTH = 480; // px of a new node with a report, so that its chart can be read
const TALLEST = 1.5; // of its width; taller charts are scrolled
const MARGINS = 20; // px, what the canvas leaves free around a widget
const PADDING = 5; // px, inside the box
const TOLD_MS = 2500;
const WAITING = "Run: the result appears here.";

const STYLE = `
.detour-result { box-sizing: border-box; display: flex; flex-direction: column; gap: 4px;
  height: 100%; padding: ${PADDING}px; border-radius: 6px; overflow: hidden; text-align: left;
  background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd);
  font: 11px/16px Inter, Arial, sans-serif; }
.detour-result[hidden], .detour-result [hidden] { display: none; }
.detour-result a { flex: none; display: block; border-radius: 4px; overflow: hidden auto; background: #fff;
  scrollbar-width: thin; }
.detour-result img { display: block; width: 100%; }
.detour-result pre { flex: 1 0 48px; min-height: 0; margin: 0; overflow: auto; scrollbar-width: thin;
  white-space: pre-wrap; overflow-wrap: anywhere; user-select: text; cursor: text;
  font: 11px/16px ui-monospace, Menlo, Consolas, monospace; }
.detour-result :focus-visible { outline: 2px solid currentColor; outline-offset: -2px; }
.detour-result button { flex: none; align-self: flex-end; padding: 1px 8px; border-radius: 4px;
  border: 1px solid currentColor; background: none; color: inherit; font: inherit; cursor: pointer; }`;

const isOurs = (node) => node?.constructor.nodeData?.category?.startsWith(CATEGORY) ?? false;
const hasReport = (node) => node.outputs?.some(({ name }) => name === "report") ?? false;

/** The result in what a node's run sent to the browser; null when there is none. */
function resultOf(output) {
  if (!output?.detour_report?.length) return null;
  const text = output.detour_report.map((entry) => entry.text ?? entry).join("\n\n");
  return { text, charts: output.detour_chart ?? [] };
}

/** The result that a workflow holds, as far as it is one: workflows are edited and made by others. */
function keptResult(kept) {
  if (typeof kept?.text !== "string") return null;
  const charts = Array.isArray(kept.charts) ? kept.charts : [];
  return { text: kept.text, charts: charts.filter((one) => typeof one?.filename === "string") };
}

function chartAddress({ filename, subfolder = "", type = "temp" }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

/** True if the text is on the clipboard; a page of plain http, for one, has none. */
async function toClipboard(text) {
  try {
    await navigator.clipboard?.writeText(text);
    return navigator.clipboard !== undefined;
  } catch (error) {
    if (error instanceof DOMException) return false; // not allowed
    throw error;
  }
}

/** The widget of one node; of nodes with a report it says that one will come, of others it is out
 *  of sight until then. Made with the node: Nodes 2.0 of frontend 1.32 does not show widgets that a
 *  connected node gets later. */
class Result {
  constructor(node) {
    this.node = node;
    this.height = 0;
    this.chart = html("img", { alt: "Chart of the report below" });
    const about = { target: "_blank", title: "Open the chart at its full size", hidden: "" };
    this.link = html("a", about, this.chart);
    this.text = html("pre", { tabindex: 0, role: "region", "aria-label": "Report" });
    this.copy = html("button", { type: "button", hidden: "" }, "Copy");
    this.box = html("div", { class: "detour-result", hidden: "" }, this.link, this.text, this.copy);
    this.chart.addEventListener("error", () => this.showChart(false)); // temp was emptied
    this.chart.addEventListener("load", () => this.showChart(true));
    this.copy.addEventListener("click", () => this.copyText());
    for (const kind of ["pointerdown", "keydown", "copy"]) {
      this.text.addEventListener(kind, (event) => event.stopPropagation()); // text, not nodes
    }
    showOnNode(node, NAME, this.box, () => ({ min: this.height, max: this.height ? undefined : 0 }));
    new ResizeObserver(() => this.fit()).observe(this.box); // the node may be wider now
    if (!hasReport(node)) return;
    node.setSize([Math.max(node.size[0], WIDTH), node.size[1]]);
    this.write(WAITING);
  }

  write(text) {
    this.text.textContent = text;
    this.box.hidden = false;
    this.fit();
  }

  show({ text, charts }) {
    this.write(text);
    this.copy.hidden = false;
    if (!charts.length) return this.showChart(false);
    this.link.href = this.chart.src = chartAddress(charts[0]);
  }

  showChart(shown) {
    this.link.hidden = !shown;
    this.fit();
  }

  /** Room for the text and for the chart at the node's width. */
  fit() {
    if (this.box.hidden) return;
    const { naturalWidth, naturalHeight } = this.chart;
    const ratio = this.link.hidden ? 0 : Math.min(naturalHeight / naturalWidth, TALLEST);
    const chart = Math.round(ratio * (this.node.size[0] - MARGINS - 2 * PADDING));
    const height = TEXT_HEIGHT + chart;
    if (height === this.height) return;
    this.link.style.maxHeight = `${chart}px`;
    this.height = height;
    this.box.style.minHeight = `${height - MARGINS}px`;
    grow(this.node);
  }

  async copyText() {
    const copied = await toClipboard(this.text.textContent);
    if (!copied) {
      this.text.focus();
      getSelection().selectAllChildren(this.text);
    }
    this.copy.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => (this.copy.textContent = "Copy"), TOLD_MS);
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
      const kept = keptResult(this.properties?.[PROPERTY]);
      if (kept) results.get(this).show(kept);
    };
  },
});
