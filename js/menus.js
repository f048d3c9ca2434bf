// What a right click offers: a dial put into the graph and wired, schedules copied from node to
// node, and starting points (presets.json), the file that Python reads too.

import { app } from "../../scripts/app.js";
import { asOneChange } from "./dom.js";
import { SCHEDULE_INPUTS, scheduleValues, setWidget, widgetOf } from "./node_values.js";

const DIAL = "DetourMidBlockBypass";
const CLIPBOARD = "Detour.Schedule";
const GAP = 60; // px between the new node and its neighbour

const isDetour = (node) => node.comfyClass?.startsWith("Detour") ?? false;
const modelSlot = (slots) => slots?.findIndex((slot) => slot.type === "MODEL") ?? -1;

const WAYS = {
  DetourMidBlockBypass: "bypass",
  DetourGuidanceRelief: "relief",
  DetourPromptFade: "fade",
};

let presets = [];

/** A dial beside a node, in its graph. */
function newDial(node, after) {
  const dial = LiteGraph.createNode(DIAL);
  const left = after ? node.pos[0] + node.size[0] + GAP : node.pos[0] - dial.size[0] - GAP;
  dial.pos = [left, node.pos[1]];
  node.graph.add(dial); // with its place: Nodes 2.0 of frontend 1.32 asks only once
  return dial;
}

/** All that the loader's model went to gets it through a new dial. */
function addAfter(node, output) {
  const links = node.getOutputNodes(output) ?? [];
  const targets = [...new Set(links)].flatMap((target) =>
    target.inputs
      .map((_, slot) => ({ target, slot, link: target.getInputLink(slot) }))
      .filter(({ link }) => link?.origin_id === node.id && link.origin_slot === output),
  );
  const dial = newDial(node, true);
  const out = modelSlot(dial.outputs);
  for (const { target, slot } of targets) dial.connect(out, target, slot);
  node.connect(output, dial, modelSlot(dial.inputs));
  return dial;
}

/** The sampler gets its model through a new dial. */
function addBefore(node, input) {
  const link = node.getInputLink(input);
  const source = link && node.graph.getNodeById(link.origin_id);
  const dial = newDial(node, false);
  if (source) source.connect(link.origin_slot, dial, modelSlot(dial.inputs));
  dial.connect(modelSlot(dial.outputs), node, input);
  return dial;
}

function addDial(node) {
  const output = modelSlot(node.outputs);
  const input = modelSlot(node.inputs);
  asOneChange(() => {
    const dial = output >= 0 ? addAfter(node, output) : addBefore(node, input);
    app.canvas.selectNode(dial);
  });
}

/** Write those values of which the node has the widgets. */
function apply(node, values) {
  asOneChange(() => {
    for (const name of SCHEDULE_INPUTS) {
      if (name in values && widgetOf(node, name)) setWidget(node, name, values[name]);
    }
  });
}

const copySchedule = (node) =>
  localStorage.setItem(CLIPBOARD, JSON.stringify(scheduleValues(node).values));

function copiedSchedule() {
  try {
    const copied = JSON.parse(localStorage.getItem(CLIPBOARD));
    return copied && typeof copied === "object" ? copied : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null; // written by something else
    throw error;
  }
}

/** The starting points of a node's way; a node for several ways has those of all. */
function startingPoints(node) {
  const own = WAYS[node.comfyClass];
  return presets
    .filter(({ way }) => !own || way === own)
    .map(({ name, way, description, schedule }) => ({
      content: own ? name : `${name} (${way})`,
      title: description,
      callback: () => apply(node, schedule),
    }));
}

/** The entries for a Detour node with a schedule. */
function scheduleItems(node) {
  const copied = copiedSchedule();
  return [
    { content: "Detour: copy schedule", callback: () => copySchedule(node) },
    {
      content: "Detour: paste schedule",
      disabled: copied === null,
      callback: () => apply(node, copied),
    },
    {
      content: "Detour: starting points",
      has_submenu: true,
      submenu: { options: startingPoints(node) },
    },
  ];
}

function menuItems(node) {
  if (isDetour(node) && widgetOf(node, "shape")) return [null, ...scheduleItems(node)];
  const plain = !isDetour(node) || node.comfyClass === "DetourDemoModel";
  const hasModel = modelSlot(node.outputs) >= 0 || modelSlot(node.inputs) >= 0;
  if (!plain || !hasModel) return [];
  return [null, { content: "Detour: add mid-block bypass", callback: () => addDial(node) }];
}

app.registerExtension({
  name: "Detour.Menus",
  async setup() {
    const answer = await fetch(new URL("./presets.json", import.meta.url));
    presets = (await answer.json()).presets;
  },
  getNodeMenuItems: menuItems,
});
