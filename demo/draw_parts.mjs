// Draws the parts that the tiny model's people are composed of. `dev.py train --draw` runs a copy
// of this beside the packages, and puts what it prints into `parts.png`.
//
// Every part is drawn twice, tinted black and tinted white: a pixel's colour is linear in the tint,
// so that both together say it for every tint.

import * as style from "@dicebear/pixel-art";
import { Resvg } from "@resvg/resvg-js";

const components = await import("./node_modules/@dicebear/pixel-art/lib/components/index.js");
const TINTS = ["#000000", "#ffffff"];

function pixels(body) {
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" ` +
    `shape-rendering="crispEdges">${body}</svg>`;
  return Buffer.from(new Resvg(svg).render().pixels).toString("base64");
}

function body(tint) {
  // With nothing else to choose from, the style draws the head and shoulders alone.
  const prng = { pick: (list) => list?.[0], bool: () => false };
  return style.create({ prng, options: { skinColor: [tint.slice(1)] } }).body;
}

const parts = {};
for (const [group, names] of Object.entries(JSON.parse(process.argv[2])))
  for (const name of names) {
    const draw = (tint) =>
      group === "skin" ? body(tint) : components[group][name]({}, { [group]: tint });
    parts[`${group} ${name}`] = TINTS.map((tint) => pixels(draw(tint)));
  }
console.log(JSON.stringify(parts));
