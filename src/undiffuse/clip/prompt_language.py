"""The language of a prompt, as far as the lexicon can tell."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache, cached_property

from undiffuse.clip.lexicon import FUNCTION, NAMED, STRONG, Candidate, Lexicon

MAX_PHRASE = 4  # words
SHARED, CHANGED = 3, 2  # letters of an inflected word; see `Lexicon.inflected`
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]+")


def is_unspaced(word: str) -> bool:
    """Whether a word is in a script that separates no words: Chinese or Japanese."""
    return _UNSPACED.fullmatch(word) is not None


class PromptLanguage:
    """The language of the words of one prompt."""

    def __init__(self, lexicon: Lexicon, words: tuple[str, ...]) -> None:
        self.lexicon, self.words = lexicon, words

    @cached_property
    def code(self) -> str:
        """The language other than English that the prompt is in, "" if it shows none.

        It has a word that is no function word, and either most words of the prompt and one that is
        not English, or all words of the prompt and a function word among them.
        """
        covered: dict[str, set[int]] = defaultdict(set)  # language -> places of its words
        content, function, foreign = Counter[str](), Counter[str](), set[str]()
        for start, end, found in self._found():
            inflected = not found and end - start == 1
            word = " ".join(self.words[start:end])
            english = self.lexicon.is_english(word)
            if inflected and not english:
                listed = self.inflections(word).values()
                found = {k: v for by_language in listed for k, v in by_language.items()}
            for language, (best, *_) in found.items():
                covered[language].update(range(start, end))
                if best.reason != FUNCTION:
                    content[language] += best.reason in STRONG or is_unspaced(word)
                    foreign |= set() if english or inflected else {language}
                elif word not in self.lexicon.known:
                    function[language] += 1
        count = len(self.words)
        accepted = [
            language
            for language, places in covered.items()
            if content[language]
            and (
                (language in foreign and len(places) * 2 > count)
                or (function[language] and len(places) == count)
            )
        ]
        codes = list(self.lexicon.languages)
        return min(
            accepted, default="",
            key=lambda one: (-len(covered[one]), -content[one] - function[one],
                             codes.index(one) if one in codes else len(codes)),
        )  # fmt: skip

    def _found(self) -> Iterator[tuple[int, int, dict[str, list[Candidate]]]]:
        """(start, end, language -> candidates) of every word, and of the phrases in the lexicon."""
        for start in range(len(self.words)):
            for end in range(start + 1, min(start + MAX_PHRASE, len(self.words)) + 1):
                found = self.lexicon.other_languages(" ".join(self.words[start:end]))
                if found or end == start + 1:
                    yield start, end, found

    @cache  # noqa: B019 - lives as long as the prompt
    def inflections(self, word: str) -> dict[str, dict[str, list[Candidate]]]:
        """Words of other languages that differ from a word at the end: word -> candidates."""
        changed = CHANGED if len(word) > 5 else 1
        found = {}
        for other in self.lexicon.inflected(word, SHARED, changed) if len(word) > SHARED else ():
            listed = self.lexicon.other_languages(other)
            strong = {k: v for k, v in listed.items() if v[0].reason in NAMED}
            if strong:
                found[other] = strong
        return found
