// Shows the pictures of Label Pictures' last run and takes a label for each, by a click or a key.
// The labels are written into the node's "marks"; without a browser that text is written by hand.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyle, asOneChange, html, nodeById, setAttributes, showOnNode } from "./dom.js";
import { formatMarks, readLabels, readMarks } from "./marks.js";
import { isConnected, setWidget, widgetOf } from "./node_values.js";
import { followUndo, isUndo } from "./undo.js";
import { watch } from "./watch.js";

const NODE = "DetourLabelPictures";
const NAME = "detour_labels"; // of the widget, of the property and in what a run sends
const WIDTH = 600; // px of a new node
const HEIGHT = 560; // px, margins included
const CELL = 76; // px of a picture
const KEYS = 9;
const TAKEN = /^([0-9]|Arrow(Left|Right|Up|Down)|Home|End|Delete|Backspace|Enter| )$/;
const FIRST_LABEL = "first_label"; // of "unmarked"
const WAITING = "Run: the pictures appear here, to be labelled.";
const HELP =
  "Click a picture, or press a number; the next one follows. 0 takes a label away, Ctrl+Z undoes.";
// Of the labels in their order, as in detour/report/captions.py.
const COLOURS =
  "#5fbf86 #f08c4a #6fa8f5 #e0c341 #c08be8 #55c0c0 #f07fa8 #a9b1bd #a9c64f".split(" ");

const STYLE = `
.detour-labels { box-sizing: border-box; display: flex; flex-direction: column; gap: 5px; height: 100%;
  min-height: ${HEIGHT - 20}px; padding: 6px; border-radius: 6px; text-align: left; overflow: hidden;
  background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd);
  font: 11px/15px Inter, Arial, sans-serif; }
.detour-labels p { flex: none; margin: 0; }
.detour-labels .bar { flex: none; display: flex; flex-wrap: wrap; gap: 4px; }
.detour-labels .bar[hidden], .detour-labels .grid[hidden] { display: none; }
.detour-labels button { padding: 2px 8px; border: 1px solid currentColor; border-radius: 4px;
  background: none; color: inherit; font: inherit; cursor: pointer; }
.detour-labels button[aria-pressed] { border: 2px solid var(--colour); }
.detour-labels button[aria-pressed="true"] { background: var(--colour); color: #10141a; }
.detour-labels button:last-child { margin-left: auto; }
.detour-labels .grid { flex: 1 1 0; min-height: 0; overflow: hidden auto; scrollbar-width: thin;
  display: grid; grid-template-columns: repeat(auto-fill, minmax(${CELL + 8}px, 1fr)); gap: 4px;
  align-content: start; border-radius: 4px; outline: none; }
.detour-labels [role="option"] { position: relative; display: flex; flex-direction: column;
  align-items: center; padding: 4px 2px 1px; border-radius: 5px; cursor: pointer; user-select: none;
  border: 2px solid transparent; }
.detour-labels [role="option"][aria-selected="true"] { border-color: currentColor; }
.detour-labels .grid:focus-visible [aria-selected="true"] { outline: 2px solid #4c9bff; }
.detour-labels i { width: ${CELL}px; height: ${CELL}px; border-radius: 3px; background-color: #8883;
  image-rendering: pixelated; box-shadow: 0 0 0 3px var(--colour, transparent); }
.detour-labels b { position: absolute; top: 1px; left: 3px; padding: 0 4px; border-radius: 3px;
  max-width: ${CELL - 8}px; background: var(--colour); color: #10141a; font: 600 10px/12px Inter, Arial, sans-serif; }
.detour-labels b, .detour-labels span { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.detour-labels span { max-width: 100%; margin-top: 2px; }`;

const colourOf = (place) => COLOURS[place % COLOURS.length];
const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

/** What a run found, as far as it is that: workflows are edited and made by others. */
function keptRun(kept) {
  const { marks, order, said, across, sheet } = kept ?? {};
  if (![marks, order, said].every(Array.isArray) || !(across > 0)) return null;
  if (typeof sheet?.filename !== "string") return null;
  return order.every((place) => typeof marks[place] === "string") ? kept : null;
}

const sheetAddress = ({ filename, subfolder = "", type = "temp" }) =>
  api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);

/** The widget of one node. */
class Labels {
  constructor(node) {
    this.node = node;
    this.run = null;
    this.place = 0; // of the picture that keys label, in the order on the node
    this.brush = 1; // the number of the label that clicks give, from 0
    this.seen = "";
    this.bar = html("div", { class: "bar", role: "toolbar", "aria-label": "Labels", hidden: "" });
    const about = { class: "grid", role: "listbox", tabindex: 0, hidden: "" };
    this.grid = html("div", { ...about, "aria-label": `Pictures. ${HELP}` });
    this.told = html("p", { role: "status" }, WAITING);
    this.box = html("div", { class: "detour-labels" }, this.told, this.bar, this.grid);
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("pointerdown", (event) => event.stopPropagation()); // no dragging
    this.grid.addEventListener("click", (event) => this.click(event));
    const widget = showOnNode(node, NAME, this.box, () => ({ min: HEIGHT }));
    const report = node.widgets.findIndex(({ name }) => name === "detour_result");
    if (report >= 0) node.widgets.splice(report, 0, node.widgets.pop()); // above the report
    widget.labels = this;
    node.setSize([Math.max(node.size[0], WIDTH), node.size[1]]);
    watch(this);
  }

  /** The labels that can be given; a connected node's are those of the last run. */
  names() {
    if (isConnected(this.node, "labels")) return this.run?.labels ?? [];
    return readLabels(String(widgetOf(this.node, "labels").value));
  }

  marks() {
    const { value } = widgetOf(this.node, "marks");
    return readMarks(String(value), this.names(), this.run.marks);
  }

  show(run) {
    this.run = run;
    this.place = 0;
    this.seen = "";
    const sheet = `url("${sheetAddress(run.sheet)}")`;
    const rows = Math.ceil(run.order.length / run.across);
    const cells = run.order.map((place) => {
      const picture = html("i");
      const [x, y] = [place % run.across, Math.floor(place / run.across)];
      picture.style.background = `${sheet} ${-x * CELL}px ${-y * CELL}px`;
      picture.style.backgroundSize = `${run.across * CELL}px ${rows * CELL}px`;
      const said = html("span", {}, run.said[place] ?? String(place + 1));
      return html("div", { role: "option" }, picture, html("b"), said);
    });
    this.grid.replaceChildren(...cells);
    this.update();
  }

  /** Draw again if anything is not what it was; true if so. */
  update() {
    if (!this.run) return false;
    const texts = ["labels", "marks", "unmarked"].map((name) => widgetOf(this.node, name).value);
    const told = [this.node.id, this.place, this.brush, isConnected(this.node, "marks")];
    const seen = JSON.stringify([...texts, ...told]); // a pasted node gets its id late
    if (seen === this.seen) return false;
    this.seen = seen;
    this.draw();
    return true;
  }

  draw() {
    const names = this.names();
    const { labels, rest } = this.marks();
    const { order, marks, said } = this.run;
    const other = widgetOf(this.node, "unmarked").value === FIRST_LABEL ? names[0] : "";
    const counts = new Map();
    [...this.grid.children].forEach((cell, index) => {
      const place = order[index];
      const own = labels.get(marks[place]);
      const label = own ?? other;
      counts.set(label, (counts.get(label) ?? 0) + 1);
      const colour = own ? colourOf(names.indexOf(own)) : "transparent";
      const [, tag] = cell.children;
      cell.style.setProperty("--colour", colour);
      tag.hidden = !own;
      if (tag.textContent !== (own ?? "")) tag.textContent = own ?? "";
      const spoken = `Picture ${place + 1}: ${label || "no label"}`;
      setAttributes(cell, {
        id: `${NAME}-${this.node.id}-${index}`,
        "aria-label": said[place] ? `${spoken}; ${said[place]}` : spoken,
        "aria-selected": index === this.place,
      });
    });
    this.grid.hidden = this.bar.hidden = false;
    setAttributes(this.grid, { "aria-activedescendant": this.grid.children[this.place]?.id });
    this.drawBar(names, counts);
    this.told.textContent = this.summary(counts, rest);
  }

  drawBar(names, counts) {
    const buttons = names.map((name, place) => {
      const key = place < KEYS ? `${place + 1} ` : "";
      const pressed = place === Math.min(this.brush, names.length - 1);
      const about = { type: "button", "aria-pressed": pressed, title: `Clicks give "${name}"` };
      const button = html("button", about, `${key}${name} (${counts.get(name) ?? 0})`);
      button.style.setProperty("--colour", colourOf(place));
      button.addEventListener("click", () => {
        this.brush = place;
        this.update();
      });
      return button;
    });
    const undo = html("button", { type: "button", title: "Undo the last change (Ctrl+Z)" }, "Undo");
    undo.addEventListener("click", () => {
      this.beforeUndo();
      app.extensionManager.command.execute("Comfy.Undo");
    });
    this.bar.replaceChildren(...buttons, undo);
  }

  /** How far the work is, and what is in the way. */
  summary(counts, rest) {
    if (isConnected(this.node, "marks")) return "A connected node sets the marks; clicks do not count.";
    const { marks, order } = this.run;
    const left = counts.get("") ?? 0;
    const told = left ? [`${left} of ${order.length} have no label yet.`] : [];
    const absent = rest.filter(([label, item]) => label !== null && item.startsWith("#")).length;
    if (absent) {
      told.push(`The pictures have changed: ${count(absent, "click")} on others label nothing now.`);
    }
    if (order.length < marks.length) told.push(`The first ${order.length} of ${marks.length} are here.`);
    return [HELP, ...told].join(" ");
  }

  /** Give the picture at a place a label, or take it away (null), and go on to another. */
  put(place, label, next) {
    if (!isConnected(this.node, "marks")) {
      const marks = this.marks();
      const mark = this.run.marks[this.run.order[place]];
      if (label === null) marks.labels.delete(mark);
      else marks.labels.set(mark, label);
      const text = formatMarks(marks, this.names());
      asOneChange(() => setWidget(this.node, "marks", text));
    }
    this.go(next);
  }

  go(place) {
    this.place = Math.min(Math.max(place, 0), this.run.order.length - 1);
    this.update();
    this.grid.children[this.place].scrollIntoView({ block: "nearest" });
  }

  /** The brush's label for the picture; taken away where the picture has it. */
  paint(place) {
    const names = this.names();
    const label = names[Math.min(this.brush, names.length - 1)];
    if (label === undefined) return;
    const has = this.marks().labels.get(this.run.marks[this.run.order[place]]) === label;
    this.put(place, has ? null : label, place + 1);
  }

  click({ target }) {
    const place = [...this.grid.children].indexOf(target.closest('[role="option"]'));
    this.grid.focus({ preventScroll: true, focusVisible: true });
    if (place >= 0) this.paint(place);
  }

  /** Whether a key is for the pictures; those with Ctrl, Cmd or Alt are the host's. */
  takes({ ctrlKey, metaKey, altKey, key }) {
    return !(ctrlKey || metaKey || altKey) && TAKEN.test(key);
  }

  key(event) {
    if (isUndo(event)) this.beforeUndo();
    if (!this.takes(event)) return;
    event.preventDefault();
    event.stopPropagation(); // the host would delete the node
    this.press(event.key);
  }

  press(key) {
    const { place } = this;
    const across = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const ways = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
    const ends = { Home: 0, End: this.run.order.length - 1 };
    const label = /^[1-9]$/.test(key) ? this.names()[key - 1] : undefined;
    if (label !== undefined) this.put(place, label, place + 1);
    else if (key in ways) this.go(place + ways[key]);
    else if (key in ends) this.go(ends[key]);
    else if (["0", "Delete", "Backspace"].includes(key)) this.put(place, null, place);
    else if (["Enter", " "].includes(key)) this.paint(place);
  }

  beforeUndo() {
    followUndo(this, () => labelsOf(app.canvas.graph?.getNodeById(this.node.id)));
  }

  state() {
    return { place: this.place, brush: this.brush, labels: this.marks().labels };
  }

  /** Go on where a node before this one was, at the first picture that has another label now. */
  restore({ place, brush, labels }) {
    const { order, marks } = this.run;
    const now = this.marks().labels;
    const changed = order.findIndex((one) => labels.get(marks[one]) !== now.get(marks[one]));
    this.brush = brush;
    this.go(changed < 0 ? place : changed);
  }
}

const labelsOf = (node) => widgetOf(node, NAME)?.labels;

app.registerExtension({
  name: "Detour.LabelPictures",
  setup() {
    addStyle(STYLE);
    api.addEventListener("executed", ({ detail }) => {
      const node = nodeById(detail.display_node ?? detail.node);
      const run = keptRun(detail.output?.[NAME]?.[0]);
      if (!run || !labelsOf(node)) return;
      asOneChange(() => (node.properties[NAME] = run)); // else undo of a label takes it away too
      labelsOf(node).show(run);
    });
  },
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const labels = new Labels(node);
    const configured = node.onConfigure;
    node.onConfigure = function (...args) {
      configured?.apply(this, args);
      const run = keptRun(this.properties?.[NAME]);
      if (run) labels.show(run);
    };
  },
});
