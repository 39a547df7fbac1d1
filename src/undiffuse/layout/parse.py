"""Reads off a prompt which things it names, how many, and in which relation.

    SceneGrammar(names, known).scene("two cats under a tree in the snow")

LayoutGPT (arXiv 2305.15393) and LLM-grounded diffusion (arXiv 2305.13655) ask a language model
where things go; here a small grammar answers. What it can't read stays one thing.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property

from undiffuse.layout.scene import Group, Node, Pair, Row, Scene
from undiffuse.layout.words import (
    ACTION,
    ARTICLES,
    COLORS,
    CONTAINERS,
    FURTHER,
    GROUND_PATTERNS,
    LONGEST_RELATION,
    NO_THING,
    NO_VERBS,
    NUMBERS,
    OWNERS,
    PARTICLES,
    PLACES,
    POSTURES,
    PRONOUNS,
    RELATIONS,
    SIZES,
    VERBS,
    WHOLE,
    WORN,
    singular,
)

MAX_THINGS = 12
MAX_NAME = 8  # words
MAX_WORDS = 48  # of a prompt; CLIP reads about twenty
# Shorter words, "in" and "on", are words of other languages too.
_LONG = sorted({word for phrase in RELATIONS for word in phrase if len(word) > 4})
_RELATION_WORD = re.compile(rf"\b(?:{'|'.join(_LONG)})\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|,")
Words = Sequence[str]


def spoken_layout(text: str) -> list[tuple[int, int]]:
    """Where a text says a ground or a relation, from a character to the one after the last: no
    word there is to be read as another one.
    """
    spans = [found.span() for found in _RELATION_WORD.finditer(text)]
    for pattern in GROUND_PATTERNS.values():
        if found := pattern.fullmatch(text):
            part = "after" if found["after"] else "before"
            return [*spans, (0, found.start(part)), (found.end(part), len(text))]
    return spans


class SceneGrammar:
    """Reads English prompts.

    names   what a model draws as one picture, "house with garden"; such a name is never divided.
    known   the words that a model knows. A part without one is no thing of its own.
    """

    def __init__(self, names: Collection[str], known: frozenset[str]) -> None:
        self._names, self.known = names, known

    @cached_property
    def names(self) -> frozenset[tuple[str, ...]]:
        """The names as words without articles."""
        return frozenset(_key(_words(name)) for name in self._names)

    def scene(self, text: str) -> Scene | None:
        """The scene of a prompt, or None for one thing without a ground."""
        words = _words(text)
        if len(words) > MAX_WORDS:
            return None
        if not any(map(_may_divide, words[1:])) and not set(words[:1]) & NUMBERS.keys():
            return None
        ground, rest = self._ground(" ".join(text.split()))
        words = _words(rest)
        if not self.names_thing(words):
            ground, words = "", _words(text)  # "snow on a beach" has a ground and nothing on it
        if not self.names_thing(words):
            return None
        node = self.node(words)
        scene = Scene(node, ground)
        count = sum(group.count for group in scene.things)
        if count > MAX_THINGS or (count == 1 and not ground):
            return None
        return scene

    def _ground(self, text: str) -> tuple[str, str]:
        """The ground of a prompt, and the rest of it."""
        if _key(_words(text)) not in self.names:
            for ground, pattern in GROUND_PATTERNS.items():
                if found := pattern.fullmatch(text):
                    part = "after" if found["after"] else "before"
                    return ground, text[found.start(part) : found.end(part)]
        return "", text

    def names_thing(self, words: Words) -> bool:
        """Whether one of the words is a known one that can name a thing."""
        return any(
            not (word in NO_THING or _is_verb(word))
            and (word in self.known or singular(word, self.known) in self.known)
            for word in words
        )

    def _are_listed(self, parts: Sequence[Words]) -> bool:
        """Whether each part of a list names a thing of its own, and none is an adjective: "a cute,
        fluffy dog". All have an article or a number, or end in a word of a name.
        """
        marked = all(part[0] in ARTICLES or part[0] in NUMBERS for part in parts)
        last = (part[-1] for part in parts)
        named = all({word, singular(word, self.known)} & self._name_words for word in last)
        return (marked or named) and all(map(self.names_thing, parts))

    @cached_property
    def _name_words(self) -> frozenset[str]:
        return frozenset(word for name in self.names for word in name)

    def node(self, words: Words) -> Node:
        """What some words name: a relation, a list, or one group."""
        inside = self._inside_names(words)
        for at in range(1, len(words)):
            if not inside[at] and (node := self._related(words, at)):
                return node
        return self._list(words, inside)

    def _list(self, words: Words, inside: Sequence[bool]) -> Node:
        """What some words name that say no relation: parts side by side, or one group."""
        parts = self._listed(words, inside)
        return Row(tuple(map(self.group, parts))) if len(parts) > 1 else self.group(words)

    def _inside_names(self, words: Words) -> list[bool]:
        """Which words belong to a name of several words."""
        inside = [False] * len(words)
        for start in range(len(words)):
            for end in range(start + 2, min(start + MAX_NAME, len(words)) + 1):
                if words[start] not in ARTICLES and _key(words[start:end]) in self.names:
                    inside[start:end] = [True] * (end - start)
        return inside

    def _related(self, words: Words, at: int) -> Node | None:
        """The two sides of a relation that is said from word `at` on, if it is one."""
        relation, end = self._relation(words, at)
        verb_before = int(end == at)  # "a dog chases a cat"
        first, second = words[: at - verb_before], words[end:]
        first = _without_posture(first)
        if not relation or not (self.names_thing(first) and self.names_thing(second)):
            return None
        if set(second) & PLACES or (relation == "in" and not self._is_container(second)):
            return None
        if words[at] == "with" and not self._has_beside(first, second):
            return None
        if relation != "between":
            return Pair(relation, self.node(first), self.node(second))
        other = self._list(second, self._inside_names(second))
        if isinstance(other, Row) and len(other.parts) == 2:
            return Row((other.parts[0], self.node(first), other.parts[1]))
        if isinstance(other, Group) and other.count > 1:
            left, right = replace(other, count=other.count // 2), -(-other.count // 2)
            return Row((left, self.node(first), replace(other, count=right)))
        return None

    def _relation(self, words: Words, at: int) -> tuple[str, int]:
        """The relation said from word `at` on, "" for none, and where the second side begins."""
        for count in range(min(LONGEST_RELATION, len(words) - at), 0, -1):
            if relation := RELATIONS.get(tuple(words[at : at + count])):
                return relation, at + count
        word = words[at]
        if word == "with":
            return ACTION, at + 1
        if _is_verb(word) and word not in WHOLE | POSTURES:
            return self._action(words, at)
        verb = words[at - 1]
        if word in ARTICLES and at > 1 and verb not in NO_THING and verb.endswith("s"):
            return VERBS.get(f"{verb.removesuffix('s').removesuffix('e')}ing", ACTION), at
        return "", at

    def _action(self, words: Words, at: int) -> tuple[str, int]:
        """The relation of a verb in -ing, which needs an object: "riding a horse"."""
        after = at + 1
        if after < len(words) and words[after] in PARTICLES:
            after += 1
        elif after < len(words) and (found := self._relation(words, after))[0] and (
            found[1] > after
        ):  # fmt: skip
            return found
        return VERBS.get(words[at], ACTION), after

    def _has_beside(self, owner: Words, thing: Words) -> bool:
        """Whether "with" says that a person or an animal has a thing beside it."""
        owns = any(singular(word, self.known) in OWNERS for word in owner)
        return owns and not set(thing) & (WORN | PRONOUNS)

    def _is_container(self, words: Words) -> bool:
        return any(singular(word, self.known) in CONTAINERS for word in words)

    def _listed(self, words: Words, inside: Sequence[bool]) -> list[Words]:
        """The parts between "and" and commas, if each of them is a thing."""
        parts: list[list[str]] = [[]]
        for word, kept in zip(words, inside, strict=True):
            if word in ("and", ",") and not kept:
                parts.append([])
            else:
                parts[-1].append(word)
        parts = [part for part in parts if part]
        return [*parts] if self._are_listed(parts) else [words]

    def head(self, text: str) -> str:
        """What a text names before it says more of it, "penguin" of "a penguin standing on ice";
        "" if it says no more, or only what is worn.
        """
        words = _words(text)
        end = self._head_end(words) if len(words) <= MAX_WORDS else len(words)
        if end == len(words) or set(words[end:]) & WORN:
            return ""
        return " ".join(_without_article(_without_posture(words[:end])))

    def _head_end(self, words: Words) -> int:
        """Where a text begins to say more of what it has named; its end if it says no more."""
        inside = self._inside_names(words)
        for at in range(1, len(words)):
            if not inside[at] and _says_more(words[at]):
                named = _without_posture(words[:at])
                if self._ends_in_name(named):
                    return at
        return len(words)

    def _ends_in_name(self, words: Words) -> bool:
        """Whether the last words are a name, or the last one is a known word that names have not:
        what is a part of names alone, "face", says too little.
        """
        if any(_key(words[start:]) in self.names for start in range(len(words))):
            return True
        last = words[-1] if words else ""
        return last in self.known and last not in self._name_words and last not in NO_THING

    def group(self, words: Words) -> Group:
        """A noun with its number and size."""
        words = _without_article([word for word in words if word != ","])
        if words[:2] == ["couple", "of"] and len(words) > 2:
            words = ["two", *words[2:]]
        count, size, whole = 1, 1.0, _key(words) in self.names
        if len(words) > 1 and words[0] in NUMBERS and not whole:
            count, words = NUMBERS[words[0]], _without_article(words[1:])
        if len(words) > 1 and words[0] in SIZES and _key(words) not in self.names:
            size, words = SIZES[words[0]], words[1:]
        if count > 1:
            end = self._head_end([singular(word, self.known) for word in words])
            head = words.index("of", 1) - 1 if "of" in words[1:end] else end - 1
            words = [*words[:head], singular(words[head], self.known), *words[head + 1 :]]
        return Group(" ".join(words), count, size)


def _may_divide(word: str) -> bool:
    return word == "," or word.endswith("ing") or (word in NO_THING and word not in COLORS)


def _is_verb(word: str) -> bool:
    return word.endswith("ing") and len(word) > 4 and word not in NO_VERBS


def _says_more(word: str) -> bool:
    is_form = word.endswith("ed") and len(word) > 4
    return word in FURTHER or is_form or (_is_verb(word) and word != "wearing")


def _without_posture(words: Words) -> Words:
    while words and words[-1] in POSTURES:
        words = words[:-1]
    return words


def _words(text: str) -> list[str]:
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def _without_article(words: Words) -> Words:
    while len(words) > 1 and words[0] in ARTICLES:
        words = words[1:]
    return words


def _key(words: Words) -> tuple[str, ...]:
    return tuple(word for word in words if word not in ARTICLES)
