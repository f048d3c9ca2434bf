// The sigmas that a sampler will visit, from its widgets: ComfyUI's own schedulers on Stable
// Diffusion's table. Pure functions; tests/golden/steps.json holds them to the host's numbers.

import { contains, lam, progressBySigma, progressByStep, sigmaAt } from "./schedule.js";

/** The host's node for turbo models: it has no widget for the scheduler, so its name stands for one. */
export const TURBO = "SDTurboScheduler";

/** These samplers plan one step more and leave out the last but one. */
const DISCARD_PENULTIMATE = ["dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"];
const MAX_STEPS = 10000;

const range = (count, value) => Array.from({ length: count }, (_, index) => value(index));
const spread = (count, from, to) => (index) => (count < 2 ? from : from + ((to - from) * index) / (count - 1));

/** The sigma at a training timestep 0 .. 999, fractions too. */
const atTimestep = (table, timestep) => sigmaAt(table, 1 - timestep / (table.length - 1));

const SCHEDULERS = {
  normal: (table, steps) => range(steps, spread(steps, table.length - 1, 0)).map((t) => atTimestep(table, t)),
  sgm_uniform: (table, steps) =>
    range(steps, spread(steps + 1, table.length - 1, 0)).map((t) => atTimestep(table, t)),
  simple: (table, steps) =>
    range(steps, (index) => table.at(-1 - Math.floor((index * table.length) / steps))),
  ddim_uniform(table, steps) {
    const stride = Math.max(Math.floor(table.length / steps), 1);
    const sigmas = [];
    for (let index = 1; index < table.length; index += stride) sigmas.unshift(table[index]);
    return sigmas;
  },
  karras(table, steps) {
    const root = (sigma) => sigma ** (1 / 7);
    return range(steps, spread(steps, root(table.at(-1)), root(table[0]))).map((r) => r ** 7);
  },
  exponential: (table, steps) =>
    range(steps, spread(steps, Math.log(table.at(-1)), Math.log(table[0]))).map(Math.exp),
  kl_optimal: (table, steps) =>
    range(steps, spread(steps, Math.atan(table.at(-1)), Math.atan(table[0]))).map(Math.tan),
};

/** The first of ten fixed timesteps; a lower denoise begins later among them. */
function turboSigmas(table, steps, denoise) {
  const skipped = 10 - Math.trunc(10 * denoise);
  const times = range(10, (index) => 999 - 100 * index).slice(skipped, skipped + steps);
  return times.length ? [...times.map((time) => atTimestep(table, time)), 0] : null;
}

/** The planned sigmas with the closing 0; null for a scheduler that is not among ours. */
function plan(table, scheduler, steps) {
  const sigmas = SCHEDULERS[scheduler]?.(table, steps);
  return sigmas ? [...sigmas, 0] : null;
}

/**
 * The sigmas of a run in the order they are visited, the closing one included; null where they
 * cannot be told. `run`: {steps, scheduler, sampler_name, denoise, start_at_step, end_at_step},
 * the sampler's widgets, of which only the first two must be there.
 */
export function runSigmas(table, run) {
  const { steps, scheduler, sampler_name: sampler, denoise = 1 } = run;
  const { start_at_step: first = 0, end_at_step: last = Infinity } = run;
  if (!(steps >= 1 && steps <= MAX_STEPS && denoise > 0)) return null;
  if (scheduler === TURBO) return turboSigmas(table, steps, denoise);
  const planned = denoise > 0.9999 ? steps : Math.floor(steps / denoise);
  const discard = DISCARD_PENULTIMATE.includes(sampler);
  let sigmas = plan(table, scheduler, planned + discard);
  if (!sigmas) return null;
  if (discard) sigmas.splice(-2, 1);
  if (planned !== steps) sigmas = sigmas.slice(-(steps + 1));
  if (last < sigmas.length - 1) sigmas = sigmas.slice(0, last + 1);
  return first < sigmas.length - 1 ? sigmas.slice(first) : null;
}

/** For each step of a run its progress and its bypass: [[progress, strength], ...]. */
export function stepMarks(schedule, table, sigmas) {
  return sigmas.slice(0, -1).map((sigma) => {
    const byStep = schedule.by === "step";
    const place = byStep ? progressByStep(sigmas, sigma) : progressBySigma(table, sigma);
    return [place, lam(schedule, place)];
  });
}

/** The steps with a bypass by their numbers, as in "steps 1 and 2 of 4" or "steps 1 to 6 of 20". */
export function namedSteps(marks) {
  const spans = [];
  const active = marks.map(([, bypass], index) => bypass !== 0 && index + 1).filter(Boolean);
  for (const step of active) {
    if (spans.at(-1)?.at(-1) === step - 1) spans.at(-1).push(step);
    else spans.push([step]);
  }
  const told = spans.flatMap((span) => (span.length < 3 ? span : `${span[0]} to ${span.at(-1)}`));
  const last = told.pop();
  const all = told.length ? `${told.join(", ")} and ${last}` : last;
  return `step${active.length > 1 ? "s" : ""} ${all} of ${marks.length}`;
}

/** Why no step of a run gets anything, and the way out; null if one does, or if none should. */
export function whyNone(schedule, marks) {
  const { strength, start, end, by, shape } = schedule;
  if (strength === 0 || !marks.length || marks.some(([, bypass]) => bypass !== 0)) return null;
  const places = marks.map(([place]) => place);
  const none = `Acts on none of the ${marks.length} steps:`;
  if (places.some((place) => contains(schedule, place))) {
    return `${none} the shape ${shape} is 0 at each of them. Use constant.`;
  }
  const short = (value) => `${Number(value.toPrecision(2))}`;
  const [least, most] = [Math.min(...places), Math.max(...places)].map(short);
  const byStep = by === "sigma" && places.some((_, index) => contains(schedule, index / places.length));
  const wayOut = byStep ? "Use schedule_by = step" : "Widen the window";
  return `${none} they lie at ${least} to ${most}, the window at ${start} to ${end}. ${wayOut}.`;
}
