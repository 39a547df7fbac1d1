// Reads a prompt with a lexicon: words that no caption holds become the nearest known ones. The
// rules are those of undiffuse/clip/reading.py.

import { COLOR, FUNCTION, NAMED, STRONG, compareKeys, least } from "./lexicon.js";
import { MAX_PHRASE, PromptLanguage, isUnspaced } from "./prompt-language.js";
import { correct } from "./spelling.js";
import { LETTER, splitSpaces } from "./unicode.js";

const MAX_RUN = 12; // characters of a word in a text without spaces
const UNSURE = ["keyword", "related", "part", "example"]; // another thing than is meant
const WORD = new RegExp(`[${LETTER}]+(?:['’][${LETTER}]+)*`, "gu");
const ALNUM_END = new RegExp(`[${LETTER}\\p{Nd}]$`, "u");
const COLOR_BEHIND = ["fr", "es", "it", "pt"]; // the noun
const ENDINGS = [["ies", "y"], ["ves", "f"], ["es", ""], ["s", ""]];

const changeTo = (word, found, reason = found[0].reason) =>
  ({ word, text: found[0].text, reason, language: found[0].language });

const plain = (word) => word.toLowerCase().replaceAll("’", "'");

const joinWords = (tokens) => tokens.map(({ text }) => text).join("-");

const tokensOf = (text) => [...text.matchAll(WORD)].map((match) => ({
  start: match.index, end: match.index + match[0].length, text: plain(match[0]),
}));

export class Reader {
  constructor(lexicon) {
    this.lexicon = lexicon;
  }

  // Unpack the lexicon if a prompt has an unknown word.
  async prepare(prompts) {
    const known = prompts.every((text) => tokensOf(text).every((one) => this.isKnown(one.text)));
    if (!known) await this.lexicon.complete();
  }

  // {text, changes} with every unknown word read as its nearest known one. sure: read only what
  // means the same, for prompts that are calculated with. keep: parts of the text, as pairs of
  // places, that stay as they are.
  read(text, sure = false, keep = []) {
    const tokens = tokensOf(text).filter((one) =>
      !keep.some(([start, end]) => start <= one.start && one.start < end));
    if (tokens.every((token) => this.isKnown(token.text))) return { text, changes: [] };
    const parts = [...this.hyphenated(text, tokens)].flatMap((token) => [...this.split(token)]);
    return new PromptReading(this.lexicon, text, parts, sure).read();
  }

  isKnown(word) {
    const { known } = this.lexicon;
    return known.has(word) || known.has(word.replace(/'s$/, ""));
  }

  // The tokens, those of a word with hyphens that is in the lexicon as one: "arc-en-ciel".
  * hyphenated(text, tokens) {
    for (let at = 0; at < tokens.length;) {
      let count = Math.min(MAX_PHRASE, tokens.length - at);
      while (count > 1 && !this.isHyphenated(text, tokens.slice(at, at + count))) count -= 1;
      const run = tokens.slice(at, at + count);
      yield { start: run[0].start, end: run[count - 1].end, text: joinWords(run) };
      at += count;
    }
  }

  isHyphenated(text, run) {
    const word = joinWords(run);
    return plain(text.slice(run[0].start, run.at(-1).end)) === word
      && (this.lexicon.english(word).length > 0 || this.lexicon.otherLanguages(word).size > 0);
  }

  // The words of a token; several in a script without spaces, by longest match.
  * split(token) {
    const { text } = token;
    if (!isUnspaced(text)) {
      yield token;
      return;
    }
    for (let start = 0; start < text.length;) {
      let end = Math.min(start + MAX_RUN, text.length);
      while (end > start + 1 && !this.isRun(text, start, end)) end -= 1;
      yield { start: token.start + start, end: token.start + end, text: text.slice(start, end) };
      start = end;
    }
  }

  // Whether some characters are a word; a single one may be part of an unknown word.
  isRun(text, start, end) {
    const found = this.lexicon.otherLanguages(text.slice(start, end));
    return found.size > 0 && (end - start > 1 || text.length === 1
      || [...found.values()].some(([best]) => STRONG.includes(best.reason)));
  }
}

// One prompt that has an unknown word.
class PromptReading {
  constructor(lexicon, text, tokens, sure) {
    Object.assign(this, { lexicon, text, tokens, sure });
    this.language = new PromptLanguage(lexicon, tokens.map((token) => token.text));
  }

  read() {
    const [parts, changes] = [[], []];
    // noun: where the parts of the thing begin that was read last. changed: whether the token
    // before was.
    let [end, noun, changed] = [0, null, false];
    for (let at = 0; at < this.tokens.length;) {
      const color = noun === null ? null : this.color(at);
      let [count, change] = color ? [1, color] : this.change(at);
      if (change && this.sure && UNSURE.includes(change.reason)) change = null;
      const [first, last] = [this.tokens[at], this.tokens[at + count - 1]];
      const between = this.text.slice(end, first.start);
      const before = noun;
      noun = change?.reason === FUNCTION ? null : parts.length + 1;
      // Words that the writer did not separate are separated in English.
      const touches = !between && parts.length > 0;
      if (!change) {
        const space = touches && changed ? " " : "";
        parts.push(between + space, this.text.slice(first.start, last.end));
      } else if (color) {
        parts.splice(before, 0, change.text, " ");
        noun = before + 2;
      } else {
        const space = touches || ALNUM_END.test(between) ? " " : "";
        parts.push(between + space, change.text);
      }
      changed = change !== null;
      if (change && change.reason !== FUNCTION) changes.push(change);
      end = last.end;
      at += count;
    }
    if (!changes.length) return { text: this.text, changes };
    const rest = this.text.slice(end);
    const joint = /^\p{L}/u.test(rest) ? " " : "";
    return { text: splitSpaces(parts.join("") + joint + rest).join(" "), changes };
  }

  // The color that a language says behind the thing: "una manzana roja".
  color(at) {
    const [{ end }, token] = this.tokens.slice(at - 1, at + 1);
    const { code } = this.language;
    if (!COLOR_BEHIND.includes(code) || this.text.slice(end, token.start) !== " ") return null;
    const found = this.lexicon.otherLanguages(token.text).get(code) ?? [];
    const colors = found.filter(({ reason }) => reason === COLOR);
    return colors.length ? changeTo(token.text, colors) : null;
  }

  // How many tokens are read together from this one on, and what they are read as.
  change(at) {
    for (let count = Math.min(MAX_PHRASE, this.tokens.length - at); count > 1; count -= 1) {
      const phrase = this.phrase(at, count);
      const change = phrase && this.lookUp(phrase);
      if (change) return [count, change];
    }
    const word = this.tokens[at].text;
    const change = this.readWord(word);
    return [1, change && change.text !== word ? change : null];
  }

  // Some tokens as a phrase, "" if they are known words or belong to no phrase.
  phrase(at, count) {
    const tokens = this.tokens.slice(at, at + count);
    const joined = tokens.slice(1).every(({ start }, k) =>
      /^[ -]*$/.test(this.text.slice(tokens[k].end, start)));
    if (!joined || tokens.every(({ text }) => this.lexicon.known.has(text))) return "";
    return tokens.map(({ text }) => text).join(" ");
  }

  lookUp(phrase) {
    const found = this.lexicon.english(phrase);
    if (found.length) return changeTo(phrase, found);
    const foreign = this.lexicon.otherLanguages(phrase);
    return foreign.size ? changeTo(phrase, this.best(foreign)) : null;
  }

  // What one word is read as; null leaves it alone.
  readWord(word) {
    const { lexicon, language: { code } } = this;
    const foreign = lexicon.otherLanguages(word);
    if (foreign.has(code)) {
      const listed = foreign.get(code);
      // A single Chinese character may be part of a word that is not in the lexicon.
      const part = isUnspaced(word) && word.length === 1 && this.tokens.length > 1;
      if (STRONG.includes(listed[0].reason) || !(part || lexicon.known.has(word))) {
        return changeTo(word, listed);
      }
    }
    if (lexicon.known.has(word)) return null;
    const named = new Map([...foreign].filter(([, found]) => found[0].reason === "name"));
    if (named.size && !this.inEnglish && lexicon.isRare(word)) {
      return changeTo(word, this.best(named)); // "mariposa": a lily, or a butterfly
    }
    const found = lexicon.english(word);
    if (found.length) return this.misspelled(word, found) ?? changeTo(word, found);
    const singular = this.singular(word);
    if (singular) return singular;
    // A correct word without a picture: a verb, an idea.
    return lexicon.isEnglish(word) ? null : this.notEnglish(word, foreign);
  }

  correct(word) {
    const { named, known, common } = this.lexicon;
    return correct(word, named, known, common);
  }

  // A word of a name, for a rare word that it is likelier meant; null for others.
  misspelled(word, [{ reason }]) {
    if (!UNSURE.includes(reason) || !this.lexicon.isRare(word)) return null;
    const [right, distance] = this.correct(word);
    if (distance > 1 || !this.lexicon.named.has(right)) return null;
    return { word, text: right, reason: "spelling", language: "en" };
  }

  singular(word) {
    for (const [ending, replacement] of ENDINGS) {
      const stem = word.slice(0, -ending.length) + replacement;
      if (!word.endsWith(ending) || word.endsWith("ss") || stem.length < 3) continue;
      if (this.lexicon.known.has(stem)) {
        return { word, text: stem, reason: "plural", language: "en" };
      }
      const found = this.lexicon.english(stem);
      if (found.length) return changeTo(word, found);
    }
    return null;
  }

  notEnglish(word, every) {
    const { lexicon, language: { code } } = this;
    const good = [...NAMED, ...(code ? [] : ["keyword"])];
    const foreign = new Map([...every].filter(([, found]) => good.includes(found[0].reason)));
    if (foreign.size && !this.inEnglish) return changeTo(word, this.best(foreign));
    const [right, distance] = this.correct(word);
    // In an English prompt "teh" is "the" and not Indonesian tea, but "hund" is a dog.
    if (foreign.size && !(right && word.length < 5)) return changeTo(word, this.best(foreign));
    const [differ, change] = this.inEnglish ? [Infinity, null] : this.inflected(word);
    if (change && (code || differ < distance)) return change;
    if (code === "ja" && /^[\u3040-\u309f]+$/.test(word)) {
      return { word, text: "", reason: FUNCTION, language: "ja" }; // the ending of a word
    }
    if (!right) return null;
    if (lexicon.known.has(right)) return { word, text: right, reason: "spelling", language: "en" };
    const found = lexicon.english(right);
    return found.length ? changeTo(word, found, "spelling") : null;
  }

  // The reading of the word of another language that differs the least, at its end.
  inflected(word) {
    const { code } = this.language;
    let smallest = [Infinity, ""];
    let change = null;
    for (const [other, every] of this.language.inflections(word)) {
      if (code && !every.has(code)) continue;
      let same = 0;
      while (same < word.length && word[same] === other[same]) same += 1;
      const key = [Math.max(word.length, other.length) - same, other];
      if (compareKeys(key, smallest) < 0) {
        smallest = key;
        change = changeTo(word, code ? every.get(code) : this.best(every));
      }
    }
    return [smallest[0], change];
  }

  // The candidates in the prompt's language, otherwise a name before a keyword.
  best(byLanguage) {
    if (byLanguage.has(this.language.code)) return byLanguage.get(this.language.code);
    return least(byLanguage.values(), ([{ reason, language }]) =>
      [reason !== "name", reason !== "translation", this.lexicon.rank(language)]);
  }

  // Whether other words are known English ones, and the prompt shows no other language.
  get inEnglish() {
    return !this.language.code && this.tokens.some(({ text }) => this.lexicon.known.has(text));
  }
}
