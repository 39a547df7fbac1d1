// The lexicon: a table from words and phrases to the names that the model can draw. The file is
// that of undiffuse/clip/lexicon.py. The known words are read at once, the rest as a whole when a
// prompt first has an unknown word.

import { remember } from "./remember.js";
import { readTensors } from "./safetensors.js";

export const FUNCTION = "function word";
export const COLOR = "color";
export const NAMED = ["name", "translation", COLOR];
export const STRONG = [...NAMED, FUNCTION]; // make a word one of its language
const REASONS = {
  n: "name", s: "synonym", o: "kind of", e: "example", k: "keyword", p: "part",
  r: "related", w: "translation", c: COLOR, f: FUNCTION,
};
const RARE = "-"; // before the entry of a rare English word

async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

// How many of the sorted keys are not above a key.
function bisect(keys, key) {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

// A sorted table whose blocks are split into entries when they are first looked at.
class Table {
  constructor(first, blocks) {
    Object.assign(this, { first, blocks, parsed: new Map() });
  }

  static async read(tensors, name) {
    const { data } = tensors.get(name);
    const ends = new Uint32Array(tensors.get(`${name}.ends`).data.buffer);
    const blocks = Array.from(ends, (end, k) => unpack(data.subarray(k ? ends[k - 1] : 0, end)));
    const first = (await unpack(tensors.get(`${name}.first`).data)).split("\n");
    return new Table(first, await Promise.all(blocks));
  }

  block(index) {
    if (!this.parsed.has(index)) {
      this.parsed.set(index, new Map(this.blocks[index].split("\n").map((line) => {
        const tab = line.indexOf("\t");
        return tab < 0 ? [line, ""] : [line.slice(0, tab), line.slice(tab + 1)];
      })));
    }
    return this.parsed.get(index);
  }

  // The entry of a key, undefined for an unknown one.
  find(key) {
    const index = bisect(this.first, key) - 1;
    return index < 0 ? undefined : this.block(index).get(key);
  }

  // The keys that begin with a prefix.
  around(prefix) {
    const found = [];
    for (let i = Math.max(bisect(this.first, prefix) - 1, 0); i < this.first.length; i += 1) {
      if (this.first[i] > prefix && !this.first[i].startsWith(prefix)) break;
      found.push(...[...this.block(i).keys()].filter((key) => key.startsWith(prefix)));
    }
    return found;
  }
}

export class Lexicon {
  constructor(tensors, languages) {
    Object.assign(this, { tensors, languages, codes: Object.keys(languages), parts: new Map() });
  }

  // The lexicon with its known words and its names. languages: code -> name, the most common first.
  static async read(buffer, languages) {
    const lexicon = new Lexicon(readTensors(buffer), languages);
    const [known, names] = await Promise.all(["known", "names"].map((one) => lexicon.lines(one)));
    const named = new Set(names.flatMap((name) => name.split(" ")));
    Object.assign(lexicon, { known: new Set(known), names, named });
    return lexicon;
  }

  async lines(name) {
    return (await unpack(this.tensors.get(name).data)).split("\n");
  }

  // Unpack all the rest.
  complete() {
    return remember(this.parts, "all", async () => {
      [this.common, this.targets, this.words, this.foreign] = await Promise.all([
        this.lines("common"), this.lines("targets"),
        Table.read(this.tensors, "english"), Table.read(this.tensors, "languages")]);
    });
  }

  // Whether a word is known or in the English dictionary.
  isEnglish(word) {
    return this.known.has(word) || this.words.find(word) !== undefined;
  }

  isRare(word) {
    return !this.known.has(word) && (this.words.find(word) ?? "").startsWith(RARE);
  }

  // The candidates {text, reason, language} of an English word or phrase, best first.
  english(phrase) {
    const entry = (this.words.find(phrase) ?? "").replace(/^-/, "");
    return entry ? this.candidates(entry, "en") : [];
  }

  // Language -> the candidates of a word or phrase of that language, best first.
  otherLanguages(phrase) {
    const found = new Map();
    for (const part of (this.foreign.find(phrase) || null)?.split("|") ?? []) {
      const space = part.indexOf(" ");
      for (const language of part.slice(0, space).split(",")) {
        found.set(language, this.candidates(part.slice(space + 1), language));
      }
    }
    return found;
  }

  // Words of other languages that differ in at most `changed` letters at the end, and share at
  // least `shared` letters at the beginning.
  inflected(word, shared, changed) {
    const same = word.slice(0, Math.max(shared, word.length - changed));
    return this.foreign.around(word.slice(0, shared)).filter((other) =>
      other.startsWith(same) && Math.abs(other.length - word.length) <= changed);
  }

  candidates(entry, language) {
    return entry.split(" ").map((item) => ({
      text: this.targets[Number(item.slice(1))], reason: REASONS[item[0]], language,
    }));
  }

  // The place of a language among the most common ones.
  rank(language) {
    const place = this.codes.indexOf(language);
    return place < 0 ? this.codes.length : place;
  }
}

// The item whose key, an array of numbers and texts, is the least; the first of equal ones.
export function least(items, key) {
  let [best, bestKey] = [undefined, null];
  for (const item of items) {
    const one = key(item);
    if (bestKey === null || compareKeys(one, bestKey) < 0) [best, bestKey] = [item, one];
  }
  return best;
}

export function compareKeys(one, other) {
  for (let i = 0; i < one.length; i += 1) {
    if (one[i] < other[i]) return -1;
    if (one[i] > other[i]) return 1;
  }
  return 0;
}
