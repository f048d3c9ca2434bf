// Marks are read as Python reads them (tests/golden/marks.json), and nothing of them is lost.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { formatMarks, readLabels, readMarks } from "../../js/marks.js";

const NAMES = ["right", "wrong"];
const PICTURES = [..."abcd"].map((letter) => `#${letter.repeat(10)}`);
const golden = JSON.parse(readFileSync(new URL("../golden/marks.json", import.meta.url)));

test("marks are read and written as the golden file says", () => {
  for (const { text, labels, written = text } of golden) {
    const read = readMarks(text, NAMES, PICTURES);
    assert.deepEqual(PICTURES.map((mark) => read.labels.get(mark) ?? ""), labels, text);
    assert.equal(formatMarks(read, NAMES), written);
  }
});

test("what cannot be read stays as it is", () => {
  for (const text of ["maybe: 1, 2", "nonsense", "right: 9; wrong: x", "wrong: 3-1"]) {
    const read = readMarks(text, NAMES, PICTURES);
    assert.equal(read.labels.size, 0);
    assert.equal(formatMarks(read, NAMES), text);
  }
});

test("labels are one a line, or separated by commas", () => {
  assert.deepEqual(readLabels(" right, wrong ,"), NAMES);
  assert.deepEqual(readLabels("tench, Tinca tinca/right\nwrong"), ["tench, Tinca tinca/right", "wrong"]);
});
