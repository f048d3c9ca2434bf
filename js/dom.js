// What all of our widgets share: elements, a place on a node, and undo.

import { app } from "../../scripts/app.js";

const SVG = "http://www.w3.org/2000/svg";

/** Set attributes; what is undefined is left out. */
export function setAttributes(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) target.setAttribute(name, value);
  }
  return target;
}

/** An HTML element with attributes and children. */
export function html(tag, attributes = {}, ...children) {
  const made = setAttributes(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

/** An SVG element with attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const made = setAttributes(document.createElementNS(SVG, tag), attributes);
  made.append(...children);
  return made;
}

/** Put a style sheet into the page. */
export const addStyle = (text) => document.head.append(html("style", {}, text));

/** Make room for a node's widgets; a node that is large enough stays as it is. */
export function grow(node) {
  const height = node.computeSize()[1];
  if (node.size[1] < height) node.setSize([node.size[0], height]);
  node.graph?.setDirtyCanvas(true, true);
}

/** True if `element`, or one around it inside `box`, has more to show than fits. */
function scrolls(element, box) {
  for (let one = element; one && one !== box.parentElement; one = one.parentElement) {
    const hidden = one.scrollHeight > one.clientHeight + 1;
    if (hidden && getComputedStyle(one).overflowY === "auto") return true;
  }
  return false;
}

/** Nodes 2.0 of frontend 1.32 goes on showing the elements of a node that undo made anew. */
function takePlace(node, name, box) {
  const shown = document.querySelector(`[data-node-id="${node.id}"] [data-detour="${name}"]`);
  if (!box.isConnected && shown) shown.replaceWith(box);
}

/**
 * Show `box` on a node, in both renderers, as a widget of which nothing is saved: neither in the
 * workflow nor in the prompt. `height` gives its pixels now: {min, max}, max may be undefined.
 */
export function showOnNode(node, name, box, height) {
  const widget = node.addDOMWidget(name, name.toUpperCase(), box, {
    serialize: false, // not in the prompt
    hideOnZoom: false,
    getMinHeight: () => height().min,
    getMaxHeight: () => height().max,
    surfaces: { canvas: "shown", vueNode: "shown", panel: "never" }, // newer frontends
  });
  widget.serialize = false; // not in the workflow
  box.dataset.detour = name;
  const configured = node.onConfigure;
  node.onConfigure = function (...args) {
    configured?.apply(this, args);
    requestAnimationFrame(() => requestAnimationFrame(() => takePlace(node, name, box)));
  };
  box.addEventListener("wheel", (event) => {
    if (!box.closest(".dom-widget") || scrolls(event.target, box)) return;
    app.canvas.processMouseWheel(event); // zoom as elsewhere
  });
  grow(node);
  return widget;
}

/** Begin and end a change of the graph that is one step for undo. */
export const beginChange = () => app.canvas.emitBeforeChange();
export const endChange = () => app.canvas.emitAfterChange();

/** Do a change of the graph as one step for undo. */
export function asOneChange(change) {
  beginChange();
  try {
    change();
  } finally {
    endChange();
    app.canvas.setDirty(true, true);
  }
}

/** The node with an id of the executor; "12:3" is node 3 in the subgraph node 12. */
export function nodeById(id) {
  let graph = app.rootGraph ?? app.graph;
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part);
    graph = node?.subgraph;
  }
  return node;
}
