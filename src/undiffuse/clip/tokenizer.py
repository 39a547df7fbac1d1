"""Byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909), as CLIP has it: lower case, words that
end in "</w>", vocabulary and merges in the files that Hugging Face's libraries write and read.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)


@lru_cache(maxsize=1)
def byte_letters() -> dict[int, str]:
    """A visible letter for each byte, so that merges can be kept as text (GPT-2's table)."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def normalise(text: str) -> str:
    """White space folded, lower case."""
    return " ".join(text.split()).lower()


def openai_normalise(text: str) -> str:
    """Composed letters, white space folded, each letter in lower case by itself."""
    folded = _WHITE.sub(" ", unicodedata.normalize("NFC", text))
    return "".join(map(str.lower, folded))


def openai_pieces(text: str) -> list[str]:
    """OpenAI's pieces: endings after an apostrophe, runs of letters, single numbers, runs of the
    rest. Python's own expressions can't tell other numbers (½, Ⅷ) from letters."""
    plain = "".join(c if c.isascii() else _STANDS_FOR.get(unicodedata.category(c)[0], "!")
                    for c in text)  # fmt: skip
    return [text[slice(*found.span())] for found in _PLAIN_PIECES.finditer(plain)]


# White space as Unicode has it; Python counts four separators of files to it.
_WHITE = re.compile(r"[^\S\x1c-\x1f]+")
_STANDS_FOR = {"L": "x", "N": "0"}
_PLAIN_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^ a-z0-9]+")


@dataclass(frozen=True)
class Rules:
    """How a text is made even, and cut into the pieces that are then merged."""

    normalise: Callable[[str], str]
    pieces: Callable[[str], list[str]]


OURS = Rules(normalise, PIECES.findall)
OPENAI = Rules(openai_normalise, openai_pieces)


@dataclass(frozen=True)
class Tokens:
    """Ids `(B, context)`, padded, lengths `(B,)`, and what was cut off each text."""

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    cut: tuple[str, ...]


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids. `context` is the longest sequence, start and end included; `pad` an id."""

    vocabulary: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    context: int
    start: str = START
    end: str = END
    pad: int = 0
    rules: Rules = OURS

    @classmethod
    def from_json(cls, text: str, context: int) -> "Tokenizer":
        """From `to_json`'s text. Raises UserError when it is not that."""
        try:
            data = json.loads(text)
            merges = [(str(first), str(second)) for first, second in data["merges"]]
            vocabulary = {str(token): int(number) for token, number in data["vocabulary"].items()}
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise UserError(f"the tokenizer's vocabulary can't be read: {error}") from error
        tokenizer = cls(vocabulary, merges, context)
        tokenizer.check()
        return tokenizer

    def check(self) -> None:
        """UserError unless every text has ids, and the ids have no gaps."""
        letters = [letter + end for letter in byte_letters().values() for end in ("", END_OF_WORD)]
        merged = (first + second for first, second in self.merges)
        for token in (self.start, self.end, *letters, *merged):
            if token not in self.vocabulary:
                raise UserError(f"the tokenizer's vocabulary lacks {token!r}")
        if sorted(self.vocabulary.values()) != list(range(len(self.vocabulary))):
            raise UserError("the tokenizer's vocabulary does not number its tokens from 0")

    def to_json(self) -> str:
        """Vocabulary and merges as one text, for a weight file's metadata."""
        return json.dumps(
            {"vocabulary": dict(self.vocabulary), "merges": [list(m) for m in self.merges]},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _word_cache(self) -> dict[str, list[int]]:
        return {}

    def _word_ids(self, word: str) -> list[int]:
        known = self._word_cache.get(word)
        if known is not None:
            return known
        letters = byte_letters()
        # What is no Unicode (half of a pair, from a terminal of another encoding) becomes "?".
        parts = [letters[byte] for byte in word.encode(errors="replace")]
        parts[-1] += END_OF_WORD
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            merged, i = [], 0
            while i < len(parts):
                if i + 1 < len(parts) and (parts[i], parts[i + 1]) == best:
                    merged.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            parts = merged
        ids = [self.vocabulary[part] for part in parts]
        self._word_cache[word] = ids
        return ids

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without start and end; the empty text has none."""
        pieces = self.rules.pieces(self.rules.normalise(text))
        return [number for piece in pieces for number in self._word_ids(piece)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, white space as it was normalised."""
        by_id = {number: token for token, number in self.vocabulary.items()}
        back = {letter: byte for byte, letter in byte_letters().items()}
        joined = "".join(by_id[i] for i in ids if by_id[i] not in (self.start, self.end))
        words = joined.split(END_OF_WORD)
        return " ".join(bytes(back[c] for c in w).decode(errors="replace") for w in words).strip()

    def __call__(self, texts: Sequence[str], length: int | None = None) -> Tokens:
        """Encode texts, cut to `length` (the whole context by default) and padded with `pad`."""
        length = length or self.context
        ids = np.full((len(texts), length), self.pad, np.int64)
        lengths = np.zeros(len(texts), np.int64)
        cut = []
        for row, text in enumerate(texts):
            tokens = self.encode(text)
            kept, lost = tokens[: length - 2], tokens[length - 2 :]
            whole = [self.vocabulary[self.start], *kept, self.vocabulary[self.end]]
            ids[row, : len(whole)] = whole
            lengths[row] = len(whole)
            cut.append(self.decode(lost) if lost else "")
        return Tokens(ids, lengths, tuple(cut))
