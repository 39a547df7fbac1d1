// The tables of words that a scene is read with, as the export writes them: see
// undiffuse/layout/words.py. Their names are those of Python.

import { WORD } from "./unicode.js";

const ENDINGS = [["ies", "y"], ["s", ""], ["es", ""]];

export class SceneWords {
  constructor(tables) {
    for (const [name, table] of Object.entries(tables)) {
      if (Array.isArray(table)) this[name] = new Set(table);
      else this[name] = typeof table === "object" ? new Map(Object.entries(table)) : table;
    }
    this.grounds = [...this.GROUND_PATTERNS].map(([ground, pattern]) =>
      [ground, new RegExp(`^(?:${pattern.replaceAll("(?P<", "(?<")})$`, "disu")]);
    // Shorter words, "in" and "on", are words of other languages too.
    const words = [...this.RELATIONS.keys()].flatMap((phrase) => phrase.split(" "));
    const long = words.filter((word) => word.length > 4).join("|");
    this.relationWord = new RegExp(`(?<![${WORD}])(?:${long})(?![${WORD}])`, "giu");
  }

  // [ground, where the rest of the text begins and ends] of the ground that a text says, or null.
  ground(text) {
    for (const [ground, pattern] of this.grounds) {
      const groups = pattern.exec(text)?.indices.groups;
      if (groups) return [ground, ...(groups.after ?? groups.before)];
    }
    return null;
  }

  // Where a text says a ground or a relation, as pairs of places: no word there is to be read as
  // another one.
  spokenLayout(text) {
    const spans = [...text.matchAll(this.relationWord)].map(({ index, 0: word }) =>
      [index, index + word.length]);
    const found = this.ground(text);
    return found ? [...spans, [0, found[1]], [found[2], text.length]] : spans;
  }

  // The singular of a noun: the stem that is known, otherwise the regular one.
  singular(word, known) {
    if (this.IRREGULAR.has(word)) return this.IRREGULAR.get(word);
    if (!word.endsWith("s") || word.endsWith("ss") || word.length < 4) return word;
    const stems = ENDINGS.filter(([ending]) => word.endsWith(ending))
      .map(([ending, replacement]) => word.slice(0, -ending.length) + replacement);
    return stems.find((stem) => known.has(stem)) ?? (known.has(word) ? word : stems.at(-1));
  }
}
