// Layers that pictures are composed of: cut to what is drawn, resized, pasted. Pixels are RGB
// multiplied by alpha, and alpha; see undiffuse/layout/layers.py.

import { TRIANGLE, resize } from "./pixels.js";

const VISIBLE = 24; // of 255: alpha above it counts as drawn
const GAP = 2; // the filter makes a picture smaller by at least this much

// [left, top, right, bottom] of all that is visible; the whole picture if nothing is.
export function boundsOf({ data, width, height }) {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (data[(y * width + x) * 4 + 3] <= VISIBLE) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), y + 1];
    }
  }
  return right ? [left, top, right, bottom] : [0, 0, width, height];
}

function cut({ data, width }, [left, top, right, bottom]) {
  const size = (right - left) * 4;
  const out = new Uint8ClampedArray(size * (bottom - top));
  for (let y = top; y < bottom; y += 1) {
    const from = (y * width + left) * 4;
    out.set(data.subarray(from, from + size), (y - top) * size);
  }
  return { data: out, width: right - left, height: bottom - top, channels: 4 };
}

// What is inside the bounds, in another size: Pillow's BILINEAR, a triangle as wide as the step
// between pixels of the result, after blocks have been averaged where the picture gets much
// smaller. The bytes are those of Pillow 13.
export function resized(picture, bounds, width, height) {
  const given = cut(picture, bounds);
  if (given.width === width && given.height === height) return given;
  const factors = [given.width / width, given.height / height].map((scale) =>
    Math.max(1, Math.trunc(scale / GAP)));
  const small = averaged(given, ...factors);
  const extent = [given.width / factors[0], given.height / factors[1]];
  return resize(small, width, height, TRIANGLE, extent);
}

// The mean of each block of pixels; blocks at the right and lower edges may be smaller.
function averaged(pixels, across, down) {
  if (across === 1 && down === 1) return pixels;
  const { data, width, height, channels } = pixels;
  const [wide, high] = [Math.ceil(width / across), Math.ceil(height / down)];
  const out = new Uint8ClampedArray(wide * high * channels);
  for (let i = 0; i < out.length; i += 1) {
    const c = i % channels;
    const [left, top] = [((i - c) / channels) % wide * across,
      Math.floor(i / channels / wide) * down];
    const [right, bottom] = [Math.min(left + across, width), Math.min(top + down, height)];
    let sum = 0;
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) sum += data[(y * width + x) * channels + c];
    }
    out[i] = mean(sum, (right - left) * (bottom - top));
  }
  return { data: out, width: wide, height: high, channels };
}

// Pillow multiplies by the reciprocal in 24 bits, which is a little too small.
const mean = (sum, count) =>
  Math.floor(((sum + (count >> 1)) * Math.floor(2 ** 24 / count)) / 2 ** 24);

// Put a layer over the canvas, over = layer + canvas * (1 - alpha), with its corner at (left, top).
// What is outside is cut.
export function paste(canvas, layer, left, top) {
  const right = Math.min(canvas.width, left + layer.width);
  const bottom = Math.min(canvas.height, top + layer.height);
  for (let y = Math.max(0, top); y < bottom; y += 1) {
    for (let x = Math.max(0, left); x < right; x += 1) {
      const from = ((y - top) * layer.width + x - left) * 4;
      const to = (y * canvas.width + x) * 4;
      const rest = 255 - layer.data[from + 3];
      for (let c = 0; c < 4; c += 1) {
        const under = Math.floor((canvas.data[to + c] * rest + 127) / 255);
        // Filters round color and alpha apart: the sum can be too large, and the array cuts it.
        canvas.data[to + c] = layer.data[from + c] + under;
      }
    }
  }
}
