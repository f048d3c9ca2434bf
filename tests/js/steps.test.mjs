// The steps of a sampler, held against what ComfyUI's own KSampler visits.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { readSchedule, stableDiffusionSigmas } from "../../js/schedule.js";
import { runSigmas, stepMarks } from "../../js/steps.js";

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
  assert.equal(golden.length, 30);
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
