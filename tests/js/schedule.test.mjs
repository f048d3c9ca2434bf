// js/schedule.js is held against the table that Python is held against, and refuses the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as schedule from "../../js/schedule.js";

const golden = JSON.parse(readFileSync(new URL("../golden/schedule.json", import.meta.url)));
const close = (found, expected, what) =>
  assert.ok(Math.abs(found - expected) < 1e-12, `${what}: ${found}, not ${expected}`);
const values = (changes) => ({
  strength: 1,
  shape: "constant",
  start_percent: 0,
  end_percent: 0.3,
  schedule_by: "sigma",
  points: "",
  ...changes,
});

test("every shape and window follows the golden table", () => {
  for (const { lam, points, ...fields } of golden.schedules) {
    const text = points.map(([u, v]) => `${u}:${v}`).join(", ");
    const read = schedule.readSchedule(values({ ...fields, points: text }));
    golden.places.forEach((place, index) =>
      close(schedule.lam(read, place), lam[index], `${JSON.stringify(fields)} at ${place}`),
    );
  }
  assert.equal(golden.schedules.length, 24);
});

test("Stable Diffusion's sigmas and the progress by sigma follow the golden table", () => {
  const table = schedule.stableDiffusionSigmas();
  close(table[0], golden.sd_sigmas.first, "first");
  close(table[500], golden.sd_sigmas.middle, "middle");
  close(table.at(-1), golden.sd_sigmas.last, "last");
  for (const [sigma, progress] of golden.by_sigma) {
    close(schedule.progressBySigma(table, sigma), progress, `sigma ${sigma}`);
    if (progress > 0 && progress < 1) close(schedule.sigmaAt(table, progress), sigma, progress);
  }
});

test("the progress by step follows the golden table, rounding included", () => {
  for (const [sigma, progress] of golden.by_step) {
    close(schedule.progressByStep(golden.run, sigma), progress, `sigma ${sigma}`);
  }
  close(schedule.progressByStep([0.1, 1, 10], 1), 0.5, "rising sigmas are read in their order");
});

test("points are read as Python reads them", () => {
  assert.deepEqual(schedule.parsePoints("0:1, 0.5 : .6;1:-1\n"), [[0, 1], [0.5, 0.6], [1, -1]]);
  assert.deepEqual(schedule.parsePoints(" "), []);
  for (const [text, sentence] of [
    ["0:1, half:0", /Cannot read the point 'half:0'/],
    ["0.5", /Cannot read the point '0.5'/],
    ["0:", /Cannot read the point '0:'/],
    ["1.5:0", /place u of a point is 1.5; it must be a number from 0 to 1/],
    ["0:2", /value v of a point is 2; it must be a number from -1 to 1/],
    ["0.5:1, 0.2:0", /must go up from left to right, but are 0.5, 0.2/],
  ]) {
    assert.throws(() => schedule.parsePoints(text), sentence);
  }
});

test("strengths are read as Python reads them", () => {
  assert.deepEqual(schedule.parseStrengths("0, -.25;\n1"), [0, -0.25, 1]);
  assert.throws(() => schedule.parseStrengths(" , "), /strengths is empty/);
  assert.throws(() => schedule.parseStrengths("0, much"), /Cannot read the strength 'much'/);
  assert.throws(() => schedule.parseStrengths("2"), /strength is 2; it must be/);
});

test("values that cannot be used are refused with one sentence", () => {
  for (const [changes, sentence] of [
    [{ strength: NaN }, /strength is NaN/],
    [{ start_percent: 0.5 }, /start_percent \(0.5\) must be smaller than end_percent \(0.3\)/],
    [{ end_percent: 1.2 }, /end_percent is 1.2; it must be a number from 0 to 1/],
    [{ shape: "wave" }, /shape is 'wave'; it must be one of: constant, /],
    [{ schedule_by: "time" }, /schedule_by is 'time'/],
    [{ shape: "curve" }, /The shape 'curve' needs points/],
  ]) {
    assert.throws(() => schedule.readSchedule(values(changes)), sentence);
  }
});
