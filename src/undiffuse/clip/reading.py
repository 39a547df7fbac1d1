"""Reads a prompt with a lexicon: words that no caption holds become the nearest known ones."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf
from os.path import commonprefix

from undiffuse.clip.lexicon import COLOR, FUNCTION, NAMED, STRONG, Candidate, Lexicon
from undiffuse.clip.prompt_language import MAX_PHRASE, PromptLanguage, is_unspaced
from undiffuse.clip.prompt_tokens import Token, join_hyphenated, split_unspaced, tokens_of
from undiffuse.clip.spelling import correct

UNSURE = ("keyword", "related", "part", "example")  # reasons for another thing than is meant
SPELLING = "spelling"
COLOR_BEHIND = ("fr", "es", "it", "pt")  # the noun
Span = tuple[int, int]  # from a character of a text to the one after the last
_HIRAGANA = re.compile(r"[\u3040-\u309f]+")
_JOINED = re.compile(r"[ -]*")  # what may lie between the words of a phrase
_ENDINGS = (("ies", "y"), ("ves", "f"), ("es", ""), ("s", ""))


@dataclass(frozen=True)
class Change:
    """A word of a prompt, the text that it was read as, why, and what else it may mean."""

    word: str
    text: str
    reason: str
    language: str = "en"
    others: tuple[str, ...] = ()

    def note(self, languages: Mapping[str, str]) -> str:
        """What the user should know. `languages`: code -> name."""
        return f"{self.word}: read as {self.text} ({languages.get(self.language, self.reason)})"


@dataclass(frozen=True)
class Reading:
    """A prompt as it is read, and what was changed."""

    text: str
    changes: tuple[Change, ...] = ()


class Reader:
    """Reads prompts with one lexicon. The same prompt is always read the same."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon

    def read(self, text: str, sure: bool = False, keep: Sequence[Span] = ()) -> Reading:
        """The prompt with every unknown word read as its nearest known one.

        A prompt of known words stays as it is, and costs the look-up of the known words alone.
        sure: read only what means the same, for prompts that are calculated with: "zebra -
        stripes" must not become "zebra - zebra".
        keep: parts of the text that stay as they are.
        """
        tokens = [one for one in tokens_of(text)
                  if not any(start <= one.start < end for start, end in keep)]  # fmt: skip
        if all(self._is_known(token.text) for token in tokens):
            return Reading(text)
        whole = join_hyphenated(text, tokens, self.lexicon)
        tokens = [part for one in whole for part in split_unspaced(one, self.lexicon)]
        return _Prompt(self.lexicon, text, tokens, sure).read()

    def _is_known(self, word: str) -> bool:
        known = self.lexicon.known
        return word in known or word.removesuffix("'s") in known


class _Prompt:
    """One prompt that has an unknown word."""

    def __init__(self, lexicon: Lexicon, text: str, tokens: list[Token], sure: bool) -> None:
        self.lexicon, self.text, self.tokens, self.sure = lexicon, text, tokens, sure
        self._language = PromptLanguage(lexicon, tuple(token.text for token in tokens))

    def read(self) -> Reading:
        parts, changes, end, at = list[str](), list[Change](), 0, 0
        changed = False  # whether the token before was
        noun: int | None = None  # where the parts of the thing begin that was read last
        while at < len(self.tokens):
            count, change = (1, self._color(at)) if noun is not None else (1, None)
            before = noun if change is not None else None
            if change is None:
                count, change = self._change(at)
            if change is not None and self.sure and change.reason in UNSURE:
                change = None
            first, last = self.tokens[at], self.tokens[at + count - 1]
            between = self.text[end : first.start]
            noun = len(parts) + 1 if change is None or change.reason != FUNCTION else None
            # Words that the writer did not separate are separated in English.
            touches = not between and bool(parts)
            if change is None:
                touches = touches and changed
                parts += [between + " " * touches, self.text[first.start : last.end]]
            elif before is not None:
                parts[before:before] = [change.text, " "]
                noun = before + 2
            else:
                touches = touches or between[-1:].isalnum()
                parts += [between + " " * touches, change.text]
            changed = change is not None
            if change is not None and change.reason != FUNCTION:
                changes.append(change)
            end = last.end
            at += count
        if not changes:
            return Reading(self.text)
        rest = self.text[end:]
        joint = " " if rest[:1].isalpha() else ""
        return Reading(" ".join("".join([*parts, joint, rest]).split()), tuple(changes))

    def _color(self, at: int) -> Change | None:
        """The color that a language says behind the thing: "una manzana roja"."""
        token, language = self.tokens[at], self._language.code
        if language not in COLOR_BEHIND or self.text[self.tokens[at - 1].end : token.start] != " ":
            return None
        found = self.lexicon.other_languages(token.text).get(language, [])
        colors = [one for one in found if one.reason == COLOR]
        return _change_to(token.text, colors) if colors else None

    def _change(self, at: int) -> tuple[int, Change | None]:
        """How many tokens are read together from this one on, and what they are read as."""
        for count in range(min(MAX_PHRASE, len(self.tokens) - at), 1, -1):
            if (phrase := self._phrase(at, count)) and (change := self._look_up(phrase)):
                return count, change
        word = self.tokens[at].text
        change = self._read_word(word)
        return 1, change if change and change.text != word else None

    def _phrase(self, at: int, count: int) -> str:
        """Some tokens as a phrase, "" if they are known words or belong to no phrase."""
        tokens = self.tokens[at : at + count]
        gaps = pairwise(tokens)
        joined = all(_JOINED.fullmatch(self.text[one.end : other.start]) for one, other in gaps)
        if not joined or all(token.text in self.lexicon.known for token in tokens):
            return ""
        return " ".join(token.text for token in tokens)

    def _look_up(self, phrase: str) -> Change | None:
        if found := self.lexicon.english(phrase):
            return _change_to(phrase, found)
        by_language = self.lexicon.other_languages(phrase)
        return _change_to(phrase, self._best(by_language)) if by_language else None

    def _read_word(self, word: str) -> Change | None:
        """What one word is read as. None leaves it alone."""
        foreign = self.lexicon.other_languages(word)
        if self._language.code in foreign:
            listed = foreign[self._language.code]
            # A single Chinese character may be part of a word that is not in the lexicon.
            part = is_unspaced(word) and len(word) == 1 and len(self.tokens) > 1
            if listed[0].reason in STRONG or not (part or word in self.lexicon.known):
                return _change_to(word, listed)
        if word in self.lexicon.known:
            return None
        named = {k: found for k, found in foreign.items() if found[0].reason == "name"}
        if named and not self._in_english and self.lexicon.is_rare(word):
            return _change_to(word, self._best(named))  # "mariposa": a lily, or a butterfly
        if found := self.lexicon.english(word):
            return self._misspelled(word, found) or _change_to(word, found)
        if change := self._singular(word):
            return change
        if self.lexicon.is_english(word):
            return None  # a correct word without a picture: a verb, an idea
        return self._not_english(word, foreign)

    def _correct(self, word: str) -> tuple[str, float]:
        return correct(word, self.lexicon.named, self.lexicon.known, self.lexicon.common)

    def _misspelled(self, word: str, found: list[Candidate]) -> Change | None:
        """A word of a name, for a rare word that it is likelier meant: "calender", a machine, is a
        calendar."""
        if found[0].reason not in UNSURE or not self.lexicon.is_rare(word):
            return None
        right, distance = self._correct(word)
        if distance > 1.0 or right not in self.lexicon.named:
            return None
        others = (one.text for one in self.lexicon.english(right))
        return Change(word, right, SPELLING, "en", tuple(others))

    def _singular(self, word: str) -> Change | None:
        for ending, replacement in _ENDINGS:
            stem = word[: -len(ending)] + replacement
            if not word.endswith(ending) or word.endswith("ss") or len(stem) < 3:
                continue
            if stem in self.lexicon.known:
                others = (one.text for one in self.lexicon.english(stem))
                return Change(word, stem, "plural", "en", tuple(others))
            if found := self.lexicon.english(stem):
                return _change_to(word, found)
        return None

    def _not_english(self, word: str, foreign: dict[str, list[Candidate]]) -> Change | None:
        good = NAMED if self._language.code else (*NAMED, "keyword")
        foreign = {k: found for k, found in foreign.items() if found[0].reason in good}
        if foreign and not self._in_english:
            return _change_to(word, self._best(foreign))
        right, distance = self._correct(word)
        # In an English prompt "teh" is "the" and not Indonesian tea, but "hund" is a dog.
        if foreign and not (right and len(word) < 5):
            return _change_to(word, self._best(foreign))
        inflected, change = (inf, None) if self._in_english else self._inflected(word)
        if change and (self._language.code or inflected < distance):
            return change
        if self._language.code == "ja" and _HIRAGANA.fullmatch(word):
            return Change(word, "", FUNCTION, "ja")  # the ending of a word
        if not right:
            return None
        found = self.lexicon.english(right)
        if right in self.lexicon.known:
            return Change(word, right, SPELLING, "en", tuple(one.text for one in found))
        return _change_to(word, found, SPELLING) if found else None

    def _inflected(self, word: str) -> tuple[float, Change | None]:
        """The reading of the word of another language that differs the least, at its end; and how
        many letters differ."""
        least: tuple[float, str, Change | None] = (inf, "", None)
        for other, by_language in self._language.inflections(word).items():
            if self._language.code in by_language:
                by_language = {self._language.code: by_language[self._language.code]}
            elif self._language.code:
                continue
            same = len(commonprefix((word, other)))  # noqa: RUF071 - of words, not of paths
            differ = max(len(word), len(other)) - same
            if (differ, other) < least[:2]:
                least = differ, other, _change_to(word, self._best(by_language))
        return least[0], least[2]

    def _best(self, by_language: dict[str, list[Candidate]]) -> list[Candidate]:
        """The candidates in the prompt's language, otherwise a name before a keyword."""
        if self._language.code in by_language:
            return by_language[self._language.code]
        codes = list(self.lexicon.languages)
        return min(
            by_language.values(),
            key=lambda found: (
                found[0].reason != "name", found[0].reason != "translation",
                codes.index(found[0].language) if found[0].language in codes else len(codes),
            ),
        )  # fmt: skip

    @cached_property
    def _in_english(self) -> bool:
        """Whether the other words are known English ones, and the prompt shows no
        other language."""
        others = [token.text for token in self.tokens if token.text in self.lexicon.known]
        return not self._language.code and bool(others)


def _change_to(word: str, found: Sequence[Candidate], reason: str = "") -> Change:
    first, *others = found
    reason = reason or first.reason
    return Change(word, first.text, reason, first.language, tuple(one.text for one in others))
