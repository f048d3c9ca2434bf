// What a node's widgets say, connections included, and which sampler runs behind it.

import { app } from "../../scripts/app.js";
import { TURBO } from "./steps.js";

export const SCHEDULE_INPUTS = [
  "strength",
  "strengths",
  "shape",
  "start_percent",
  "end_percent",
  "schedule_by",
  "points",
];
const RUN_INPUTS = ["steps", "scheduler", "sampler_name", "denoise", "start_at_step", "end_at_step"];

export const widgetOf = (node, name) => node?.widgets?.find((widget) => widget.name === name);

/** Write a widget's value as the user would, so that the host and other extensions notice. */
export function setWidget(node, name, value) {
  const widget = widgetOf(node, name);
  const before = widget.value;
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
  node.onWidgetChanged?.(name, value, before, widget);
}

const slotOf = (node, name) => node.inputs?.findIndex((input) => input.name === name) ?? -1;

export const isConnected = (node, name) => {
  const slot = slotOf(node, name);
  return slot >= 0 && node.isInputConnected(slot);
};

/** The node that an input is connected to; null when it is not. */
function origin(node, name) {
  const slot = slotOf(node, name);
  return slot >= 0 ? node.getInputNode(slot) : null;
}

/**
 * The values of the widgets that the node has among `names`. A connected one has the value of a
 * node with one value (a primitive); any other is named in `unknown`, and keeps its own value.
 */
function valuesOf(node, names) {
  const values = {};
  const unknown = [];
  for (const name of names) {
    const widget = widgetOf(node, name);
    if (!widget) continue;
    values[name] = widget.value;
    if (!isConnected(node, name)) continue;
    const source = origin(node, name);
    const given = source?.inputs?.some((_, slot) => source.isInputConnected(slot)) === false;
    const primitive = given && widgetOf(source, "value");
    if (primitive) values[name] = primitive.value;
    else unknown.push(name);
  }
  return { values, unknown };
}

/** The schedule inputs of a Detour node: {values, unknown}. */
export const scheduleValues = (node) => valuesOf(node, SCHEDULE_INPUTS);

/** The nodes that outputs of the type are connected to. */
const targets = (node, type) =>
  (node.outputs ?? []).flatMap((output, slot) =>
    output.type === type ? (node.getOutputNodes(slot) ?? []) : [],
  );

/**
 * The widgets of the first node behind `node` that plans steps (a sampler, a scheduler), other
 * nodes that pass the model on between them; of a node with SIGMAS, what makes these. Else null.
 */
export function runValues(node) {
  const scheduler = origin(node, "sigmas");
  const seen = new Set();
  const open = scheduler ? [scheduler] : targets(node, "MODEL");
  while (open.length) {
    const next = open.shift();
    if (seen.has(next)) continue;
    seen.add(next);
    const isTurbo = next.comfyClass === TURBO;
    if (widgetOf(next, "steps") && (widgetOf(next, "scheduler") || isTurbo)) {
      const { values, unknown } = valuesOf(next, RUN_INPUTS);
      if (isTurbo) values.scheduler = TURBO;
      return unknown.length ? null : values;
    }
    open.push(...targets(next, "MODEL"));
  }
  return null;
}
