// Reads off a prompt which things it names, how many, and in which relation; the rules are those
// of undiffuse/layout/parse.py and scene.py. A node is a group {text, count, size}, a row {parts}
// or a pair {relation, first, second}.

import { LETTER, splitSpaces } from "./unicode.js";

const PART = `[${LETTER}\\p{Nd}]+`;
const WORD = new RegExp(`${PART}(?:['’-]${PART})*|,`, "gu");

const wordsOf = (text) =>
  (text.toLowerCase().match(WORD) ?? []).map((word) => word.replaceAll("’", "'"));

// The groups of a node, in the order of the prompt.
export function groupsOf(node) {
  if ("text" in node) return [node];
  return (node.parts ?? [node.first, node.second]).flatMap(groupsOf);
}

export const countOf = (node) => groupsOf(node).reduce((sum, { count }) => sum + count, 0);

export class SceneGrammar {
  // names: what a model draws as one picture; known: a set of the words that it knows; words: a
  // SceneWords
  constructor(names, known, words) {
    Object.assign(this, { given: names, known, words });
  }

  // The names as words without articles.
  get names() {
    this.keys ??= new Set(this.given.map((name) => this.key(wordsOf(name))));
    return this.keys;
  }

  get nameWords() {
    this.parts ??= new Set([...this.names].flatMap((name) => name.split(" ")));
    return this.parts;
  }

  key(words) {
    return words.filter((word) => !this.words.ARTICLES.has(word)).join(" ");
  }

  isName(words) {
    return this.names.has(this.key(words));
  }

  // {node, ground} of a prompt, or null for one thing without a ground.
  scene(text) {
    let words = wordsOf(text);
    if (words.length > this.words.MAX_WORDS) return null;
    const many = words.length > 0 && this.words.NUMBERS.has(words[0]);
    if (!many && !words.slice(1).some((word) => this.mayDivide(word))) return null;
    let [ground, rest] = this.ground(splitSpaces(text).join(" "));
    words = wordsOf(rest);
    // "snow on a beach" has a ground and nothing on it.
    if (!this.namesThing(words)) [ground, words] = ["", wordsOf(text)];
    if (!this.namesThing(words)) return null;
    const node = this.node(words);
    const count = countOf(node);
    const whole = count > this.words.MAX_THINGS || (count === 1 && !ground);
    return whole ? null : { node, ground };
  }

  mayDivide(word) {
    const { NO_THING, COLORS } = this.words;
    return word === "," || word.endsWith("ing") || (NO_THING.has(word) && !COLORS.has(word));
  }

  // The ground of a prompt, and the rest of it.
  ground(text) {
    const found = this.isName(wordsOf(text)) ? null : this.words.ground(text);
    return found ? [found[0], text.slice(found[1], found[2])] : ["", text];
  }

  singular(word) {
    return this.words.singular(word, this.known);
  }

  // Whether one of the words is a known one that can name a thing.
  namesThing(words) {
    return words.some((word) => !this.words.NO_THING.has(word) && !this.isVerb(word)
      && (this.known.has(word) || this.known.has(this.singular(word))));
  }

  isVerb(word) {
    return word.endsWith("ing") && word.length > 4 && !this.words.NO_VERBS.has(word);
  }

  // Whether each part of a list names a thing of its own, and none is an adjective, "a cute, fluffy
  // dog": all have an article or a number, or end in a word of a name.
  areListed(parts) {
    const { ARTICLES, NUMBERS } = this.words;
    const marked = parts.every(([first]) => ARTICLES.has(first) || NUMBERS.has(first));
    const named = parts.every((part) =>
      [part.at(-1), this.singular(part.at(-1))].some((word) => this.nameWords.has(word)));
    return (marked || named) && parts.every((part) => this.namesThing(part));
  }

  // What some words name: a relation, a list, or one group.
  node(words) {
    const inside = this.insideNames(words);
    for (let at = 1; at < words.length; at += 1) {
      const node = inside[at] ? null : this.related(words, at);
      if (node) return node;
    }
    return this.list(words, inside);
  }

  // What some words name that say no relation: parts side by side, or one group.
  list(words, inside = this.insideNames(words)) {
    const parts = this.listed(words, inside);
    if (parts.length > 1) return { parts: parts.map((part) => this.group(part)) };
    return this.group(words);
  }

  // Which words belong to a name of several words.
  insideNames(words) {
    const inside = words.map(() => false);
    for (let start = 0; start < words.length; start += 1) {
      if (this.words.ARTICLES.has(words[start])) continue;
      const last = Math.min(start + this.words.MAX_NAME, words.length);
      for (let end = start + 2; end <= last; end += 1) {
        if (this.isName(words.slice(start, end))) inside.fill(true, start, end);
      }
    }
    return inside;
  }

  // The two sides of a relation that is said from word `at` on, or null if it is none.
  related(words, at) {
    const [relation, end] = this.relation(words, at);
    const verbBefore = end === at; // "a dog chases a cat"
    const second = words.slice(end);
    const first = this.withoutPosture(words.slice(0, at - verbBefore));
    if (!relation || !this.namesThing(first) || !this.namesThing(second)) return null;
    if (second.some((word) => this.words.PLACES.has(word))) return null;
    if (relation === "in" && !this.isContainer(second)) return null;
    if (words[at] === "with" && !this.hasBeside(first, second)) return null;
    if (relation === "between") return this.between(first, this.list(second));
    return { relation, first: this.node(first), second: this.node(second) };
  }

  // What some words name in the middle of two things, or of some equal ones; null for others.
  between(words, other) {
    if (other.parts?.length === 2) {
      return { parts: [other.parts[0], this.node(words), other.parts[1]] };
    }
    if (!(other.count > 1)) return null;
    const half = (count) => ({ ...other, count });
    return { parts: [half(Math.floor(other.count / 2)), this.node(words),
      half(Math.ceil(other.count / 2))] };
  }

  // The relation said from word `at` on, "" for none, and where the second side begins.
  relation(words, at) {
    const { ACTION, ARTICLES, LONGEST_RELATION, NO_THING, POSTURES, RELATIONS, VERBS,
      WHOLE } = this.words;
    for (let count = Math.min(LONGEST_RELATION, words.length - at); count > 0; count -= 1) {
      const relation = RELATIONS.get(words.slice(at, at + count).join(" "));
      if (relation) return [relation, at + count];
    }
    const word = words[at];
    if (word === "with") return [ACTION, at + 1];
    const isVerb = this.isVerb(word) && !WHOLE.has(word) && !POSTURES.has(word);
    if (isVerb) return this.action(words, at);
    const verb = words[at - 1];
    if (ARTICLES.has(word) && at > 1 && !NO_THING.has(verb) && verb.endsWith("s")) {
      return [VERBS.get(`${verb.slice(0, -1).replace(/e$/, "")}ing`) ?? ACTION, at];
    }
    return ["", at];
  }

  // The relation of a verb in -ing, which needs an object: "riding a horse".
  action(words, at) {
    const { ACTION, PARTICLES, VERBS } = this.words;
    let after = at + 1;
    if (PARTICLES.has(words[after])) after += 1;
    else if (after < words.length) {
      const found = this.relation(words, after);
      if (found[0] && found[1] > after) return found;
    }
    return [VERBS.get(words[at]) ?? ACTION, after];
  }

  // Whether "with" says that a person or an animal has a thing beside it.
  hasBeside(owner, thing) {
    const { OWNERS, PRONOUNS, WORN } = this.words;
    return owner.some((word) => OWNERS.has(this.singular(word)))
      && !thing.some((word) => WORN.has(word) || PRONOUNS.has(word));
  }

  isContainer(words) {
    return words.some((word) => this.words.CONTAINERS.has(this.singular(word)));
  }

  // The parts between "and" and commas, if each of them is a thing.
  listed(words, inside) {
    const parts = [[]];
    words.forEach((word, k) => {
      if (["and", ","].includes(word) && !inside[k]) parts.push([]);
      else parts.at(-1).push(word);
    });
    const said = parts.filter((part) => part.length);
    return this.areListed(said) ? said : [words];
  }

  // What a text names before it says more of it, "penguin" of "a penguin standing on ice"; "" if it
  // says no more, or only what is worn.
  head(text) {
    const words = wordsOf(text);
    const end = words.length > this.words.MAX_WORDS ? words.length : this.headEnd(words);
    const rest = words.slice(end);
    if (!rest.length || rest.some((word) => this.words.WORN.has(word))) return "";
    return this.withoutArticle(this.withoutPosture(words.slice(0, end))).join(" ");
  }

  // Where a text begins to say more of what it has named; its end if it says no more.
  headEnd(words) {
    const inside = this.insideNames(words);
    const end = words.findIndex((word, at) => at > 0 && !inside[at] && this.saysMore(word)
      && this.endsInName(this.withoutPosture(words.slice(0, at))));
    return end < 0 ? words.length : end;
  }

  endsInName(words) {
    const last = words.at(-1);
    return words.some((_, start) => this.isName(words.slice(start)))
      || (this.known.has(last) && !this.nameWords.has(last) && !this.words.NO_THING.has(last));
  }

  saysMore(word) {
    const isForm = word.endsWith("ed") && word.length > 4;
    return this.words.FURTHER.has(word) || isForm
      || (this.isVerb(word) && word !== "wearing");
  }

  withoutPosture(words) {
    const last = words.findLastIndex((word) => !this.words.POSTURES.has(word));
    return words.slice(0, last + 1);
  }

  // A noun with its number and size.
  group(given) {
    const { NUMBERS, SIZES } = this.words;
    let words = this.withoutArticle(given.filter((word) => word !== ","));
    if (words.length > 2 && words[0] === "couple" && words[1] === "of") {
      words = ["two", ...words.slice(2)];
    }
    let [count, size] = [1, 1];
    if (words.length > 1 && NUMBERS.has(words[0]) && !this.isName(words)) {
      [count, words] = [NUMBERS.get(words[0]), this.withoutArticle(words.slice(1))];
    }
    if (words.length > 1 && SIZES.has(words[0]) && !this.isName(words)) {
      [size, words] = [SIZES.get(words[0]), words.slice(1)];
    }
    if (count > 1) {
      const end = this.headEnd(words.map((word) => this.singular(word)));
      const of = words.slice(1, end).includes("of") ? words.indexOf("of", 1) : end;
      words = words.map((word, k) => (k === of - 1 ? this.singular(word) : word));
    }
    return { text: words.join(" "), count, size };
  }

  withoutArticle(words) {
    const first = words.findIndex((word) => !this.words.ARTICLES.has(word));
    return words.slice(first < 0 ? Math.max(words.length - 1, 0) : first);
  }
}
