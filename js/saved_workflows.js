// Mends what older workflows bring: on hosts that drew their Curve Editor inside a node its points
// were the last value, which now stands where the sweep's ways are.

import { app } from "../../scripts/app.js";
import { widgetOf } from "./node_values.js";

app.registerExtension({
  name: "Detour.SavedWorkflows",
  loadedGraphNode(node) {
    const ways = node.comfyClass === "DetourBypassSweep" && widgetOf(node, "ways");
    if (ways && typeof ways.value !== "string") ways.value = "bypass";
  },
});
