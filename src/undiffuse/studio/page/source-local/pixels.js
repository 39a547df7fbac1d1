// Pixels as bytes {data, width, height, channels}: RGB, or RGBA with straight alpha.

// Half to even, as NumPy rounds.
export function roundEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 ? floor + 1 : floor;
}

// One picture of the codec, float32 (C, S, S) about [-1, 1] with RGB premultiplied by alpha.
export function toPixels(values, side, channels) {
  const data = new Uint8ClampedArray(values.length);
  const area = side * side;
  for (let c = 0; c < channels; c += 1) {
    for (let i = 0; i < area; i += 1) {
      const value = Math.min(1, Math.max(-1, values[c * area + i]));
      data[i * channels + c] = roundEven(Math.fround(Math.fround(value + 1) * 127.5));
    }
  }
  if (channels === 4) unpremultiply(data);
  return { data, width: side, height: side, channels };
}

// RGB multiplied by alpha becomes straight, in place.
export function unpremultiply(data) {
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3];
    for (let c = i; c < i + 3; c += 1) {
      data[c] = Math.min(255,
        Math.floor((data[c] * 255 + (alpha >> 1)) / Math.max(alpha, 1)));
    }
  }
}

export function onWhite(pixels) {
  if (pixels.channels === 3) return pixels;
  const data = new Uint8ClampedArray((pixels.data.length / 4) * 3);
  for (let i = 0, j = 0; j < data.length; i += 4, j += 3) {
    const alpha = pixels.data[i + 3];
    for (let c = 0; c < 3; c += 1) {
      data[j + c] = Math.floor((pixels.data[i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  }
  return { ...pixels, data, channels: 3 };
}

// Each pixel as scale x scale.
export function upscale({ data, width, height, channels }, scale) {
  const large = new Uint8ClampedArray(data.length * scale * scale);
  for (let y = 0, to = 0; y < height * scale; y += 1) {
    const row = Math.floor(y / scale) * width;
    for (let x = 0; x < width * scale; x += 1) {
      const from = (row + Math.floor(x / scale)) * channels;
      for (let c = 0; c < channels; c += 1) large[to++] = data[from + c];
    }
  }
  return { data: large, width: width * scale, height: height * scale, channels };
}

// RGB fitted into a square on white, upright: Lanczos, as Pillow does it.
export function fitSquare(pixels, side) {
  const { width, height } = pixels;
  const ratio = width / height;
  const [w, h] = ratio > 1 ? [side, Math.max(1, Math.round(side / ratio))]
    : [Math.max(1, Math.round(side * ratio)), side];
  const small = resize(pixels, w, h);
  const data = new Uint8ClampedArray(side * side * 3).fill(255);
  const [left, top] = [Math.floor((side - w) / 2), Math.floor((side - h) / 2)];
  for (let y = 0; y < h; y += 1) {
    data.set(small.data.subarray(y * w * 3, (y + 1) * w * 3), ((top + y) * side + left) * 3);
  }
  return { data, width: side, height: side, channels: 3 };
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const LANCZOS = { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) };
export const TRIANGLE = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

// As Pillow 13 resizes bytes. extent: how much of the pixels, from the left and the top, is used.
export function resize(pixels, width, height, filter = LANCZOS,
  extent = [pixels.width, pixels.height]) {
  const across = (one) => resizeRows(one, width, extent[0], filter);
  const down = (one) => transpose(resizeRows(transpose(one), height, extent[1], filter));
  // Versions before 13 never begin with the height. Bytes between the two passes are rounded, so
  // that pictures differ by some levels.
  const fewer = pixels.height - height;
  return fewer > Math.max(0, 2 * (pixels.width - width)) ? across(down(pixels))
    : down(across(pixels));
}

// For each target place the first source place, and the weights from there on.
function filterWeights(from, extent, to, { support, weight }) {
  const scale = Math.fround(extent) / to;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const center = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support * stretch + 0.5));
    const end = Math.min(from, Math.trunc(center + support * stretch + 0.5));
    const weights = Array.from({ length: end - first }, (__, k) =>
      weight((first + k - center + 0.5) * (1 / stretch)));
    const total = weights.reduce((sum, one) => sum + one, 0);
    return [first, weights.map((one) => rounded(one / total))];
  });
}

// Pillow's weights have 22 bits: with them every sum is exact.
const rounded = (weight) =>
  (Math.sign(weight) * Math.floor(Math.abs(weight) * 2 ** 22 + 0.5)) / 2 ** 22;

function resizeRows(pixels, target, extent, filter) {
  const { data, width, height, channels } = pixels;
  if (target === width && target === extent) return pixels;
  const weights = filterWeights(width, extent, target, filter);
  const out = new Uint8ClampedArray(target * height * channels);
  let to = 0;
  for (let y = 0; y < height; y += 1) {
    for (const [first, row] of weights) {
      for (let c = 0; c < channels; c += 1) {
        let sum = 0;
        let from = (y * width + first) * channels + c;
        for (const weight of row) {
          sum += weight * data[from];
          from += channels;
        }
        out[to++] = Math.floor(Math.max(0, sum) + 0.5);
      }
    }
  }
  return { ...pixels, data: out, width: target };
}

function transpose({ data, width, height, channels }) {
  const out = new Uint8ClampedArray(data.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let c = 0; c < channels; c += 1) {
        out[(x * height + y) * channels + c] = data[(y * width + x) * channels + c];
      }
    }
  }
  return { data: out, width: height, height: width, channels };
}

// Bytes as float32 (channels, S, S) in [-1, 1]; RGB gets an opaque alpha where 4 are wanted.
export function toFloats({ data, width, height }, channels) {
  const area = width * height;
  const values = new Float32Array(channels * area).fill(1);
  for (let c = 0; c < 3; c += 1) {
    for (let i = 0; i < area; i += 1) values[c * area + i] = data[i * 3 + c] / 127.5 - 1;
  }
  return values;
}
