// The steps of a sampler, held against what ComfyUI's own KSampler visits.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { readSchedule, stableDiffusionSigmas } from "../../js/schedule.js";
import { namedSteps, runSigmas, stepMarks, whyNone } from "../../js/steps.js";

const golden = JSON.parse(readFileSync(new URL("../golden/steps.json", import.meta.url)));
const table = stableDiffusionSigmas();

test("every scheduler visits the host's sigmas", () => {
  for (const { run, sigmas } of golden) {
    const found = runSigmas(table, run);
    assert.equal(found.length, sigmas.length, JSON.stringify(run));
    found.forEach((sigma, index) => {
      const near = Math.abs(sigma - sigmas[index]) <= 2e-4 * sigmas[index];
      assert.ok(near, `${JSON.stringify(run)} step ${index}: ${sigma}, not ${sigmas[index]}`);
    });
  }
  assert.equal(golden.length, 34);
});

test("what cannot be told is not guessed", () => {
  const run = { steps: 20, scheduler: "normal" };
  assert.equal(runSigmas(table, { ...run, scheduler: "beta" }), null);
  assert.equal(runSigmas(table, { ...run, steps: 0 }), null);
  assert.equal(runSigmas(table, { ...run, denoise: 0 }), null);
  assert.equal(runSigmas(table, { ...run, start_at_step: 20 }), null);
});

test("marks lie by sigma in the model's schedule, by step in the run", () => {
  const values = { strength: 1, shape: "constant", start_percent: 0, end_percent: 0.3 };
  const late = runSigmas(table, { steps: 10, scheduler: "normal", denoise: 0.5 });
  const bySigma = stepMarks(readSchedule({ ...values, schedule_by: "sigma" }), table, late);
  const byStep = stepMarks(readSchedule({ ...values, schedule_by: "step" }), table, late);
  assert.deepEqual([bySigma.length, byStep.length], [10, 10]);
  assert.ok(bySigma.every(([place, strength]) => place > 0.4 && strength === 0));
  assert.deepEqual(byStep.map(([place]) => Math.round(place * 1000) / 1000).slice(0, 3), [0, 0.1, 0.2]);
  assert.equal(byStep.filter(([, strength]) => strength === 1).length, 3);
});

const marksOf = (schedule, run) => stepMarks(schedule, table, runSigmas(table, run));
const BASE = { strength: 1, shape: "constant", start_percent: 0, end_percent: 0.3, schedule_by: "sigma" };
const scheduleOf = (values = {}) => readSchedule({ ...BASE, ...values });

test("the steps are named as Python names them", () => {
  const names = JSON.parse(readFileSync(new URL("../golden/step_names.json", import.meta.url)));
  for (const [lams, name] of names.slice(1)) assert.equal(namedSteps(lams.map((lam) => [0, lam])), name);
});

test("few steps: the usual window takes the first, the starting point for them no other", () => {
  const { presets } = JSON.parse(readFileSync(new URL("../../js/presets.json", import.meta.url)));
  const few = readSchedule(presets.find(({ id }) => id === "few_steps").schedule);
  const schedulers = [...new Set(golden.map(({ run }) => run.scheduler))];
  for (const scheduler of schedulers) {
    for (let steps = 2; steps <= 10; steps++) {
      const run = { steps, scheduler, denoise: 1 };
      assert.match(namedSteps(marksOf(few, run)), /^step 1 of \d+$/, scheduler);
      const usual = marksOf(scheduleOf(), run);
      // DDIM's own steps begin below the top: at 2 and 3 of them the usual window comes too early.
      assert.equal(usual[0][1] !== 0, !(scheduler === "ddim_uniform" && steps < 4), `${scheduler} ${steps}`);
    }
  }
});

test("a run that gets nothing is told with the way out", () => {
  const late = { steps: 4, scheduler: "normal", denoise: 0.4 };
  const told = (values, run) => whyNone(scheduleOf(values), marksOf(scheduleOf(values), run));
  assert.match(told({}, late), /^Acts on none of the 4 steps: they lie at 0\.6\d to .* Use schedule_by = step\.$/);
  assert.equal(told({ schedule_by: "step" }, late), null);
  const between = { start_percent: 0.05, end_percent: 0.2 };
  const few = { steps: 4, scheduler: "sgm_uniform" };
  assert.match(told(between, few), /Widen the window\.$/);
  assert.match(told({ ...between, schedule_by: "step" }, few), /Widen the window\.$/);
  assert.match(told({ shape: "ramp_up", end_percent: 0.2 }, few), /the shape ramp_up is 0 at each/);
  assert.equal(told({ strength: 0 }, late), null);
});
