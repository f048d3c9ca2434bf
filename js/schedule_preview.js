// Draws on a Detour node what its schedule does over the denoising, as its widgets change. Nothing
// of it is saved: the widgets hold everything, and without a browser the nodes work the same.

import { app } from "../../scripts/app.js";
import { formatPoints } from "./curve_points.js";
import { addStyle, html, setAttributes, showOnNode } from "./dom.js";
import { STYLE as FOLD_STYLE, Fold } from "./fold.js";
import { isConnected, runValues, scheduleValues, setWidget } from "./node_values.js";
import { Plot, STYLE } from "./plot.js";
import { PointEditor } from "./point_editor.js";
import { lam, parseStrengths, readSchedule, sigmaAt, stableDiffusionSigmas } from "./schedule.js";
import { namedSteps, runSigmas, stepMarks, whyNone } from "./steps.js";
import { watch } from "./watch.js";

const NODES = [
  "DetourMidBlockBypass",
  "DetourGuidanceRelief",
  "DetourPromptFade",
  "DetourBypassSweep",
  "DetourPlotSchedule",
];
const NAME = "detour_schedule_preview";
const HEIGHT = 176; // px, margins included
const TABLE = stableDiffusionSigmas();
const short = (value) => `${Number(value.toPrecision(3))}`;

const BOX_STYLE = `
.detour-preview { box-sizing: border-box; display: flex; flex-direction: column; height: 100%;
  min-height: ${HEIGHT - 20}px; padding: 4px 4px 5px; border-radius: 6px; text-align: left;
  background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd); }
.detour-preview .below { flex: none; display: flex; justify-content: space-between; margin: 0 5px; }
.detour-preview p { margin: 0; font: 11px/15px Inter, Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; user-select: text; }
.detour-preview.wrong .detour-plot { opacity: 0.25; }
.detour-preview:is(.wrong, .missed) p { border-left: 3px solid #f0a818; padding-left: 6px; }`;

/** What a node's widgets describe, ready to be drawn; a RangeError says why they cannot be. */
function describe(node) {
  const { values, unknown } = scheduleValues(node);
  const strengths = "strengths" in values ? parseStrengths(values.strengths) : [values.strength];
  const schedules = strengths.map((strength) => readSchedule({ ...values, strength }));
  const highest = schedules.reduce((best, one) =>
    Math.abs(one.strength) > Math.abs(best.strength) ? one : best,
  );
  const run = runValues(node);
  const sigmas = run && runSigmas(TABLE, run);
  const curveUnknown = isConnected(node, "curve");
  const marks = sigmas && !curveUnknown ? stepMarks(highest, TABLE, sigmas) : [];
  const none = unknown.length ? null : whyNone(highest, marks);
  return { schedules, highest, unknown, curveUnknown, marks, none, steps: sigmas?.length - 1 };
}

/** One sentence about the whole schedule. */
function summary({ highest, unknown, curveUnknown, marks, none, schedules }) {
  const { start, end, by, strength } = highest;
  const where = by === "step" ? "of this run" : "of the noise schedule";
  if (curveUnknown) return `The connected curve acts from ${short(start)} to ${short(end)} ${where}.`;
  if (unknown.length) return `A connected node sets ${unknown.join(", ")}; drawn with the value here.`;
  if (strength === 0) return "Strength 0: exactly the unpatched model.";
  if (none) return none;
  const several = schedules.length > 1 ? `${schedules.length} strengths, ` : "";
  if (marks.length) return `${several ? `${several}on` : "Acts on"} ${namedSteps(marks)}.`;
  return `${several}${short(start)} to ${short(end)} ${where}`;
}

/** The numbers at one progress. */
function numbersAt({ schedules, steps, curveUnknown }, progress) {
  const bySteps = schedules[0].by === "step";
  const sigma = `sigma ${short(sigmaAt(TABLE, progress))} (SD)`;
  const step = steps ? `step ${short(progress * steps)} of ${steps}` : "";
  const heights = schedules.map((schedule) => short(lam(schedule, progress)));
  const strength = curveUnknown ? "" : `strength ${heights.join(", ")}`;
  const told = [`progress ${progress.toFixed(2)}`, bySteps ? step : sigma, strength];
  return told.filter(Boolean).join(" · ");
}

/** The widget of one node. */
class Preview {
  constructor(node) {
    this.node = node;
    this.plot = new Plot();
    this.words = html("p");
    this.fold = new Fold(node);
    const below = html("div", { class: "below" }, this.words, this.fold.button);
    this.box = html("div", { class: "detour-preview" }, this.plot.root, below);
    this.editor = new PointEditor(this.plot, (points) => {
      setWidget(node, "points", formatPoints(points));
      this.update();
    });
    this.progress = null;
    this.seen = [];
    const { probe } = this.plot;
    const about = { "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 1 };
    setAttributes(probe, { ...about, "aria-valuenow": 0 });
    const follow = (event) => this.point(this.plot.place(event)[0]);
    probe.addEventListener("pointermove", follow);
    probe.addEventListener("pointerleave", () => this.point(null));
    probe.addEventListener("focus", () => probe.matches(":focus-visible") && this.point(0));
    probe.addEventListener("blur", () => this.point(null));
    probe.addEventListener("keydown", (event) => this.key(event));
    showOnNode(node, NAME, this.box, () => ({ min: HEIGHT }));
  }

  /** Everything that is drawn, as one list of plain values. */
  state() {
    const { values, unknown } = scheduleValues(this.node);
    const run = Object.values(runValues(this.node) ?? {});
    const told = [isConnected(this.node, "curve"), isConnected(this.node, "points"), ...unknown];
    return [...Object.values(values), ...told, ...run, this.plot.width, this.plot.height];
  }

  /** Draw again if anything is not what it was; true if so. */
  update() {
    this.fold.update();
    if (!this.plot.measure()) return false;
    const state = this.state();
    const same = (value, index) => Object.is(value, this.seen[index]);
    if (state.length === this.seen.length && state.every(same)) return false;
    this.seen = state;
    this.draw();
    return true;
  }

  draw() {
    try {
      this.told = describe(this.node);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.told = null;
      this.say(error.message);
      this.plot.root.setAttribute("aria-label", error.message);
      return;
    }
    const editable = this.told.highest.shape === "curve" && !this.told.curveUnknown;
    const fixed = this.told.unknown.includes("points") || isConnected(this.node, "points");
    this.plot.draw(this.told);
    const flat = this.told.highest.strength === 0;
    this.editor.draw(editable && !fixed && !flat ? this.told.highest : null);
    this.plot.root.setAttribute("aria-label", `Strength over the denoising: ${summary(this.told)}`);
    this.point(this.progress);
  }

  /** Show the numbers at a progress, or the summary. */
  point(progress) {
    this.progress = progress === null ? null : Math.min(Math.max(progress, 0), 1);
    this.plot.point(this.progress);
    if (!this.told) return;
    this.say(this.progress === null ? summary(this.told) : numbersAt(this.told, this.progress));
    const now = this.progress ?? 0;
    const spoken = { "aria-valuenow": now, "aria-valuetext": numbersAt(this.told, now) };
    setAttributes(this.plot.probe, spoken);
  }

  say(text) {
    this.box.classList.toggle("wrong", !this.told);
    this.box.classList.toggle("missed", Boolean(this.told?.none));
    if (this.words.textContent !== text) this.words.textContent = text;
  }

  key(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    this.point((this.progress ?? 0) + way * (event.shiftKey ? 0.1 : 0.01));
    event.preventDefault();
    event.stopPropagation();
  }
}

app.registerExtension({
  name: "Detour.SchedulePreview",
  setup: () => addStyle(STYLE + FOLD_STYLE + BOX_STYLE),
  nodeCreated(node) {
    if (NODES.includes(node.comfyClass)) watch(new Preview(node));
  },
});
