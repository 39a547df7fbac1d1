// Prompts: parsed into terms, embedded as one CLIP vector, and interpolated; the rules are those
// of undiffuse/pipeline/prompt.py.

import { combine, dot, norm } from "./arrays.js";
import { describeTerms, isSum, parseExpression, refuse, weightedSum } from "./expression.js";
import { texts } from "../texts.en.js";
import { WORD } from "./unicode.js";

// "flat", "fluent" and "blob" are everyday words too: they name a style only before "style".
const UNMISTAKABLE = ["noto", "twemoji", "emojione"];

export class Prompt {
  // prompt, read, terms, unstyled, style, styleRequested, sentence, notes: as in Python's Prompt
  constructor(fields) {
    Object.assign(this, fields);
  }

  // The terms as one line of text.
  get text() {
    const { terms } = this;
    return terms.length && !isSum(terms) ? terms[0].text : describeTerms(terms);
  }

  // This prompt minus a share of another. A prompt without terms stays so.
  subtract(negative, share) {
    if (!this.terms.length) return this;
    const negated = (terms) =>
      terms.map((term) => ({ ...term, weight: -share * term.weight }));
    return new Prompt({ ...this, subtracted: negative.terms.length,
      terms: [...this.terms, ...negated(negative.terms)],
      unstyled: [...this.unstyled, ...negated(negative.unstyled)] });
  }

  // The terms without the color that a phrase says of a noun, but for those of a negative prompt;
  // `colors`: a ColorWords.
  colorless(colors) {
    if (!this.sentence) return this.terms;
    const own = this.terms.length - (this.subtracted ?? 0);
    return this.terms.map((term, k) =>
      (k < own ? { ...term, text: colors.without(term.text) } : term));
  }

  // The unit vector of the sum v; with strengths s and c that of v + s (v - u) + c (v - w), where
  // u is the sum without the style and w without the color.
  async embed(encode, { style = 0, color = 0, colorless = [] } = {}) {
    const vector = await weightedSum(this.terms, encode);
    const without = [[style, this.unstyled], [color, colorless]].filter(([strength, terms]) =>
      strength && !sameTerms(terms, this.terms));
    if (!without.length) return vector;
    const parts = await Promise.all(without.map(async ([strength, terms]) =>
      [strength, combine([1, vector], [-1, await weightedSum(terms, encode)])]));
    const stronger = combine([1, vector], ...parts);
    return combine([1 / norm(stronger), stronger]);
  }
}

const ONE_WORD = new RegExp(`[${WORD}]+`, "gu");
const NEXT_WORD = new RegExp(`^ +([${WORD}]+)`, "u");

// The words of colors, and those that no noun begins with.
export class ColorWords {
  constructor({ colors, no_nouns: noNouns }) {
    this.colors = new Set(colors);
    this.noNouns = new Set(noNouns);
  }

  // The text without its color, if it says one color of a noun: "a car" of "a green car".
  without(text) {
    const words = [...text.matchAll(ONE_WORD)];
    const [found, ...further] = words.filter(([word]) => this.colors.has(word.toLowerCase()));
    if (!found || further.length) return text;
    const behind = text.slice(found.index + found[0].length);
    const noun = NEXT_WORD.exec(behind)?.[1];
    if (!noun || this.noNouns.has(noun.toLowerCase()) || !/^\p{L}/u.test(noun)) return text;
    return text.slice(0, found.index) + behind.trimStart();
  }
}

export const sameTerms = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// options: {style, styleRequested, like: names of pictures, styles: the model's, reader,
// places: a SceneWords, so that words that tell where things are stay}
export function parsePrompt(prompt, options) {
  const { styles, reader = null, places, like = [], styleRequested = false } = options;
  let terms = prompt.trim() ? parseExpression(prompt) : [];
  let [read, notes] = [prompt, []];
  if (reader) [terms, read, notes] = readTerms(terms, prompt, reader, places);
  const words = terms.filter((term) => !term.isPicture);
  const [named, suffix] = stylePatterns(styles);
  let style = words.length ? options.style ?? "" : "";
  if (words.some(({ text }) => named.test(text))) {
    if (styleRequested && options.style) notes.push(texts.promptNotes.style(options.style));
    style = "";
  }
  const unstyled = withoutStyle(terms, suffix);
  const images = like.map((text) => ({ weight: 1, text, isPicture: true }));
  const every = [...terms.map((term) => withStyle(term, style)), ...images];
  return new Prompt({
    prompt, read, notes, style, terms: every, unstyled: [...unstyled, ...images],
    styleRequested: !sameTerms(unstyled, terms) || (styleRequested && style !== ""),
    sentence: !every.length || isSum(every) ? "" : every[0].text,
  });
}

// The terms and the prompt as they are read, and a note for each change.
function readTerms(terms, prompt, reader, places) {
  const sure = terms.length > 0 && isSum(terms);
  const readings = terms.map((term) => (term.isPicture ? "" : term.text))
    .map((text) => reader.read(text, sure, places?.spokenLayout(text)));
  const changes = readings.flatMap((reading) => reading.changes);
  if (!changes.length) return [terms, prompt, []];
  const read = terms.map((term, k) =>
    (term.isPicture ? term : { ...term, text: readings[k].text }));
  const { languages } = reader.lexicon;
  const notes = changes.map(({ word, text, language, reason }) =>
    texts.promptNotes.read(word, text, languages[language] ?? reason));
  return [read, expressionOf(read), [...new Set(notes)]];
}

// A text that parseExpression reads as these terms.
export function expressionOf(terms) {
  const [{ text }] = terms;
  if (!isSum(terms) && sameTerms(parseExpression(text), terms)) return text;
  return terms.map((term) => `${term.weight < 0 ? "-" : "+"} ${exact(Math.abs(term.weight))}*`
    + (term.isPicture ? term.text : `"${term.text}"`)).join(" ");
}

const exact = (weight) => (Number.isInteger(weight) ? weight.toFixed(1) : String(weight));

function withStyle(term, style) {
  if (term.isPicture || !style) return term;
  return { ...term, text: `${term.text} in ${style} style` };
}

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// What names a style anywhere in a text, and what adds one at its end.
function stylePatterns(styles) {
  const any = (names) => names.map(escape).join("|") || "(?!)";
  const alone = any(UNMISTAKABLE.filter((name) => styles.includes(name)));
  const names = any(styles);
  return [
    new RegExp(`(?<![${WORD}])(?:${alone}|(?:${names})[ -]style)(?![${WORD}])`, "iu"),
    new RegExp(`^(.+) in (${names}) style$`, "isu"),
  ];
}

// The terms without the style that all of their texts end in.
function withoutStyle(terms, suffix) {
  const found = terms.filter((term) => !term.isPicture).map((term) => suffix.exec(term.text));
  const styles = new Set(found.map((match) => match && match[2].toLowerCase()));
  if (styles.size !== 1 || !found[0]) return terms;
  const stems = found.map((match) => match[1]);
  return terms.map((term) => (term.isPicture ? term : { ...term, text: stems.shift() }));
}

// The prompt at a share of the way between two, by spherical interpolation (Shoemake 1985).
export async function interpolate(one, other, share, encode) {
  const ends = [one, other].map(parseExpression);
  const sums = await Promise.all(ends.map(async (terms) => {
    const vectors = await Promise.all(terms.map(encode));
    return combine(...terms.map(({ weight }, k) => [weight, vectors[k]]));
  }));
  const lengths = sums.map(norm);
  if (Math.min(...lengths) < 1e-3) throw refuse(texts.errors.zeroSum(`${one}, ${other}`));
  const cosine = dot(...sums) / (lengths[0] * lengths[1]);
  if (Math.abs(cosine) > 0.9999) throw refuse(texts.errors.parallel(one, other));
  const angle = Math.acos(cosine);
  const weights = [Math.sin((1 - share) * angle), Math.sin(share * angle)];
  return ends.flatMap((terms, k) => terms.filter(() => weights[k] > 1e-6).map((term) => {
    const size = (Math.abs(term.weight) * weights[k]) / lengths[k];
    const text = term.isPicture ? term.text : `"${term.text}"`;
    return `${term.weight < 0 ? "-" : "+"} ${size.toFixed(5)}*${text}`;
  })).join(" ");
}
