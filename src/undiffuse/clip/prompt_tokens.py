"""The words of a prompt: several of a text without spaces, one of a word with hyphens."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from undiffuse.clip.lexicon import STRONG, Lexicon
from undiffuse.clip.prompt_language import MAX_PHRASE, is_unspaced

MAX_RUN = 12  # characters of a word in a text without spaces
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Token:
    """A word in lower case, and its place in the text."""

    start: int
    end: int
    text: str


def tokens_of(text: str) -> list[Token]:
    """The words of a text, as spaces and signs separate them."""
    return [Token(m.start(), m.end(), plain(m[0])) for m in _WORD.finditer(text)]


def plain(word: str) -> str:
    """The word in lower case with a plain apostrophe."""
    return word.lower().replace("’", "'")


def join_hyphenated(text: str, tokens: Sequence[Token], lexicon: Lexicon) -> Iterator[Token]:
    """The tokens, those of a word with hyphens that is in the lexicon as one: "arc-en-ciel"."""
    at = 0
    while at < len(tokens):
        for count in range(min(MAX_PHRASE, len(tokens) - at), 0, -1):
            start, end = tokens[at].start, tokens[at + count - 1].end
            word = "-".join(token.text for token in tokens[at : at + count])
            if count == 1 or (plain(text[start:end]) == word and _is_listed(word, lexicon)):
                yield Token(start, end, word)
                at += count
                break


def _is_listed(word: str, lexicon: Lexicon) -> bool:
    return bool(lexicon.english(word) or lexicon.other_languages(word))


def split_unspaced(token: Token, lexicon: Lexicon) -> Iterator[Token]:
    """The words of a token; several in a script without spaces, by longest match."""
    if not is_unspaced(token.text):
        yield token
        return
    start = 0
    while start < len(token.text):
        ends = range(min(start + MAX_RUN, len(token.text)), start, -1)
        found = (end for end in ends if _is_run(token.text, start, end, lexicon))
        end = next(found, start + 1)
        yield Token(token.start + start, token.start + end, token.text[start:end])
        start = end


def _is_run(text: str, start: int, end: int, lexicon: Lexicon) -> bool:
    """Whether some characters are a word. A single one may be part of a word that is not in the
    lexicon: it must be more than a keyword, or stand alone."""
    found = lexicon.other_languages(text[start:end])
    return bool(found) and (
        end - start > 1
        or len(text) == 1
        or any(one.reason in STRONG for listed in found.values() for one in listed[:1])
    )
