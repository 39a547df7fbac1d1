// Sums of words and pictures: "man + 0.8*hat - beard"; see undiffuse/explore/expression.py.

import { combine, norm } from "./arrays.js";
import { SIGN, WEIGHT } from "../sums.js";
import { SourceError } from "../source-error.js";
import { texts } from "../texts.en.js";
import { splitSpaces } from "./unicode.js";

const PICTURE = /\.(png|jpe?g|gif|webp|bmp|tiff?)$/i;
const MAX_TERMS = 32;
const MAX_WEIGHT = 1e6;

export const refuse = (message) => new SourceError("refused", message);

// The terms {weight, text, isPicture} of a sum; one for a plain text.
export function parseExpression(expression) {
  if (expression.split('"').length % 2 === 0) throw refuse(texts.errors.quote(expression));
  const [parts, signs] = [[], []];
  let start = 0;
  for (const match of expression.matchAll(SIGN)) {
    if (!match[2]) continue;
    parts.push(expression.slice(start, match.index));
    signs.push(match[2] === "-" ? -1 : 1);
    start = match.index + match[0].length;
  }
  parts.push(expression.slice(start));
  if (signs.length && !parts[0].trim()) parts.shift(); // a sign before the first term
  else signs.unshift(1);
  if (parts.length > MAX_TERMS) throw refuse(texts.errors.terms(parts.length, MAX_TERMS));
  return parts.map((part, k) => parseTerm(signs[k], part, expression));
}

function parseTerm(sign, part, expression) {
  let [text, weight] = [part.trim(), 1];
  const match = WEIGHT.exec(text);
  if (match) [weight, text] = [Number(match[1] ?? match[2]), text.slice(match[0].length)];
  const quoted = text.includes('"');
  text = splitSpaces(text.replaceAll('"', "")).join(" ");
  if (!text && expression.trim()) throw refuse(texts.errors.emptyTerm(expression));
  if (weight > MAX_WEIGHT) throw refuse(texts.errors.weight(text, MAX_WEIGHT));
  return { weight: sign * weight, text, isPicture: !quoted && PICTURE.test(text) };
}

// False for a single text of weight 1.
export const isSum = (terms) => terms.length > 1 || terms[0].weight !== 1 || terms[0].isPicture;

// The unit vector (D,) of a sum; encode is async (term) -> unit vector.
export async function weightedSum(terms, encode) {
  const vectors = await Promise.all(terms.map(encode));
  const total = combine(...terms.map(({ weight }, k) => [weight, vectors[k]]));
  const length = norm(total);
  if (length < 1e-3) throw refuse(texts.errors.zeroSum(describeTerms(terms)));
  return combine([1 / length, total]);
}

const signed = (weight) => (weight < 0 ? "" : "+") + String(Number(weight.toPrecision(6)));
export const describeTerms = (terms) =>
  terms.map(({ weight, text }) => `${signed(weight)} ${text}`).join(" ");
