// Where the things of a scene go: boxes {left, top, width, height, align} as shares of the
// picture's side.

const MARGIN = 0.06; // of a cell, on each side
const TALLEST = 1.2; // of things in a row, as a share of their width
const FREE = { top: 0, center: 0.5, bottom: 1 }; // the share of free height above a thing
const WHOLE = { left: 0, top: 0, width: 1, height: 1, align: "center" };

// A part of a box; left to height are shares of it.
const inside = (box, left, top, width, height, align) => ({
  left: box.left + left * box.width, top: box.top + top * box.height,
  width: width * box.width, height: height * box.height, align,
});

// The largest rectangle with the aspect of a thing inside a box.
export function fit(box, width, height) {
  const scale = Math.min(box.width / width, box.height / height);
  const [wide, high] = [width * scale, height * scale];
  const free = FREE[box.align] * (box.height - high);
  return { ...WHOLE, left: box.left + (box.width - wide) / 2, top: box.top + free, width: wide,
    height: high };
}

// {text, box} of all things of a scene, from back to front. tables: its rows and places are those
// of undiffuse/layout/boxes.py.
export function place(node, tables, box = WHOLE) {
  if ("text" in node) return [...grid(node, box)];
  if (node.parts) {
    return beside(node.parts, node.parts.map(() => 1 / node.parts.length), tables, box);
  }
  const both = [node.first, node.second];
  if (node.relation in tables.rows) {
    const [left, right, share] = tables.rows[node.relation];
    return beside([both[left], both[right]], [share, 1 - share], tables, box);
  }
  return tables.places[node.relation].flatMap(([which, part, align]) =>
    place(both[which], tables, inside(box, ...part, align)));
}

// How many cells side by side make them the largest; of equal ones the most.
function columnsFor(count, box) {
  let [columns, largest] = [1, 0];
  for (let n = 1; n <= count; n += 1) {
    const cell = Math.min(box.width / n, box.height / Math.ceil(count / n));
    if (cell >= largest) [columns, largest] = [n, cell];
  }
  return columns;
}

// A cell for each thing, as large as possible; the last line is centered.
function* grid({ text, count, size }, box) {
  const columns = columnsFor(count, box);
  const lines = Math.ceil(count / columns);
  const cell = Math.min(box.width / columns, box.height / lines);
  const free = FREE[box.align] * (box.height - lines * cell);
  const align = count === 1 && box.align !== "top" ? "bottom" : "center";
  for (let number = 0; number < count; number += 1) {
    const [line, column] = [Math.floor(number / columns), number % columns];
    const inLine = Math.min(columns, count - line * columns);
    const left = box.left + (box.width - inLine * cell) / 2 + column * cell;
    const square = { left, top: box.top + free + line * cell, width: cell, height: cell };
    // One thing may be larger than a square cell, if the box is.
    const whole = count === 1 && size === 1;
    yield { text, box: whole ? box : { ...shrunk(square, size), align } };
  }
}

// The box without its margin, and smaller by `size`, with its lower edge kept.
function shrunk(box, size) {
  const inner = inside(box, MARGIN, MARGIN, 1 - 2 * MARGIN, 1 - 2 * MARGIN, "bottom");
  return inside(inner, (1 - size) / 2, 1 - size, size, size, "bottom");
}

// Parts side by side on one line, `shares` of the box wide.
function beside(parts, shares, tables, box) {
  let left = 0;
  return parts.flatMap((part, k) => {
    const share = shares[k];
    const high = Math.min(1, (TALLEST * share * box.width) / box.height);
    const inner = inside(box, left + MARGIN / 2, (1 - high) / 2, share - MARGIN, high, "bottom");
    left += share;
    return place(part, tables, inner);
  });
}

// The smallest box around all of them.
export function bounds(boxes) {
  const left = Math.min(...boxes.map((box) => box.left));
  const top = Math.min(...boxes.map((box) => box.top));
  const right = Math.max(...boxes.map((box) => box.left + box.width));
  const bottom = Math.max(...boxes.map((box) => box.top + box.height));
  return { left, top, width: right - left, height: bottom - top };
}

// The boxes enlarged by `scale`, with the corner of their bounds at (left, top).
export function moved(boxes, scale, left, top) {
  const around = bounds(boxes);
  return boxes.map((box) => ({
    left: left + (box.left - around.left) * scale, top: top + (box.top - around.top) * scale,
    width: box.width * scale, height: box.height * scale,
  }));
}
