// CLIP's space for the page: the words near a sum, and a map; see undiffuse/studio/clip_space.py.

import { combine, dot, largest, mean, splitRows } from "./arrays.js";
import { parseExpression, refuse, weightedSum } from "./expression.js";
import { center, layout, project } from "./map-layout.js";
import { onWhite } from "./pixels.js";
import { remember } from "./remember.js";
import { readWeights } from "./safetensors.js";
import { texts } from "../texts.en.js";

const NEAREST = 10;
const [MAP_WORDS, MAP_PICTURES, MAP_NEAREST] = [160, 120, 16];

export class ClipSpace {
  constructor(model, gallery) {
    Object.assign(this, { model, gallery, files: new Map() });
  }

  // The caption words and their unit vectors, which the export has computed.
  vocabulary() {
    const { file, list: words } = this.model.site.words;
    return remember(this.files, file, async () => {
      const vectors = readWeights(await this.model.fetchFile(file)).get("words");
      return { words, vectors: splitRows(vectors, words.length) };
    });
  }

  vector(prompt) {
    if (!prompt.trim()) throw refuse(texts.errors.emptyPrompt);
    return weightedSum(parseExpression(prompt), this.model.encodeTerm);
  }

  async nearest(prompt) {
    const vector = await this.vector(prompt);
    const { words, vectors } = await this.vocabulary();
    const cosines = vectors.map((one) => dot(one, vector));
    return { words: largest(cosines, NEAREST).map((row) =>
      ({ text: words[row], cosine: cosines[row] })) };
  }

  // Pictures of the gallery with their vectors, nearest to words first, or the newest first.
  async search(words = "") {
    const pictures = [...this.gallery.pictures.values()].reverse();
    if (!words.trim()) return pictures;
    const vector = await this.vector(words);
    const vectors = await this.vectorsOf(pictures);
    const cosines = vectors.map((one) => dot(one, vector));
    return largest(cosines, pictures.length)
      .map((row) => ({ ...pictures[row], cosine: cosines[row] }));
  }

  async vectorsOf(pictures) {
    for (const picture of pictures) {
      picture.vector ??= await this.model.clip.encodeImage(onWhite(picture.pixels));
    }
    return pictures.map((picture) => picture.vector);
  }

  // Words, the newest pictures and prompts in [-1, 1]^2; an arrow leads from the first term of a
  // sum to the sum.
  async map(prompts) {
    const kept = (await this.search()).slice(0, MAP_PICTURES);
    const pictures = kept.length > 1 ? kept : [];
    const images = await this.vectorsOf(pictures);
    const { words, vectors } = await this.vocabulary();
    const textMean = mean(vectors);
    const imageMean = images.length ? mean(images) : textMean;
    const sums = [];
    for (const prompt of prompts) sums.push(await this.parts(prompt, textMean, imageMean));
    const centered = center(vectors, textMean);
    const rows = chosenRows(centered, sums);
    const unit = [...center(images, imageMean), ...rows.map((row) => centered[row])];
    const points = await layout(unit);
    return {
      pictures: pictures.map(({ name }, k) => [...points[k], name]),
      words: rows.map((row, k) => [...points[pictures.length + k], words[row]]),
      prompts: prompts.map((text, k) => {
        const [start, end] = [sums[k][0], combine(...sums[k].map((part) => [1, part]))]
          .map((vector) => project(vector, unit, points));
        const arrow = sums[k].length > 1 ? [...start, ...end] : null;
        return { text, x: end[0], y: end[1], arrow };
      }),
    };
  }

  // The weighted vectors of the terms, without the mean of their kind.
  async parts(prompt, textMean, imageMean) {
    if (!prompt.trim()) throw refuse(texts.errors.emptyPrompt);
    return Promise.all(parseExpression(prompt).map(async (term) => combine(
      [term.weight, await this.model.encodeTerm(term)],
      [-term.weight, term.isPicture ? imageMean : textMean])));
  }
}

// The words nearest to the sums, and others evenly from the list.
function chosenRows(centered, sums) {
  const near = sums.flatMap((parts) => {
    const total = combine(...parts.map((part) => [1, part]));
    return largest(centered.map((one) => dot(one, total)), MAP_NEAREST);
  });
  const even = Array.from({ length: MAP_WORDS }, (_, k) =>
    Math.floor((k * (centered.length - 1)) / (MAP_WORDS - 1)));
  return [...new Set([...near, ...even])].sort((a, b) => a - b);
}
