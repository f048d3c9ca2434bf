// Keeps a widget up to date with its node, whose values change in many ways.

const RESTING_MS = 120; // between two looks at a node at rest
const LIVELY = 30; // looks at display rate after a change, or after the user did something
const USERS = ["pointerdown", "pointermove", "keydown", "input"];

/**
 * Update a widget while its `box` can be seen; `update()` is true if something was not as before.
 * At display rate while something changes or the user is at work, so that a dragged slider shows at
 * once.
 */
export function watch(widget) {
  let frame = 0;
  let timer = 0;
  let lively = 0;
  const stop = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    timer = 0;
  };
  const look = () => {
    timer = 0;
    lively = widget.update() ? LIVELY : lively - 1;
    if (lively > 0) frame = requestAnimationFrame(look);
    else timer = setTimeout(look, RESTING_MS);
  };
  const wake = () => {
    lively = LIVELY;
    if (!timer) return;
    stop();
    frame = requestAnimationFrame(look);
  };
  new IntersectionObserver((entries) => {
    stop();
    const change = entries.at(-1).isIntersecting ? "addEventListener" : "removeEventListener";
    for (const kind of USERS) window[change](kind, wake, { capture: true, passive: true });
    if (change === "addEventListener") look();
  }).observe(widget.box);
}
