// Spelling correction: the word nearest to a misspelled one, by letters and by sound. The costs
// are explained in undiffuse/clip/spelling.py.

import { compareKeys } from "./lexicon.js";

const SOUNDS = [
  [/ph/g, "f"], [/^kn/, "n"], [/^wr/, "r"], [/sch/g, "sh"], [/ck/g, "k"], [/qu/g, "kw"],
  [/x/g, "ks"], [/c(?=[eiy])/g, "s"], [/c(?!h)/g, "k"], [/z/g, "s"], [/y/g, "i"],
  [/gh(?=t|$)/g, ""], [/ou|oo|ue|ew/g, "u"], [/ee|ea|ie|ei/g, "i"], [/(.)\1+/gu, "$1"],
];
const [SWAP, FIRST_LETTER, ANAGRAM, UNNAMED, RARE, EXTRA] = [0.8, 0.3, 1.2, 0.15, 0.3, 0.1];

export const sound = (word) =>
  SOUNDS.reduce((text, [pattern, to]) => text.replace(pattern, to), word);

// Damerau 1964: insertions, deletions, substitutions, and swaps of neighbors.
export function editDistance(one, other) {
  let before = [];
  let row = Array.from({ length: other.length + 1 }, (_, j) => j);
  for (let i = 1; i <= one.length; i += 1) {
    const twoBefore = before;
    [before, row] = [row, [i]];
    const a = one[i - 1];
    for (let j = 1; j <= other.length; j += 1) {
      const b = other[j - 1];
      let cost = Math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a !== b));
      if (i > 1 && j > 1 && a === other[j - 2] && b === one[i - 2] && a !== b) {
        cost = Math.min(cost, twoBefore[j - 2] + SWAP);
      }
      row.push(cost);
    }
  }
  return row.at(-1);
}

const largestDistance = (word) => (word.length < 5 ? 1 : word.length < 8 ? 1.5 : 2);
const sorted = (word) => [...word].sort().join("");

function differingLetters(letters, other) {
  const others = new Set(other);
  let count = 0;
  for (const letter of letters) count += !others.has(letter);
  for (const letter of others) count += !letters.has(letter);
  return count;
}

// The nearest word and its distance; ["", Infinity] if none is near enough.
export function correct(word, named, known, common) {
  const [letters, said, limit] = [new Set(word), sound(word), largestDistance(word)];
  let best = [Infinity, ""];
  for (const [words, extra] of [[named, 0], [known, UNNAMED], [common, RARE]]) {
    for (const other of words) {
      if (Math.abs(other.length - word.length) > 2 || other.length < 3
        || differingLetters(letters, other) > 4) continue;
      const cost = extra + FIRST_LETTER * (other[0] !== word[0])
        + EXTRA * Math.max(word.length - other.length, 0);
      if (cost >= best[0]) continue;
      const typed = editDistance(word, other);
      if (typed > 2 * limit) continue;
      let distance = (typed + editDistance(said, sound(other))) / 2;
      if (sorted(word) === sorted(other)) distance = Math.min(distance, ANAGRAM);
      const found = [distance + cost, other];
      if (distance <= limit && compareKeys(found, best) < 0) best = found;
    }
  }
  return [best[1], best[0]];
}
