"""Byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909), as CLIP has it: lower case, words that
end in "</w>", vocabulary and merges in the files that Hugging Face's libraries write and read.
"""

import json
import re
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class Tokens:
    """Ids `(B, context)` padded with zeros, lengths `(B,)`, and what was cut off each text."""

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    cut: tuple[str, ...]


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids. `context` is the longest sequence, start and end included."""

    vocabulary: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    context: int

    @classmethod
    def from_json(cls, text: str, context: int) -> "Tokenizer":
        """From `to_json`'s text. Raises UserError when it is not that."""
        try:
            data = json.loads(text)
            merges = [(str(first), str(second)) for first, second in data["merges"]]
            vocabulary = {str(token): int(number) for token, number in data["vocabulary"].items()}
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise UserError(f"the tokenizer's vocabulary can't be read: {error}") from error
        letters = [letter + end for letter in byte_letters().values() for end in ("", END_OF_WORD)]
        for token in (START, END, *letters, *(first + second for first, second in merges)):
            if token not in vocabulary:
                raise UserError(f"the tokenizer's vocabulary lacks {token!r}")
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise UserError("the tokenizer's vocabulary does not number its tokens from 0")
        return cls(vocabulary, merges, context)

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
        return [i for piece in PIECES.findall(normalise(text)) for i in self._word_ids(piece)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, white space as it was normalised."""
        by_id = {number: token for token, number in self.vocabulary.items()}
        back = {letter: byte for byte, letter in byte_letters().items()}
        joined = "".join(by_id[i] for i in ids if by_id[i] not in (START, END))
        words = joined.split(END_OF_WORD)
        return " ".join(bytes(back[c] for c in w).decode(errors="replace") for w in words).strip()

    def __call__(self, texts: Sequence[str], length: int | None = None) -> Tokens:
        """Encode texts, cut to `length` (the whole context by default) and padded with zeros."""
        length = length or self.context
        ids = np.zeros((len(texts), length), np.int64)
        lengths = np.zeros(len(texts), np.int64)
        cut = []
        for row, text in enumerate(texts):
            tokens = self.encode(text)
            kept, lost = tokens[: length - 2], tokens[length - 2 :]
            whole = [self.vocabulary[START], *kept, self.vocabulary[END]]
            ids[row, : len(whole)] = whole
            lengths[row] = len(whole)
            cut.append(self.decode(lost) if lost else "")
        return Tokens(ids, lengths, tuple(cut))
