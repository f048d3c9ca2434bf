// Mends what older workflows bring: on hosts that drew their Curve Editor inside a node its points
// were the last value, which now stands where the dial's blocks or the sweep's ways are.

import { app } from "../../scripts/app.js";
import { widgetOf } from "./node_values.js";

const CAME_LATER = {
  DetourMidBlockBypass: ["blocks", "auto"],
  DetourBypassSweep: ["ways", "bypass"],
};

app.registerExtension({
  name: "Detour.SavedWorkflows",
  loadedGraphNode(node) {
    const [name, otherwise] = CAME_LATER[node.comfyClass] ?? [];
    const widget = name && widgetOf(node, name);
    if (widget && typeof widget.value !== "string") widget.value = otherwise;
  },
});
