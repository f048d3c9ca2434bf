// Changing the points of a drawn curve. Pure functions: each gives new points, in places that go
// up from left to right as detour/schedule.py wants them.

const DIGITS = 100; // a point lies on a grid of hundredths

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const onGrid = (value) => Math.round(value * DIGITS) / DIGITS || 0; // never -0

/** The points as text, for the widget. */
export const formatPoints = (points) => points.map(([u, v]) => `${u}:${v}`).join(", ");

/** Point `index` moved to a place and height, no further than its neighbours' places. */
export function movePoint(points, index, u, v) {
  const [low, high] = [points[index - 1]?.[0] ?? 0, points[index + 1]?.[0] ?? 1];
  return points.with(index, [clamp(onGrid(u), low, high), clamp(onGrid(v), -1, 1)]);
}

/** One point more, at a place and height; the points and the new one's index. */
export function addPoint(points, u, v) {
  const place = clamp(onGrid(u), 0, 1);
  const after = points.findIndex(([other]) => other > place);
  const index = after < 0 ? points.length : after;
  return { points: points.toSpliced(index, 0, [place, clamp(onGrid(v), -1, 1)]), index };
}

/** Halfway to the next point, or to the one before the last: where Insert puts a point. */
export function besidePoint(points, index) {
  const [u, v] = points[index];
  const [otherU, otherV] = points[index + 1] ?? points[index - 1] ?? [u < 0.5 ? 1 : 0, v];
  return [(u + otherU) / 2, (v + otherV) / 2];
}

/** Without point `index`; the last one stays, since a curve needs one. */
export const removePoint = (points, index) =>
  points.length > 1 ? points.toSpliced(index, 1) : points;
