// Prompts that name several things, or a ground: their things are drawn apart and composed; see
// undiffuse/pipeline/scenes.py.

import { refuse } from "./expression.js";
import { Prompt } from "./prompt.js";
import { Composition } from "./scene-compose.js";
import { texts } from "../texts.en.js";

// Thing k of a picture has the noise of index + k * 2^48: the first one that of the picture.
const THING_SHIFT = 48n;
// Of what a prompt names, beside the whole prompt: "a penguin standing on ice" + 3 penguin.
const HEAD_WEIGHT = 3;

// Whether prompts with several things are composed. able: the model has a lexicon and draws
// transparency; readsTokens: its denoiser does, so that it learned to place things itself.
export function wantsScenes({ compose, init }, able, readsTokens) {
  if (compose && !able) throw refuse(texts.errors.compose);
  if (compose && init !== null) throw refuse(texts.errors.composeStart);
  return compose ?? (able && init === null && !readsTokens);
}

// How a prompt is composed; null for one thing, for a sum, and for pictures.
export function compositionOf(prompt, grammar, tables) {
  if (!prompt.sentence || prompt.unstyled.length !== 1) return null;
  const scene = grammar.scene(prompt.unstyled[0].text);
  return scene && new Composition(scene, tables);
}

// A prompt for each drawing of a picture, in the style of the whole prompt.
export function partsOf(prompt, composition) {
  if (!composition) return [prompt];
  const suffix = prompt.terms[0].text.slice(prompt.unstyled[0].text.length);
  const term = (text) => ({ weight: 1, text, isPicture: false });
  return composition.named.map((text) => new Prompt({ ...prompt, terms: [term(text + suffix)],
    unstyled: [term(text)], sentence: text + suffix }));
}

// What a prompt names before it says more; "" for others, for a sum, and for pictures.
export const headOf = ({ sentence, unstyled }, grammar) =>
  (sentence && unstyled.length === 1 ? grammar.head(unstyled[0].text) : "");

// The prompt plus HEAD_WEIGHT times its head. Without a head it stays.
export function emphasize(prompt, head) {
  if (!head) return prompt;
  const suffix = prompt.terms[0].text.slice(prompt.unstyled[0].text.length);
  const term = (text) => ({ weight: HEAD_WEIGHT, text, isPicture: false });
  return new Prompt({ ...prompt, terms: [...prompt.terms, term(head + suffix)],
    unstyled: [...prompt.unstyled, term(head)] });
}

// The index of the noise of each of `count` drawings of a picture.
export const indicesOf = (index, count) => Array.from({ length: count }, (_, k) =>
  BigInt.asUintN(64, BigInt(index) + (BigInt(k) << THING_SHIFT)));

// The pictures of canvases {seed, index, rows, composition}, `rows` drawings each; without a
// composition the drawing is the picture.
export function compose(drawings, canvases) {
  let end = 0;
  return canvases.map(({ seed, index, rows, composition }) => {
    const own = drawings.slice(end, end += rows);
    return composition ? composition.compose(own, seed, index) : own[0];
  });
}
