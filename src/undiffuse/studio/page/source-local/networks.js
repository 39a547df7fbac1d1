// The networks of the model: CLIP's encoders, the codec and the denoiser; see
// undiffuse/runtime/networks.py. Sizes are those of the weight files.

import { splitRows } from "./arrays.js";
import { fitSquare, toFloats } from "./pixels.js";
import { remember } from "./remember.js";
import { SCHEDULES } from "./schedule.js";
import { toX0 } from "./targets.js";
import { Tokenizer } from "./tokenizer.js";

export class Clip {
  constructor(graphs, { config, tokenizer, dim, image_size: imageSize }) {
    Object.assign(this, { graphs, config, dim, imageSize });
    this.tokenizer = new Tokenizer(tokenizer, config.context);
    this.known = new Map(); // text -> vector
  }

  async run(graph, lines) {
    const { ids, lengths } = this.tokenizer.pad(lines);
    const data = await this.graphs.run(graph, {
      ids: { type: "int64", data: ids, dims: [lines.length, this.tokenizer.context] },
      lengths: { type: "int64", data: lengths, dims: [lines.length] },
    });
    return splitRows(data, lines.length);
  }

  // The unit vector (D,) of a text.
  encodeText(text) {
    return remember(this.known, text, async () => (await this.run("clip_text", [text]))[0]);
  }

  // What a denoiser reads of the first tokens of a text: (count * width,), zeros without a text.
  async encodeStates(text, count) {
    const size = count * this.config.text_width;
    if (!text) return new Float32Array(size);
    const [cond] = await this.run("clip_cond", [text]);
    return cond.slice(this.dim, this.dim + size);
  }

  // The unit vector (D,) of RGB pixels of any size.
  async encodeImage(pixels) {
    const side = this.imageSize;
    const data = toFloats(fitSquare(pixels, side), 3);
    return (await this.graphs.runRows("clip_image", "pictures", [data], [3, side, side]))[0];
  }
}

export class Codec {
  constructor(graphs, { config }) {
    Object.assign(this, { graphs, config });
  }

  // Pictures (B, ...) of latents (B, ...), as a list of rows.
  decodeRows(latents) {
    const { channels, side } = this.config;
    const rows = latents.length / (channels * side * side);
    return this.graphs.runRows("codec_decode", "latents",
      splitRows(latents, rows), [channels, side, side]);
  }

  encodeRows(pictures) {
    const { image_size: side, image_channels: channels } = this.config;
    return this.graphs.runRows("codec_encode", "pixels", pictures, [channels, side, side]);
  }
}

export class Denoiser {
  constructor(graphs, { config, chain, cond_size: condSize }, graph = "denoiser") {
    Object.assign(this, { graphs, config, chain, condSize, graph });
    this.schedule = SCHEDULES[config.schedule];
    this.size = config.channels * config.side * config.side;
  }

  // x0 (B, ...) of x_t, for a noise level t and cond (B, D) or null.
  async predict(x, t, cond) {
    const { channels, side, target } = this.config;
    const rows = x.length / this.size;
    const steer = cond ?? new Float32Array(rows * this.condSize);
    const output = await this.graphs.run(this.graph, {
      x_t: { type: "float32", data: x, dims: [rows, channels, side, side] },
      t: { type: "float32", data: new Float32Array(rows).fill(t), dims: [rows] },
      cond: { type: "float32", data: steer, dims: [rows, this.condSize] },
    });
    return toX0(target, this.schedule, output, x, t, this.chain);
  }
}
