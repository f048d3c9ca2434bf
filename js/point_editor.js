// The points of a drawn curve: dragged, added and removed by pointer and by keyboard.

import { addPoint, besidePoint, movePoint, removePoint } from "./curve_points.js";
import { asOneChange, beginChange, endChange, setAttributes, svg } from "./dom.js";

const STEP = 0.01;
const BIG_STEP = 0.1;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const HELP =
  "Drag, or arrow keys (Shift: larger steps). Double-click or Delete removes it, Enter adds one.";

/** Handles for the points on a plot. `write(points)` stores changed ones and draws again. */
export class PointEditor {
  constructor(plot, write) {
    this.plot = plot;
    this.write = write;
    this.schedule = null;
    this.dragged = null;
    plot.probe.addEventListener("dblclick", (event) => this.addAt(event));
  }

  /** Put the handles where the points are; a null schedule takes them away. */
  draw(schedule) {
    this.schedule = schedule;
    const points = schedule?.points ?? [];
    const layer = this.plot.front;
    while (layer.children.length > points.length) layer.lastChild.remove();
    while (layer.children.length < points.length) layer.append(this.handle(layer.children.length));
    points.forEach(([u, v], index) => {
      setAttributes(layer.children[index], {
        cx: this.plot.x(schedule.start + u * (schedule.end - schedule.start)),
        cy: this.plot.y(schedule.strength * v),
        "aria-label": `Point ${index + 1} of ${points.length} of the curve`,
        "aria-valuenow": v,
        "aria-valuetext": `place ${u} of the window, height ${v}`,
      });
    });
  }

  handle(index) {
    const about = { role: "slider", tabindex: 0, "aria-valuemin": -1, "aria-valuemax": 1 };
    const made = svg("circle", { class: "point", r: 5.5, ...about }, svg("title", {}, HELP));
    made.addEventListener("keydown", (event) => this.key(event, index));
    made.addEventListener("dblclick", (event) => {
      event.stopPropagation();
      this.remove(index);
    });
    made.addEventListener("pointerdown", (event) => this.grab(event, index));
    made.addEventListener("pointermove", (event) => this.drag(event, index));
    made.addEventListener("lostpointercapture", () => this.drop());
    return made;
  }

  /** A place of the plot inside the curve: [u, v], the height within what can be seen. */
  inside([progress, strength]) {
    const { start, end, strength: full } = this.schedule;
    const seen = Math.min(Math.max(strength, this.plot.low), 1);
    return [(progress - start) / (end - start), seen / full];
  }

  grab(event, index) {
    if (event.button !== 0) return;
    event.stopPropagation();
    const handle = this.plot.front.children[index];
    handle.setPointerCapture(event.pointerId);
    handle.focus({ focusVisible: false });
    beginChange();
    this.dragged = index;
  }

  drag(event, index) {
    if (this.dragged !== index) return;
    event.stopPropagation();
    this.write(movePoint(this.schedule.points, index, ...this.inside(this.plot.place(event))));
  }

  drop() {
    if (this.dragged === null) return;
    this.dragged = null;
    endChange();
  }

  addAt(event) {
    if (!this.schedule) return;
    event.stopPropagation();
    this.add(...this.inside(this.plot.place(event)));
  }

  add(u, v) {
    const { points, index } = addPoint(this.schedule.points, u, v);
    asOneChange(() => this.write(points));
    this.plot.front.children[index]?.focus();
  }

  remove(index) {
    asOneChange(() => this.write(removePoint(this.schedule.points, index)));
    this.plot.front.children[Math.max(index - 1, 0)]?.focus();
  }

  key(event, index) {
    const { points } = this.schedule;
    const arrow = ARROWS[event.key];
    const size = event.shiftKey ? BIG_STEP : STEP;
    if (arrow) {
      const [u, v] = points[index];
      const moved = movePoint(points, index, u + arrow[0] * size, v + arrow[1] * size);
      asOneChange(() => this.write(moved));
    } else if (event.key === "Enter" || event.key === "Insert") {
      this.add(...besidePoint(points, index));
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.remove(index);
    } else return;
    event.preventDefault();
    event.stopPropagation(); // the host would delete or move the node
  }
}
