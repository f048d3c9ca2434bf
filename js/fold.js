// Settings that the host calls advanced stay out of sight until they are asked for. Nodes 2.0 does so
// by itself. The canvas does not, so that a button does it there.

import { app } from "../../scripts/app.js";
import { asOneChange, html } from "./dom.js";
import { isConnected } from "./node_values.js";

const ALWAYS_SHOWN = "Comfy.Node.AlwaysShowAdvancedWidgets"; // the host's setting for Nodes 2.0

export const STYLE = `
.detour-fold { flex: none; align-self: start; margin-left: 8px; padding: 0 6px; border: 0;
  border-radius: 4px; background: var(--border-color, #4e4e4e); color: inherit; cursor: pointer;
  font: 11px/15px Inter, Arial, sans-serif; }
.detour-fold[hidden] { display: none; }`;

/** The advanced settings of a node; `button` shows and hides them. Older hosts call none advanced. */
export class Fold {
  constructor(node) {
    this.node = node;
    this.widgets = node.widgets.filter((widget) => widget.options?.advanced);
    this.button = html("button", { class: "detour-fold", type: "button" });
    this.button.addEventListener("click", () => this.toggle());
    for (const widget of this.widgets) widget.advanced = true; // the canvas asks here
    this.update();
    if (this.widgets.length) node.setSize([node.size[0], node.computeSize()[1]]);
  }

  /** Hide or show what has to be: links, the renderer and the host's settings change too. */
  update() {
    const { node, widgets, button } = this;
    const isOurs = !LiteGraph.vueNodesMode && !app.extensionManager.setting.get(ALWAYS_SHOWN);
    for (const widget of widgets) {
      // For the canvas, which else leaves gaps where it does not show advanced widgets.
      const hidden = isOurs && !node.showAdvanced && !isConnected(node, widget.name);
      if (Boolean(widget.hidden) !== hidden) widget.hidden = hidden;
    }
    button.hidden = !isOurs || !widgets.length;
    const label = node.showAdvanced ? "Less" : "More";
    if (button.textContent === label) return;
    button.textContent = label;
    button.title = `${node.showAdvanced ? "Hide" : "Show"} the advanced settings`;
    button.setAttribute("aria-expanded", Boolean(node.showAdvanced));
  }

  toggle() {
    const { node } = this;
    asOneChange(() => {
      const [before, height] = [node.computeSize()[1], node.size[1]];
      node.showAdvanced = !node.showAdvanced;
      this.update();
      node.setSize([node.size[0], height + node.computeSize()[1] - before]);
    });
  }
}
