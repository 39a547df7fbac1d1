"""CLIP's tokenizer: byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909) on lower-case text.

Words end in "</w>".
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from undiffuse.errors import UserError

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
WORD_PATTERN = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)


@lru_cache(maxsize=1)
def bytes_to_unicode() -> dict[int, str]:
    """A visible character for each byte, so that merges can be stored as text (GPT-2's table)."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def normalize(text: str) -> str:
    """Collapse white space and convert to lower case."""
    return " ".join(text.split()).lower()


@dataclass(frozen=True)
class Tokens:
    """`ids` `(B, N)`, padded; `lengths` `(B,)`; `cut`: the end of each text that did not fit."""

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    cut: tuple[str, ...]


@dataclass(frozen=True)
class Tokenizer:
    """Converts text to ids. `context`: maximum number of tokens, start and end included."""

    vocabulary: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    context: int

    @classmethod
    def from_json(cls, text: str, context: int) -> "Tokenizer":
        """The tokenizer from `to_json`'s text. Raises UserError for an invalid text."""
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
        """Raises UserError unless every text can be encoded and the ids have no gaps."""
        letters = [
            letter + end for letter in bytes_to_unicode().values() for end in ("", END_OF_WORD)
        ]
        merged = (first + second for first, second in self.merges)
        for token in (START, END, *letters, *merged):
            if token not in self.vocabulary:
                raise UserError(f"the tokenizer's vocabulary lacks {token!r}")
        if sorted(self.vocabulary.values()) != list(range(len(self.vocabulary))):
            raise UserError("the tokenizer's vocabulary does not number its tokens from 0")

    def to_json(self) -> str:
        """Vocabulary and merges as JSON, for a weight file's metadata."""
        return json.dumps(
            {"vocabulary": dict(self.vocabulary), "merges": [list(m) for m in self.merges]},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _tokens_by_id(self) -> dict[int, str]:
        return {number: token for token, number in self.vocabulary.items()}

    @cached_property
    def _word_cache(self) -> dict[str, list[int]]:
        return {}

    def _word_ids(self, word: str) -> list[int]:
        known = self._word_cache.get(word)
        if known is None:
            known = self._word_cache[word] = self._merge(word, self._ranks.get)
        return known

    def _merge(self, word: str, rank: Callable[[tuple[str, str]], int | None]) -> list[int]:
        """The ids of a word. `rank` is None for a pair that is not merged, or not now."""
        letters = bytes_to_unicode()
        # Lone surrogates, from a terminal with another encoding, become "?".
        parts = [letters[byte] for byte in word.encode(errors="replace")]
        parts[-1] += END_OF_WORD
        while len(parts) > 1:
            found = {pair: order for pair in pairwise(parts) if (order := rank(pair)) is not None}
            if not found:
                break
            best = min(found, key=found.__getitem__)
            merged, i = [], 0
            while i < len(parts):
                if i + 1 < len(parts) and (parts[i], parts[i + 1]) == best:
                    merged.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            parts = merged
        return [self.vocabulary[part] for part in parts]

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without start and end."""
        words = WORD_PATTERN.findall(normalize(text))
        return [number for word in words for number in self._word_ids(word)]

    # BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267)
    def encode_with_dropout(self, text: str, rng: Generator, dropout: float = 0.1) -> list[int]:
        """The ids of a text, with each possible merge left out with this probability, so that words
        are cut into other pieces than usual.
        """

        def rank(pair: tuple[str, str]) -> int | None:
            order = self._ranks.get(pair)
            return None if order is None or rng.random() < dropout else order

        words = WORD_PATTERN.findall(normalize(text))
        return [number for word in words for number in self._merge(word, rank)]

    def decode(self, ids: Sequence[int]) -> str:
        """The normalized text of ids."""
        by_id = self._tokens_by_id
        back = {letter: byte for byte, letter in bytes_to_unicode().items()}
        joined = "".join(by_id[i] for i in ids if by_id[i] not in (START, END))
        words = joined.split(END_OF_WORD)
        return " ".join(bytes(back[c] for c in w).decode(errors="replace") for w in words).strip()

    def __call__(self, texts: Sequence[str], length: int | None = None) -> Tokens:
        """Encode texts, truncated and padded to `length` tokens (default: `context`)."""
        return self.pad([self.encode(text) for text in texts], length)

    def pad(self, encoded: Sequence[list[int]], length: int | None = None) -> Tokens:
        """The ids of texts with start and end, truncated and padded to `length` tokens."""
        length = length or self.context
        ids = np.zeros((len(encoded), length), np.int64)
        lengths = np.zeros(len(encoded), np.int64)
        cut = []
        for row, tokens in enumerate(encoded):
            kept, lost = tokens[: length - 2], tokens[length - 2 :]
            whole = [self.vocabulary[START], *kept, self.vocabulary[END]]
            ids[row, : len(whole)] = whole
            lengths[row] = len(whole)
            cut.append(self.decode(lost) if lost else "")
        return Tokens(ids, lengths, tuple(cut))
