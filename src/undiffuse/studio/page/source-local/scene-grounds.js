// Simple drawn grounds for scenes; see undiffuse/layout/grounds.py. Their colors and heights are
// written by the export.

import { roundEven } from "./pixels.js";

// A rectangle of one color; what is outside of the canvas is cut.
function fill({ data, width, height }, [left, top, right, bottom], color) {
  for (let y = top; y < Math.min(bottom, height); y += 1) {
    for (let x = left; x < Math.min(right, width); x += 1) data.set(color, (y * width + x) * 4);
  }
}

// `count` random points within a width and a height, as whole numbers.
const randomPoints = (rng, count, width, height) => Array.from({ length: count }, () =>
  [Math.trunc(rng.random() * width), Math.trunc(rng.random() * height)]);

// Small squares at random places above `lowest`, a share of the side.
function dots(canvas, rng, color, count, lowest) {
  const size = Math.max(1, Math.floor(canvas.width / 48));
  const free = canvas.width - size;
  for (const [x, y] of randomPoints(rng, count, free, free * lowest)) {
    fill(canvas, [x, y, x + size, y + size], color);
  }
}

function disc({ data, width: side }, x, y, radius, color) {
  for (let row = 0; row < side; row += 1) {
    for (let column = 0; column < side; column += 1) {
      const distance = (column - x * side) ** 2 + (row - y * side) ** 2;
      if (distance <= (radius * side) ** 2) data.set(color, (row * side + column) * 4);
    }
  }
}

function sun(canvas, rng) {
  disc(canvas, rng.random() < 0.5 ? 0.14 : 0.86, 0.14, 0.085, [255, 222, 90]);
}

// Draw what is special of a ground.
const EXTRAS = {
  night(canvas, rng) {
    dots(canvas, rng, [250, 245, 215], 14, 0.55);
    disc(canvas, rng.uniform(0.12, 0.88), 0.14, 0.075, [245, 235, 170]);
  },
  snow(canvas, rng) {
    dots(canvas, rng, [255, 255, 255], 26, 1);
  },
  sun,
  rain(canvas, rng) {
    const side = canvas.width;
    const length = Math.floor(side / 10);
    for (const [x, y] of randomPoints(rng, 22, side - 1, side - length)) {
      fill(canvas, [x, y, x + 1, y + length], [95, 140, 200]);
    }
  },
  // The sea between sky and sand.
  beach(canvas, rng) {
    const side = canvas.width;
    const [top, foam, bottom] = [0.42, 0.64, 0.66].map((share) => Math.trunc(side * share));
    fill(canvas, [0, top, side, bottom], [70, 160, 215]);
    fill(canvas, [0, foam, side, bottom], [235, 245, 250]);
    sun(canvas, rng);
  },
};

// A canvas of a ground {sky, floor, horizon, hill, extra}, opaque, and the row that things stand
// on.
export function drawGround(ground, side, rng) {
  const canvas = { data: new Uint8ClampedArray(side * side * 4).fill(255), width: side,
    height: side, channels: 4 };
  const horizon = ground.horizon + rng.uniform(-0.03, 0.03);
  const edge = Array.from({ length: side }, (_, column) =>
    side * (horizon - ground.hill * bump(column, side)));
  for (let row = 0; row < side; row += 1) {
    const [sky, floor] = [ground.sky, ground.floor].map((colors) => fade(colors, row, side));
    edge.forEach((top, column) =>
      canvas.data.set(row >= top ? floor : sky, (row * side + column) * 4));
  }
  if (ground.extra) EXTRAS[ground.extra](canvas, rng);
  const lowest = ground.hill < 0.1 ? 0.07 : 0.04;
  const floor = roundEven(Math.min(...edge) + (lowest + rng.uniform(0, 0.08)) * side);
  return [canvas, Math.min(side, floor)];
}

// From 0 at the sides to 1 in the middle.
function bump(column, side) {
  const step = (2 * Math.PI) / (side - 1);
  return Math.cos(column === side - 1 ? Math.PI : column * step - Math.PI) * 0.5 + 0.5;
}

// The color of a row between an upper and a lower one.
function fade([upper, lower], row, side) {
  const share = row === side - 1 ? 1 : row * (1 / (side - 1));
  return upper.map((value, c) => roundEven((1 - share) * value + share * lower[c]));
}
