// CLIP's tokenizer: byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909) on lower-case text.

import { LETTER, SPACE, WORD, splitSpaces } from "./unicode.js";

const [START, END, END_OF_WORD] = ["<|startoftext|>", "<|endoftext|>", "</w>"];
// The text is in lower case; "ſ" is what Python takes for an "s" beside.
const WORDS = new RegExp(
  `'[sſ]|'t|'re|'ve|'m|'ll|'d|[${LETTER}]+|\\p{Nd}|(?:[^${SPACE}${WORD}]|_)+`, "gu");

// A visible character for each byte (GPT-2's table).
function byteLetters() {
  const within = (byte, low, high) => byte >= low && byte <= high;
  const visible = (byte) =>
    within(byte, 33, 126) || within(byte, 161, 172) || within(byte, 174, 255);
  let hidden = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(visible(byte) ? byte : hidden++));
}

const LETTERS = byteLetters();

export const normalize = (text) => splitSpaces(text).join(" ").toLowerCase();

export class Tokenizer {
  // vocabulary: {token: id}; merges: pairs in their order; context: the most tokens of a text.
  constructor({ vocabulary, merges }, context) {
    this.vocabulary = new Map(Object.entries(vocabulary));
    this.tokens = new Map(Object.entries(vocabulary).map(([token, id]) => [id, token]));
    this.ranks = new Map(merges.map(([first, second], rank) => [`${first} ${second}`, rank]));
    this.context = context;
    this.known = new Map();
  }

  // The ids of a text, without start and end.
  encode(text) {
    return (normalize(text).match(WORDS) ?? []).flatMap((word) => this.wordIds(word));
  }

  wordIds(word) {
    if (!this.known.has(word)) this.known.set(word, this.merge(word));
    return this.known.get(word);
  }

  merge(word) {
    const bytes = new TextEncoder().encode(word.replace(/\p{Cs}/gu, "?")); // lone surrogates
    let parts = Array.from(bytes, (byte) => LETTERS[byte]);
    parts[parts.length - 1] += END_OF_WORD;
    for (;;) {
      const best = this.bestPair(parts);
      if (best === null) return parts.map((part) => this.vocabulary.get(part));
      const merged = [];
      for (let i = 0; i < parts.length; i += 1) {
        const joins = i + 1 < parts.length && `${parts[i]} ${parts[i + 1]}` === best;
        merged.push(joins ? parts[i] + parts[i + 1] : parts[i]);
        i += joins;
      }
      parts = merged;
    }
  }

  bestPair(parts) {
    let [best, least] = [null, Infinity];
    for (let i = 0; i + 1 < parts.length; i += 1) {
      const pair = `${parts[i]} ${parts[i + 1]}`;
      const rank = this.ranks.get(pair) ?? Infinity;
      if (rank < least) [best, least] = [pair, rank];
    }
    return best;
  }

  decode(ids) {
    const bytes = new Map(LETTERS.map((letter, byte) => [letter, byte]));
    const words = ids.map((id) => this.tokens.get(id)).join("").split(END_OF_WORD);
    const read = new TextDecoder();
    return words.map((word) => read.decode(Uint8Array.from(word, (one) => bytes.get(one))))
      .join(" ").trim();
  }

  // Lines of text with start and end, truncated and padded to the context: ids (B, context) and
  // lengths (B,) as BigInt64Array, and the end of each line that did not fit.
  pad(lines) {
    const ids = new BigInt64Array(lines.length * this.context);
    const lengths = new BigInt64Array(lines.length);
    const cut = lines.map((text, row) => {
      const tokens = this.encode(text);
      const kept = [this.vocabulary.get(START), ...tokens.slice(0, this.context - 2),
        this.vocabulary.get(END)];
      ids.set(kept.map(BigInt), row * this.context);
      lengths[row] = BigInt(kept.length);
      return this.decode(tokens.slice(this.context - 2));
    });
    return { ids, lengths, cut };
  }
}
