// The sigmas that a sampler will visit, from its widgets: ComfyUI's own schedulers on Stable
// Diffusion's table. Pure functions; tests/golden/steps.json holds them to the host's numbers.

import { lam, progressBySigma, progressByStep, sigmaAt } from "./schedule.js";

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
