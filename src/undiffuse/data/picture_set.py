"""A captioned data set in memory: pictures, records, balanced sampling, and pairs of pictures."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from undiffuse.data.captions import CaptionMatcher, content_words
from undiffuse.data.shards import Sample, find_shards, read_shards
from undiffuse.errors import UserError
from undiffuse.imaging.png import composite_on_white

MAX_NAME_WORDS = 16  # a longer caption has no pairs
Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]
# Field -> type. `concept`: what is shown, without skin tone; `family`: the style.
RECORD_FIELDS = {"keywords": list} | dict.fromkeys(
    ("name", "family", "group", "subgroup", "tone", "concept", "colour", "split"), str
)


def to_rgb_chw(rgba: Bytes) -> Bytes:
    """`(H, W, 4)` with straight alpha -> `(3, H, W)` on a white background."""
    return np.ascontiguousarray(composite_on_white(rgba).transpose(2, 0, 1))


def read_samples(
    folder: Path, on_bad: Callable[[str, str], None] | None = None
) -> Iterator[Sample]:
    """The samples in a folder's shards, their records checked.

    Raises UserError for a record that lacks a field of `RECORD_FIELDS`, and as `read_shards` does.
    """
    for sample in read_shards(find_shards(folder), on_bad=on_bad):
        for field, kind in RECORD_FIELDS.items():
            if not isinstance(sample.record.get(field), kind):
                raise UserError(f"{folder}: the record of {sample.key} has no {field!r} to use")
        yield sample


class LazyRows:
    """Some rows of a memory-mapped array, read when they are asked for: all of them may be larger
    than the memory. `lazy[i]` is an array, as of `array[rows]`.
    """

    def __init__(self, array: Bytes, rows: Rows) -> None:
        self.array, self.rows = array, rows
        self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * array.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Bytes:
        if isinstance(index, tuple):
            raise TypeError("index the rows alone")
        found: Bytes = self.array[self.rows[index]]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Bytes:
        return np.asarray(self[:], dtype)


@dataclass(frozen=True)
class PictureSet:
    """Pictures `(N, C, H, W)` uint8, RGB on white or premultiplied RGBA, with their records and
    keys in the same order. The pictures may be memory-mapped.
    """

    pictures: Bytes
    records: list[dict]
    keys: list[str]

    @classmethod
    def from_samples(cls, samples: Iterable[Sample]) -> "PictureSet":
        """Raises UserError if there is no sample, or if the pictures differ in size."""
        pictures, records, keys = list[Bytes](), list[dict](), list[str]()
        for sample in samples:
            pictures.append(to_rgb_chw(sample.picture))
            records.append(sample.record)
            keys.append(sample.key)
            if pictures[-1].shape != pictures[0].shape:
                height, width = pictures[-1].shape[1:]
                raise UserError(f"{sample.key} is {width}x{height}: the pictures differ in size")
        if not pictures:
            raise UserError("the data set holds no picture of the requested kind")
        return cls(np.stack(pictures), records, keys)

    @classmethod
    def read(
        cls,
        folder: Path,
        keep: Callable[[dict], bool] = lambda record: True,
        on_bad: Callable[[str, str], None] | None = None,
    ) -> "PictureSet":
        """The samples in a folder's shards for whose record `keep` is true.

        Raises UserError as `read_samples` does. With `on_bad`, bad samples are reported to it and
        skipped, unless there are too many.
        """
        return cls.from_samples(s for s in read_samples(folder, on_bad) if keep(s.record))

    @cached_property
    def digest(self) -> str:
        """16 hex digits that change with any picture, any record, and their order."""
        digest = hashlib.sha256(json.dumps([self.keys, self.records], sort_keys=True).encode())
        for start in range(0, len(self.pictures), 256):
            digest.update(np.ascontiguousarray(self.pictures[start : start + 256]).data)
        return digest.hexdigest()[:16]

    def subset(self, rows: Rows) -> "PictureSet":
        """A set of the given rows."""
        pictures: Any = self.pictures
        if isinstance(pictures, LazyRows):
            pictures = LazyRows(pictures.array, pictures.rows[rows])
        elif isinstance(pictures, np.memmap):
            pictures = LazyRows(pictures, rows)
        else:
            pictures = pictures[rows]
        return PictureSet(pictures, [self.records[i] for i in rows], [self.keys[i] for i in rows])

    def rows(self, keep: Callable[[dict], bool]) -> Rows:
        """The rows for whose record `keep` is true."""
        return np.array([i for i, record in enumerate(self.records) if keep(record)], np.int64)

    @cached_property
    def caption_matcher(self) -> CaptionMatcher:
        return CaptionMatcher(self.records)


class BalancedSampler:
    """Samples a concept, then a style of it, then with or without skin tone.

    Emoji concepts are equally frequent, but flags half as frequent: two thirds of the emoji are
    people in five skin tones, and without balancing, training would see little else. Of captioned
    pictures, whose concept is the caption, each picture is equally frequent: a caption of a hundred
    pictures must not be as rare as one of a single picture.
    """

    def __init__(self, pictures: PictureSet, rows: Rows) -> None:
        concepts: dict[str, dict[str, dict[bool, list[int]]]] = {}
        for row in rows:
            record = pictures.records[row]
            by_tone = concepts.setdefault(record["concept"], {}).setdefault(record["family"], {})
            by_tone.setdefault(bool(record["tone"]), []).append(int(row))
        self.concepts = [styles for _, styles in sorted(concepts.items())]
        weights = dict.fromkeys(sorted(concepts), 0.0)
        for row in rows:
            record = pictures.records[row]
            if "captions" in record:
                weights[record["concept"]] += 1.0
            else:
                weights[record["concept"]] = 0.5 if record["group"] == "flags" else 1.0
        shares = np.array(list(weights.values()))
        self.cumulative = np.cumsum(shares / shares.sum())

    def draw(self, count: int, rng: Generator, styles: int = 1) -> Rows:
        """`count` rows: `count / styles` concepts, each in up to `styles` different styles."""
        chosen = np.searchsorted(self.cumulative, rng.random(count // styles))
        rows = []
        for index in np.minimum(chosen, len(self.concepts) - 1):
            have = list(self.concepts[index].values())
            order = rng.permutation(len(have))
            for k in range(styles):
                by_tone = have[order[k % len(have)]]
                plain = False in by_tone and (True not in by_tone or rng.random() < 0.5)
                candidates = by_tone[not plain]
                rows.append(candidates[int(rng.integers(len(candidates)))])
        return np.array(rows)


def difference_pairs(pictures: PictureSet) -> list[tuple[int, int, str]]:
    """(row without, row with, words): pairs of one style and tone whose names differ by one or two
    added words: "man" and "man cook", "cat" and "cat with tears of joy".
    """
    by_style: dict[tuple[str, str], dict[frozenset[str], int]] = {}
    for row, record in enumerate(pictures.records):
        if not record.get("composite") and record["group"] not in ("flags", "symbols"):
            words = frozenset(content_words(record["name"]))
            by_style.setdefault((record["family"], record["tone"]), {})[words] = row
    pairs = []
    for rows in by_style.values():
        order = {words: place for place, words in enumerate(rows)}
        for words, row in rows.items():
            name = content_words(pictures.records[row]["name"])
            # Looked up and not compared with every other name: there may be a million.
            fewer = {
                words.difference(gone)
                for n in (1, 2)
                for gone in combinations(words if len(words) <= MAX_NAME_WORDS else (), n)
            }
            for less in sorted(fewer & order.keys(), key=order.__getitem__):
                if less:
                    added = " ".join(word for word in name if word not in less)
                    pairs.append((rows[less], row, added))
    return pairs


def accessory_pairs(pictures: PictureSet) -> list[tuple[int, int, str]]:
    """(row without, row with, word) of the composites that wear an accessory."""
    row_of = {key: row for row, key in enumerate(pictures.keys)}
    return [
        (row_of[record["made_of"][0]], row, record["worn"])
        for row, record in enumerate(pictures.records)
        if record.get("composite") == "wearing" and record["made_of"][0] in row_of
    ]
