// When and how strongly the mid-block is bypassed: detour/schedule.py and detour/progress.py once
// more, for the browser. Pure functions; tests/golden/schedule.json holds both to the same numbers.

export const SHAPES = ["constant", "ramp_up", "ramp_down", "bump", "cosine", "curve"];
export const SCHEDULE_BY = ["sigma", "step"];
export const POINTS_EXAMPLE = "'0:1, 0.5:0.6, 1:0'";

/** Nearer than this share to a step of a run is that step, as in detour/progress.py. */
export const ROUNDING = 1e-5;

const requireBetween = (name, value, low, high) => {
  if (!(Number.isFinite(value) && low <= value && value <= high)) {
    throw new RangeError(`${name} is ${value}; it must be a number from ${low} to ${high}.`);
  }
};

const requireChoice = (name, value, choices) => {
  if (!choices.includes(value)) {
    throw new RangeError(`${name} is '${value}'; it must be one of: ${choices.join(", ")}.`);
  }
};

/**
 * A checked schedule {strength, shape, start, end, by, points} from values under the node's input
 * names; `points` is their text. A RangeError with one sentence for a value that cannot be used.
 */
export function readSchedule(values) {
  const { strength, shape, start_percent: start, end_percent: end, schedule_by: by } = values;
  requireBetween("strength", strength, -1, 1);
  requireBetween("start_percent", start, 0, 1);
  requireBetween("end_percent", end, 0, 1);
  if (start >= end) {
    throw new RangeError(
      `start_percent (${start}) must be smaller than end_percent (${end}): ` +
        "there must be a window to be active in.",
    );
  }
  requireChoice("shape", shape, SHAPES);
  requireChoice("schedule_by", by, SCHEDULE_BY);
  const points = shape === "curve" ? parsePoints(values.points ?? "") : [];
  if (shape === "curve" && !points.length) {
    throw new RangeError(
      `The shape 'curve' needs points: write them as u:v pairs, for example ${POINTS_EXAMPLE}.`,
    );
  }
  return { strength, shape, start, end, by, points };
}

/** True inside the half-open window; an end of 1 includes the very end. */
export const contains = ({ start, end }, progress) =>
  start <= progress && (progress < end || end === 1);

/** The bypass at a progress of 0 (pure noise) to 1 (finished picture). */
export function lam(schedule, progress) {
  const { strength, shape, start, end, points } = schedule;
  if (strength === 0 || !contains(schedule, progress)) return 0;
  return strength * shapeValue(shape, (progress - start) / (end - start), points);
}

/** The height of a shape at `u` in 0..1 of the window; 1 is full strength. */
export function shapeValue(shape, u, points = []) {
  if (shape === "constant") return 1;
  if (shape === "ramp_up") return u;
  if (shape === "ramp_down") return 1 - u;
  if (shape === "bump") return Math.sin(Math.PI * u);
  if (shape === "cosine") return (1 + Math.cos(Math.PI * u)) / 2;
  return interpolate(points, u);
}

/** Piecewise linear through the points, the ends held; at a jump the later point counts. */
function interpolate(points, u) {
  const after = points.findIndex(([place]) => place > u);
  if (after === 0) return points[0][1];
  if (after < 0) return points.at(-1)[1];
  const [[u0, v0], [u1, v1]] = points.slice(after - 1, after + 1);
  return v0 + ((v1 - v0) * (u - u0)) / (u1 - u0);
}

const parts = (text) => text.split(/[,;\n]/).filter((part) => part.trim());
const number = (text) => (text.trim() ? Number(text) : NaN);

/** The points written as `u:v, u:v`; a RangeError names the part which cannot be read. */
export function parsePoints(text) {
  const points = parts(text).map((part) => {
    const colon = part.indexOf(":");
    const point = [number(part.slice(0, colon)), number(part.slice(colon + 1))];
    if (colon < 0 || point.some(Number.isNaN)) {
      throw new RangeError(
        `Cannot read the point '${part.trim()}': write points as u:v pairs, ` +
          `for example ${POINTS_EXAMPLE}.`,
      );
    }
    requireBetween("The place u of a point", point[0], 0, 1);
    requireBetween("The value v of a point", point[1], -1, 1);
    return point;
  });
  if (points.some(([u], index) => index > 0 && u < points[index - 1][0])) {
    const places = points.map(([u]) => u).join(", ");
    throw new RangeError(`The points' places must go up from left to right, but are ${places}.`);
  }
  return points;
}

/** The strengths written as `0, 0.25, 0.5, 1`; a RangeError names the part that is none. */
export function parseStrengths(text) {
  const strengths = parts(text).map((part) => {
    const strength = number(part);
    if (Number.isNaN(strength)) {
      throw new RangeError(
        `Cannot read the strength '${part.trim()}': write numbers from -1 to 1 with commas ` +
          "between them, for example '0, 0.25, 0.5, 1'.",
      );
    }
    requireBetween("strength", strength, -1, 1);
    return strength;
  });
  if (!strengths.length) {
    throw new RangeError(
      "strengths is empty: write at least one number, for example '0, 0.5, 1'.",
    );
  }
  return strengths;
}

/** The 1,000 sigmas of Stable Diffusion 1.x, 2.x and SDXL (scaled-linear betas), rising. */
export function stableDiffusionSigmas() {
  const [low, high] = [Math.sqrt(0.00085), Math.sqrt(0.012)];
  let product = 1;
  return Array.from({ length: 1000 }, (_, index) => {
    product *= 1 - (low + ((high - low) * index) / 999) ** 2;
    return Math.sqrt((1 - product) / product);
  });
}

/** The progress 0..1 at a sigma of a model's table (rising): linear in log sigma. */
export function progressBySigma(table, sigma) {
  if (sigma <= table[0]) return 1;
  if (sigma >= table.at(-1)) return 0;
  const after = table.findIndex((entry) => entry > sigma);
  const [low, high] = [table[after - 1], table[after]];
  const index = after - 1 + Math.log(sigma / low) / Math.log(high / low);
  return 1 - index / (table.length - 1);
}

/** The sigma at a progress 0..1: the inverse of `progressBySigma`. */
export function sigmaAt(table, progress) {
  const index = (1 - Math.min(Math.max(progress, 0), 1)) * (table.length - 1);
  const below = Math.min(Math.floor(index), table.length - 2);
  const part = index - below;
  return Math.exp(Math.log(table[below]) * (1 - part) + Math.log(table[below + 1]) * part);
}

/** The progress 0..1 at a sigma of a run (its sigmas as visited, the closing one included). */
export function progressByStep(run, sigma) {
  const steps = run.length - 1;
  if (run[0] < run[steps]) return (steps - fractionalIndex(run.toReversed(), sigma)) / steps;
  return fractionalIndex(run, sigma) / steps;
}

/** The place of `sigma` in falling sigmas: 0 at or above the first, n - 1 at the last. */
function fractionalIndex(falling, sigma) {
  for (let index = 0; index < falling.length - 1; index++) {
    const [high, low] = falling.slice(index, index + 2);
    if (sigma >= high * (1 - ROUNDING)) return index;
    if (sigma > low * (1 + ROUNDING)) {
      if (low <= 0) return index + (high - sigma) / (high - low);
      return index + Math.log(high / sigma) / Math.log(high / low);
    }
  }
  return falling.length - 1;
}
