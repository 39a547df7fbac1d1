// The language of a prompt, as far as the lexicon can tell; see undiffuse/clip/prompt_language.py.

import { FUNCTION, NAMED, STRONG, least } from "./lexicon.js";

export const MAX_PHRASE = 4; // words
const [SHARED, CHANGED] = [3, 2]; // letters of an inflected word
const UNSPACED = /^[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]+$/u;

// Whether a word is in a script that separates no words: Chinese or Japanese.
export const isUnspaced = (word) => UNSPACED.test(word);

export class PromptLanguage {
  constructor(lexicon, words) {
    Object.assign(this, { lexicon, words, inflectionsOf: new Map() });
  }

  // The language other than English that the prompt is in, "" if it shows none.
  get code() {
    this.found ??= this.find();
    return this.found;
  }

  find() {
    // language -> places, number of words, number of function words
    const [covered, content, functions] = [new Map(), new Map(), new Map()];
    const foreign = new Set();
    const add = (counts, language, more) => {
      counts.set(language, (counts.get(language) ?? 0) + more);
    };
    for (const [start, end, candidates] of this.phrases()) {
      const inflected = !candidates.size && end - start === 1;
      const word = this.words.slice(start, end).join(" ");
      const english = this.lexicon.isEnglish(word);
      const found = inflected && !english
        ? new Map([...this.inflections(word).values()].flatMap((one) => [...one])) : candidates;
      for (const [language, [best]] of found) {
        if (!covered.has(language)) covered.set(language, new Set());
        for (let i = start; i < end; i += 1) covered.get(language).add(i);
        if (best.reason !== FUNCTION) {
          add(content, language, STRONG.includes(best.reason) || isUnspaced(word));
          if (!english && !inflected) foreign.add(language);
        } else if (!this.lexicon.known.has(word)) add(functions, language, 1);
      }
    }
    const count = this.words.length;
    const accepted = [...covered].filter(([language, { size }]) => content.get(language)
      && ((foreign.has(language) && size * 2 > count)
        || (functions.has(language) && size === count)));
    return least(accepted, ([language, { size }]) =>
      [-size, -content.get(language) - (functions.get(language) ?? 0),
        this.lexicon.rank(language)])?.[0] ?? "";
  }

  // [start, end, language -> candidates] of every word, and of the phrases in the lexicon.
  * phrases() {
    for (let start = 0; start < this.words.length; start += 1) {
      const last = Math.min(start + MAX_PHRASE, this.words.length);
      for (let end = start + 1; end <= last; end += 1) {
        const found = this.lexicon.otherLanguages(this.words.slice(start, end).join(" "));
        if (found.size || end === start + 1) yield [start, end, found];
      }
    }
  }

  // Words of other languages that differ from a word at the end: word -> language -> candidates.
  inflections(word) {
    if (!this.inflectionsOf.has(word)) this.inflectionsOf.set(word, this.inflect(word));
    return this.inflectionsOf.get(word);
  }

  inflect(word) {
    const found = new Map();
    if (word.length <= SHARED) return found;
    for (const other of this.lexicon.inflected(word, SHARED, word.length > 5 ? CHANGED : 1)) {
      const strong = [...this.lexicon.otherLanguages(other)]
        .filter(([, [best]]) => NAMED.includes(best.reason));
      if (strong.length) found.set(other, new Map(strong));
    }
    return found;
  }
}
