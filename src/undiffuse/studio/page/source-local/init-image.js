// The picture that a drawing begins with, and the mask; see undiffuse/pipeline/init_image.py.

import { concatenate } from "./arrays.js";
import { fitSquare, toFloats } from "./pixels.js";
import { refuse } from "./expression.js";
import { texts } from "../texts.en.js";

export class InitImage {
  // pixels: RGB of the model's size; values: the same as floats; mask: true where to draw, or null
  constructor(pixels, values, latents, mask) {
    Object.assign(this, { pixels, values, latents, mask });
  }

  static async read({ init, mask, count }, model) {
    const { image_size: side, image_channels: channels } = model.codec.config;
    const pixels = fitSquare(await model.picture(init), side);
    const values = toFloats(pixels, channels);
    const [latents] = await model.codec.encodeRows([values]);
    const drawn = mask ? readMask(fitSquare(await model.picture(mask), side), mask) : null;
    const all = concatenate(Array.from({ length: count }, () => latents));
    return new InitImage(pixels, values, all, drawn);
  }

  // A denoiser whose x0 shows this picture outside the mask.
  keepUnmasked(denoiser, codec) {
    const { mask, values } = this;
    if (!mask) return denoiser;
    return async (x, t, cond) => {
      const rows = await codec.decodeRows(await denoiser(x, t, cond));
      const mixed = rows.map((row) => row.map((value, i) =>
        (mask[i % mask.length] ? Math.min(1, Math.max(-1, value)) : values[i])));
      return concatenate(await codec.encodeRows(mixed));
    };
  }

  // Drawn bytes, with this picture's own bytes outside the mask.
  pasteUnmasked(picture) {
    const { mask } = this;
    if (!mask) return picture;
    const { channels } = picture;
    const data = picture.data.slice();
    mask.forEach((drawn, i) => {
      if (drawn) return;
      for (let c = 0; c < channels; c += 1) {
        data[i * channels + c] = c < 3 ? this.pixels.data[i * 3 + c] : 255;
      }
    });
    return { ...picture, data };
  }
}

function readMask({ data }, name) {
  const mask = Array.from({ length: data.length / 3 }, (_, i) =>
    (data[3 * i] + data[3 * i + 1] + data[3 * i + 2]) / 3 > 127);
  if (mask.every(Boolean) || !mask.some(Boolean)) throw refuse(texts.errors.mask(name));
  return mask;
}
