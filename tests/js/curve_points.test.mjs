// Points of a drawn curve: whatever is done to them, Python can read what comes out.

import assert from "node:assert/strict";
import { test } from "node:test";

import { addPoint, besidePoint, formatPoints, movePoint, removePoint } from "../../js/curve_points.js";
import { parsePoints } from "../../js/schedule.js";

const points = [[0, 1], [0.5, 0.6], [1, 0]];

test("a point moves on a grid of hundredths, between its neighbours and -1 and 1", () => {
  assert.deepEqual(movePoint(points, 1, 0.1234, -0.001)[1], [0.12, 0]);
  assert.equal(formatPoints(movePoint(points, 1, 0.3, -0.001)), "0:1, 0.3:0, 1:0");
  assert.deepEqual(movePoint(points, 1, 7, 7)[1], [1, 1]);
  assert.deepEqual(movePoint(points, 1, -7, -7)[1], [0, -1]);
  assert.deepEqual(movePoint([[0.3, 0], ...points.slice(1)], 0, 0.9, 0)[0], [0.5, 0]);
  assert.deepEqual(points[1], [0.5, 0.6], "the old points stay as they are");
});

test("points are added in their place", () => {
  assert.deepEqual(addPoint(points, 0.7, 0.2), {
    points: [[0, 1], [0.5, 0.6], [0.7, 0.2], [1, 0]],
    index: 2,
  });
  assert.equal(addPoint(points, 1, 0.2).index, 3);
  assert.equal(addPoint([], 0.4, 0).index, 0);
  assert.deepEqual(besidePoint(points, 0), [0.25, 0.8]);
  assert.deepEqual(besidePoint(points, 2), [0.75, 0.3]);
  assert.deepEqual(besidePoint([[0, 1]], 0), [0.5, 1]);
});

test("the last point cannot be removed", () => {
  assert.deepEqual(removePoint(points, 1), [[0, 1], [1, 0]]);
  assert.deepEqual(removePoint([[0, 1]], 0), [[0, 1]]);
});

test("any sequence of changes can be read again", () => {
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  let list = points;
  for (let turn = 0; turn < 500; turn++) {
    const index = Math.floor(random() * list.length);
    const [u, v] = [random() * 1.4 - 0.2, random() * 3 - 1.5];
    if (turn % 3 === 0) list = addPoint(list, u, v).points;
    else if (turn % 3 === 1) list = movePoint(list, index, u, v);
    else if (list.length > 4) list = removePoint(list, index);
    assert.deepEqual(parsePoints(formatPoints(list)), list);
  }
});
