// Which picture has which label, read and written as text. Pure functions; detour/probes/labels.py
// reads the same text, and says what is wrong with it.

/** The labels that were typed: one a line, or separated by commas. */
export function readLabels(text) {
  const separator = text.trim().includes("\n") ? "\n" : ",";
  return text.split(separator).map((part) => part.trim()).filter(Boolean);
}

/** The marks of the pictures that an item names: "#0123456789", "3" or "7-9". */
function named(item, pictures) {
  if (item.startsWith("#")) return pictures.includes(item) ? [item] : [];
  const [, first, last = first] = /^(\d+)(?:\s*-\s*(\d+))?$/.exec(item) ?? [];
  return first >= 1 ? pictures.slice(first - 1, Number(last)) : [];
}

/**
 * {labels, rest}: the label of each mark (a Map), and what the text says of other pictures, as
 * [label, item]; where it cannot be read the label is null and the item the whole part.
 */
export function readMarks(text, names, pictures) {
  const labels = new Map();
  const rest = [];
  for (const part of text.split(/[;\n]/).map((one) => one.trim())) {
    const label = part.slice(0, Math.max(part.indexOf(":"), 0)).trim();
    if (part && !names.includes(label)) rest.push([null, part]);
    if (!names.includes(label)) continue;
    const items = part.slice(part.indexOf(":") + 1).split(",").map((one) => one.trim());
    for (const item of items.filter(Boolean)) {
      const marks = named(item, pictures);
      for (const mark of marks) labels.set(mark, label);
      if (!marks.length) rest.push([label, item]);
    }
  }
  return { labels, rest };
}

/** The text of what `readMarks` found, all pictures by their marks. */
export function formatMarks({ labels, rest }, names) {
  const groups = new Map(names.map((name) => [name, []]));
  for (const [mark, label] of labels) groups.get(label).push(mark);
  const parts = [];
  for (const [label, item] of rest) (groups.get(label) ?? parts).push(item);
  for (const [name, items] of groups) if (items.length) parts.push(`${name}: ${items.join(", ")}`);
  return parts.join("; ");
}
