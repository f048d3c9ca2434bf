// Undo makes all nodes anew. A widget that had the keyboard gets it again once the new one is seen,
// and then the keys that were typed meanwhile.

import { app } from "../../scripts/app.js";

const LONGEST = 2000; // ms, of an undo; with nothing to undo, keys come this late

let isFollowed = false;

/** Whether a key undoes or redoes. */
export const isUndo = ({ ctrlKey, metaKey, key }) => (ctrlKey || metaKey) && /^[yz]$/i.test(key);

/**
 * Follow an undo that begins now. `widget` has the keyboard: {box, grid, takes(event), press(key),
 * state(), restore(state)}; `find()` gives the one that is in its place by now, if any.
 */
export function followUndo(widget, find) {
  if (!isFollowed) new Follower(widget, find); // it sees further ones
}

class Follower {
  constructor(widget, find) {
    Object.assign(this, { widget, find });
    this.begin();
    isFollowed = true;
    this.listen("addEventListener");
    this.frame = requestAnimationFrame(() => this.look());
  }

  listen(change) {
    for (const kind of ["keydown", "pointerdown"]) window[change](kind, this, true);
  }

  handleEvent(event) {
    if (event.type === "keydown") this.hold(event);
    else this.end();
  }

  begin() {
    this.began = performance.now();
    this.state = this.widget.state();
    this.held ??= []; // null where none are held
  }

  hold(event) {
    if (isUndo(event)) this.begin();
    const { target } = event;
    const places = [document.body, app.canvas.canvas];
    const isOurs = places.includes(target) || this.widget.box.contains(target);
    if (!this.held || !isOurs || !this.widget.takes(event)) return;
    this.held.push(event.key);
    event.preventDefault();
    event.stopPropagation();
  }

  release() {
    for (const key of this.held ?? []) this.widget.press(key);
    this.held = null;
  }

  look() {
    const now = this.find();
    if (now && now !== this.widget) this.take(now);
    this.frame = requestAnimationFrame(() => this.look());
    if (performance.now() - this.began < LONGEST) return;
    if (now === this.widget) this.release();
    this.end();
  }

  take(now) {
    now.grid.focus({ focusVisible: true });
    if (document.activeElement !== now.grid) return; // unseen
    this.widget = now;
    now.restore(this.state);
    this.release();
  }

  /** Also as the pointer goes elsewhere. */
  end() {
    isFollowed = false;
    cancelAnimationFrame(this.frame);
    this.listen("removeEventListener");
  }
}
