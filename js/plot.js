// The drawing of one or several schedules: progress to the right, strength upwards. SVG in the
// pixels of the widget, so that it is sharp at any zoom and on any screen.

import { setAttributes, svg } from "./dom.js";
import { lam } from "./schedule.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [33, 12, 9, 20]; // px around the plot
const SAMPLES = 96; // inside the window
const ENDS = 1e-9; // just before the end of the half-open window

export const STYLE = `
.detour-plot { display: block; flex: 1 1 0; min-height: 0; width: 100%; overflow: visible; touch-action: none; }
.detour-plot text { fill: var(--input-text, #ddd); font: 10px Inter, Arial, sans-serif; }
.detour-plot .window { fill: #d65820; opacity: 0.14; }
.detour-plot .rule { stroke: var(--input-text, #ddd); opacity: 0.16; }
.detour-plot .zero { stroke: var(--input-text, #ddd); opacity: 0.6; }
.detour-plot .curve { fill: none; stroke: #d65820; stroke-width: 2; stroke-linejoin: round; }
.detour-plot .curve.below { stroke: #3d7fd6; }
.detour-plot .step { fill: var(--comfy-input-bg, #222); stroke: #d65820; stroke-width: 1.2; }
.detour-plot .step.active { fill: #d65820; }
.detour-plot .cursor { stroke: var(--input-text, #ddd); stroke-dasharray: 2 2; }
.detour-plot .probe { fill: transparent; cursor: crosshair; }
.detour-plot .probe:focus-visible { outline: 2px solid var(--input-text, #ddd); outline-offset: 1px; }
.detour-plot .point { fill: var(--comfy-input-bg, #222); stroke: #d65820; stroke-width: 2; cursor: grab; }
.detour-plot .point:hover { fill: #d65820; }
.detour-plot .point:focus-visible { outline: none; fill: #d65820; stroke: var(--input-text, #fff); stroke-width: 3; }`;

/** The corners of a schedule's curve as [progress, strength], with the jumps at the window's ends. */
export function corners(schedule) {
  const { start, end, shape, points } = schedule;
  const inside = [start];
  if (shape === "curve") {
    for (const [u] of points) inside.push(start + u * (end - start) - ENDS, start + u * (end - start));
  } else if (shape !== "constant") {
    for (let index = 1; index < SAMPLES; index++) inside.push(start + ((end - start) * index) / SAMPLES);
  }
  inside.push(end === 1 ? 1 : end - ENDS);
  const places = inside.filter((place) => place >= start && (place < end || end === 1));
  const before = start > 0 ? [[0, 0], [start, 0]] : [];
  const after = end < 1 ? [[end, 0], [1, 0]] : [];
  return [...before, ...places.map((place) => [place, lam(schedule, place)]), ...after];
}

/** A drawing that is used again and again: `root`, `front` for handles, `draw`, and coordinates. */
export class Plot {
  constructor() {
    this.back = svg("g", { "aria-hidden": "true" });
    this.cursor = svg("line", { class: "cursor", visibility: "hidden" });
    this.probe = svg("rect", { class: "probe", role: "slider", tabindex: 0 });
    this.front = svg("g");
    const layers = [this.back, this.cursor, this.probe, this.front];
    this.root = svg("svg", { class: "detour-plot", role: "group" }, ...layers);
    this.width = this.height = 0;
    this.low = 0;
  }

  x(progress) {
    return LEFT + progress * (this.width - LEFT - RIGHT);
  }

  y(strength) {
    return TOP + ((1 - strength) / (1 - this.low)) * (this.height - TOP - BOTTOM);
  }

  /** The [progress, strength] under the pointer, whatever the zoom; also outside of the plot. */
  place(event) {
    const matrix = this.root.getScreenCTM().inverse();
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    const progress = (x - LEFT) / (this.width - LEFT - RIGHT);
    return [progress, 1 - ((y - TOP) / (this.height - TOP - BOTTOM)) * (1 - this.low)];
  }

  /** Take the widget's size; false while it is out of sight. */
  measure() {
    this.width = this.root.clientWidth;
    this.height = this.root.clientHeight;
    return this.width > LEFT + RIGHT && this.height > TOP + BOTTOM;
  }

  /** Draw {schedules, marks, curveUnknown}: all schedules share one window. */
  draw({ schedules, marks, curveUnknown }) {
    const curves = curveUnknown ? [] : schedules.map(corners);
    this.low = curves.flat().some(([, strength]) => strength < 0) ? -1 : 0;
    const { start, end } = schedules[0];
    const top = this.y(1);
    const height = this.y(this.low) - top;
    const span = { x: this.x(start), y: top, width: this.x(end) - this.x(start), height };
    this.back.replaceChildren(
      svg("rect", { class: "window", ...span }),
      ...this.grid(),
      ...curves.map((curve, index) => this.curve(curve, schedules[index], curves.length)),
      ...marks.map(([place, strength]) => this.step(place, strength)),
    );
    setAttributes(this.probe, { x: this.x(0), y: top, width: this.x(1) - this.x(0), height });
  }

  /** Show a line at a progress, or none. */
  point(progress) {
    const x = this.x(progress ?? 0);
    const ends = { x1: x, x2: x, y1: this.y(1), y2: this.y(this.low) };
    setAttributes(this.cursor, { ...ends, visibility: progress === null ? "hidden" : "visible" });
  }

  grid() {
    const heights = this.low < 0 ? [1, 0, -1] : [1, 0.5, 0];
    const lines = heights.flatMap((value) => {
      const [y, kind] = [this.y(value), value === 0 ? "zero" : "rule"];
      return [
        svg("line", { class: kind, x1: this.x(0), x2: this.x(1), y1: y, y2: y }),
        svg("text", { x: LEFT - 9, y: y + 3.5, "text-anchor": "end" }, `${value}`.replace("-", "−")),
      ];
    });
    const base = this.height - 5;
    const words = [
      [0, "noise", "start"],
      [0.5, "progress 0.5", "middle"],
      [1, "picture", "end"],
    ];
    return [
      ...lines,
      ...words.map(([place, word, anchor]) =>
        svg("text", { x: this.x(place), y: base, "text-anchor": anchor }, word),
      ),
    ];
  }

  curve(places, { strength }, count) {
    const path = places.map(([p, s]) => `${this.x(p).toFixed(2)},${this.y(s).toFixed(2)}`);
    const sign = strength < 0 ? "curve below" : "curve";
    const opacity = count > 1 ? 0.45 + 0.55 * Math.abs(strength) : 1;
    return svg("path", { class: sign, d: `M${path.join("L")}`, "data-strength": strength, opacity });
  }

  step(place, strength) {
    const kind = strength === 0 ? "step" : "step active";
    return svg("circle", { class: kind, cx: this.x(place), cy: this.y(strength), r: 2.6 });
  }
}
