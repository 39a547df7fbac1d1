"""The lexicon: a table from words and phrases to the names that a model can draw.

It is not trained. `undiffuse data lexicon` builds it from WordNet, Unicode's names and keywords in
many languages, and emojilib. The file lies beside the weights as `lexicon.safetensors`; its parts
are read when they are first used, a block of some hundred words at a time.
"""

import json
import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from undiffuse.errors import UserError

FILE = "lexicon.safetensors"
FORMAT = 2  # 1 has no candidates for colors
BLOCK = 1 << 14  # bytes of text that are compressed together
MAX_PART = 1 << 24  # bytes of text in a part
# A letter in the file for each reason of a candidate.
REASONS = {
    "n": "name", "s": "synonym", "o": "kind of", "e": "example", "k": "keyword", "p": "part",
    "r": "related", "w": "translation", "c": "color", "f": "function word",
}  # fmt: skip
RARE = "-"  # before the entry of a rare English word
COLOR, FUNCTION = "color", "function word"
NAMED = ("name", "translation", COLOR)
STRONG = (*NAMED, FUNCTION)  # reasons that make a word one of its language


@dataclass(frozen=True)
class Candidate:
    """A text that a word may be read as, the reason (see `REASONS`), and the word's language."""

    text: str
    reason: str
    language: str = "en"


class Lexicon:
    """A lexicon file. Every part is read when it is first needed.

    UserError, also later, for a file that is missing, broken or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _opened(self) -> tuple[Any, dict[str, str]]:
        try:
            file = safe_open(self.path, framework="np")
            meta = json.loads((file.metadata() or {})["undiffuse"])
            version, languages = int(meta["format"]), dict(meta["languages"])
        except FileNotFoundError as error:
            raise UserError(f"there is no lexicon {self.path}") from error
        except (SafetensorError, LookupError, TypeError, ValueError, OSError) as error:
            raise UserError(f"{self.path} is no lexicon of undiffuse, or is broken") from error
        if version > FORMAT:
            raise UserError(
                f"{self.path} has format {version}; this version of undiffuse reads {FORMAT}"
            )
        return file, languages

    @property
    def languages(self) -> dict[str, str]:
        """Code -> name of the languages besides English, the most common first."""
        return self._opened[1]

    def _bytes(self, name: str) -> bytes:
        file, _ = self._opened
        try:
            tensor = file.get_tensor(name)
            if tensor.dtype != np.uint8:
                raise ValueError("it holds no bytes")
            return bytes(tensor.data)
        except (SafetensorError, AttributeError, ValueError) as error:
            raise UserError(f"{self.path} is broken: part {name!r} can't be read") from error

    def _lines(self, name: str) -> list[str]:
        return self._text(self._bytes(name)).split("\n")

    def _text(self, data: bytes) -> str:
        unpack = zlib.decompressobj()
        try:
            text = unpack.decompress(data, MAX_PART)
            if not unpack.eof:
                raise ValueError("too long or cut off")
            return text.decode()
        except (zlib.error, ValueError) as error:
            raise UserError(f"{self.path} is broken: {error}") from error

    @cached_property
    def known(self) -> frozenset[str]:
        """Every word of the captions that the model was trained on."""
        return frozenset(self._lines("known"))

    @cached_property
    def names(self) -> list[str]:
        """The names that the model was trained to draw."""
        return self._lines("names")

    @cached_property
    def named(self) -> frozenset[str]:
        """The words of the names."""
        return frozenset(word for name in self.names for word in name.split())

    @cached_property
    def common(self) -> list[str]:
        """Common words that are not known but have a candidate, for spelling correction."""
        return self._lines("common")

    @cached_property
    def _targets(self) -> list[str]:
        return self._lines("targets")

    @cached_property
    def _tables(self) -> "dict[str, _Table]":
        return {name: _Table(self, name) for name in ("english", "languages")}

    def is_english(self, word: str) -> bool:
        """Whether a word is known or in the English dictionary."""
        return word in self.known or self._entry(word) is not None

    def is_rare(self, word: str) -> bool:
        """Whether a word is English, but neither known nor common."""
        return word not in self.known and (self._entry(word) or "")[:1] == RARE

    def english(self, phrase: str) -> list[Candidate]:
        """The candidates of an English word or phrase, best first."""
        entry = (self._entry(phrase) or "").removeprefix(RARE)
        return self._candidates(entry, "en") if entry else []

    def _entry(self, word: str) -> str | None:
        return self._tables["english"].find(word)

    def other_languages(self, phrase: str) -> dict[str, list[Candidate]]:
        """Language -> the candidates of a word or phrase of that language, best first."""
        entry = self._tables["languages"].find(phrase)
        found = {}
        for part in entry.split("|") if entry else ():
            languages, _, candidates = part.partition(" ")
            for language in languages.split(","):
                found[language] = self._candidates(candidates, language)
        return found

    def inflected(self, word: str, shared: int, changed: int) -> list[str]:
        """Words of other languages that differ from `word` in at most `changed` letters at the end,
        and share at least `shared` letters at its beginning."""
        return [
            other
            for other in self._tables["languages"].around(word[:shared])
            if other.startswith(word[: max(shared, len(word) - changed)])
            and abs(len(other) - len(word)) <= changed
        ]

    def _candidates(self, entry: str, language: str) -> list[Candidate]:
        try:
            return [
                Candidate(self._targets[int(item[1:])], REASONS[item[0]], language)
                for item in entry.split(" ")
            ]
        except (LookupError, ValueError) as error:
            raise UserError(f"{self.path} is broken: entry {entry[:40]!r}") from error


class _Table:
    """A sorted table in compressed blocks: the tensors NAME, NAME.ends and NAME.first."""

    def __init__(self, lexicon: Lexicon, name: str) -> None:
        self._lexicon = lexicon
        self._data = lexicon._bytes(name)
        ends = lexicon._bytes(f"{name}.ends")
        self._ends = np.frombuffer(ends[: len(ends) // 4 * 4], "<u4").tolist()
        self._first = lexicon._lines(f"{name}.first") if ends else []
        if len(self._ends) != len(self._first) or len(ends) % 4:
            raise UserError(f"{lexicon.path} is broken: table {name!r} has no index")
        self._block = lru_cache(maxsize=None)(self._read_block)

    def find(self, key: str) -> str | None:
        """The entry of a key, "" for a key without one, None for an unknown key."""
        index = bisect_right(self._first, key) - 1
        return self._block(index).get(key) if index >= 0 else None

    def around(self, prefix: str) -> list[str]:
        """The keys that begin with a prefix."""
        found: list[str] = []
        for index in range(max(bisect_right(self._first, prefix) - 1, 0), len(self._first)):
            if self._first[index] > prefix and not self._first[index].startswith(prefix):
                break
            found += [key for key in self._block(index) if key.startswith(prefix)]
        return found

    def _read_block(self, index: int) -> dict[str, str]:
        start = self._ends[index - 1] if index else 0
        lines = self._lexicon._text(self._data[start : self._ends[index]]).split("\n")
        return {key: entry for key, _, entry in (line.partition("\t") for line in lines)}


def pack_lexicon(
    known: Iterable[str],
    names: Iterable[str],
    common: Iterable[str],
    english: Mapping[str, Sequence[Candidate]],
    languages: Mapping[str, Mapping[str, Sequence[Candidate]]],
    rare: Collection[str],
) -> dict[str, NDArray[np.uint8]]:
    """The tensors of a lexicon file.

    english: word or phrase -> its candidates, none for a word that is only in the dictionary.
    languages: word or phrase -> language -> its candidates. rare: the English words that are not
    common; a word of another language that is spelled the same is likelier meant.
    """
    used = [one for found in english.values() for one in found]
    used += [one for by in languages.values() for found in by.values() for one in found]
    counts: dict[str, int] = {}
    for one in used:
        counts[one.text] = counts.get(one.text, 0) + 1
    targets = sorted(counts, key=lambda text: (-counts[text], text))
    number = {text: i for i, text in enumerate(targets)}
    letter = {reason: key for key, reason in REASONS.items()}

    def entry(found: Sequence[Candidate]) -> str:
        return " ".join(f"{letter[one.reason]}{number[one.text]}" for one in found)

    tensors = {
        "known": _pack(sorted(set(known))),
        "names": _pack(sorted(set(names))),
        "common": _pack(sorted(set(common))),
        "targets": _pack(targets),
    }
    marked = {key: RARE * (key in rare) + entry(found) for key, found in english.items()}
    tensors |= _pack_table("english", marked)
    merged = {}
    for key, by_language in languages.items():
        same: dict[str, list[str]] = {}
        for language, found in sorted(by_language.items()):
            same.setdefault(entry(found), []).append(language)
        merged[key] = "|".join(f"{','.join(codes)} {found}" for found, codes in same.items())
    return tensors | _pack_table("languages", merged)


def _pack(lines: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.compress("\n".join(lines).encode(), 9), np.uint8)


def _pack_table(name: str, table: Mapping[str, str]) -> dict[str, NDArray[np.uint8]]:
    blocks: list[list[str]] = []
    size = BLOCK
    for key in sorted(table):
        line = f"{key}\t{table[key]}" if table[key] else key
        if size >= BLOCK:
            blocks.append([])
            size = 0
        blocks[-1].append(line)
        size += len(line.encode()) + 1
    packed = [_pack(lines) for lines in blocks]
    ends = np.cumsum([len(block) for block in packed], dtype="<u4")
    return {
        name: np.concatenate([np.zeros(0, np.uint8), *packed]),
        f"{name}.ends": np.frombuffer(ends.tobytes(), np.uint8),
        f"{name}.first": _pack([lines[0].partition("\t")[0] for lines in blocks]),
    }
