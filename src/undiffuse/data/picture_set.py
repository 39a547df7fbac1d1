"""A captioned set in memory: pictures as bytes, records, and ways to draw from it evenly."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from undiffuse.data.captions import FactTable, words_of
from undiffuse.data.shards import Sample, find_shards, read_shards
from undiffuse.errors import UserError

Bytes = NDArray[np.uint8]
FIELDS = {"keywords": list} | dict.fromkeys(
    ("name", "family", "group", "subgroup", "tone", "concept", "colour", "split"), str
)


def on_white(rgba: Bytes) -> Bytes:
    """`(..., 4)` straight alpha over white -> `(..., 3)`."""
    colour, alpha = rgba[..., :3].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


@dataclass(frozen=True)
class PictureSet:
    """Pictures `(N, 3, 64, 64)` on white, their records and keys, in one order."""

    pictures: Bytes
    records: list[dict]
    keys: list[str]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "PictureSet":
        """From samples. Raises UserError when there are none or they differ in size."""
        if not samples:
            raise UserError("the data set holds no picture of the kind that is asked for")
        sides = {sample.picture.shape for sample in samples}
        if len(sides) > 1:
            raise UserError(f"the pictures differ in size: {sorted(sides)[:3]}")
        stack = np.stack([on_white(sample.picture) for sample in samples])
        return cls(
            np.ascontiguousarray(stack.transpose(0, 3, 1, 2)),
            [sample.record for sample in samples],
            [sample.key for sample in samples],
        )

    @classmethod
    def read(
        cls,
        folder: Path,
        keep: Callable[[dict], bool] = lambda record: True,
        on_bad: Callable[[str, str], None] | None = None,
    ) -> "PictureSet":
        """The samples in the folder's shards whose record is wanted.

        Raises UserError for a record that lacks what training asks of it, and as `read_shards`
        does: a bad sample is told to `on_bad` and skipped, too many of them are an error.
        """
        samples = []
        for sample in read_shards(find_shards(folder), on_bad=on_bad):
            lacks = [f for f, kind in FIELDS.items() if not isinstance(sample.record.get(f), kind)]
            if lacks:
                raise UserError(f"{folder}: the record of {sample.key} has no {lacks[0]!r} to use")
            if keep(sample.record):
                samples.append(sample)
        return cls.of(samples)

    @cached_property
    def digest(self) -> str:
        """16 hex digits that change with any picture, any record and their order."""
        digest = hashlib.sha256(json.dumps([self.keys, self.records], sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.pictures).data)
        return digest.hexdigest()[:16]

    def subset(self, rows: NDArray[np.int64]) -> "PictureSet":
        """Some of the rows, as a set of its own."""
        return PictureSet(
            self.pictures[rows], [self.records[i] for i in rows], [self.keys[i] for i in rows]
        )

    def rows(self, keep: Callable[[dict], bool]) -> NDArray[np.int64]:
        """The rows whose record is wanted."""
        return np.array([i for i, record in enumerate(self.records) if keep(record)], np.int64)

    @cached_property
    def facts(self) -> FactTable:
        return FactTable(self.records)


class EvenSampler:
    """Draws concepts evenly, then a picture of the concept: a family, and a tone half the time.

    Two thirds of the emoji are people in five skin tones; drawn as they come, they would be all
    that is learned. Flags count half.
    """

    def __init__(self, pictures: PictureSet, rows: NDArray[np.int64]) -> None:
        cells: dict[str, dict[str, dict[str, list[int]]]] = {}
        for row in rows:
            record = pictures.records[row]
            kind = "toned" if record["tone"] else "plain"
            families = cells.setdefault(record["concept"], {})
            families.setdefault(record["family"], {}).setdefault(kind, []).append(int(row))
        self.cells = [families for _, families in sorted(cells.items())]
        group = {pictures.records[row]["concept"]: pictures.records[row]["group"] for row in rows}
        weights = np.array([0.5 if group[name] == "flags" else 1.0 for name in sorted(cells)])
        self.cumulative = np.cumsum(weights / weights.sum())

    def draw(self, count: int, rng: Generator, each: int = 1) -> NDArray[np.int64]:
        """`count` rows: `count / each` concepts, each in up to `each` different families."""
        chosen = np.searchsorted(self.cumulative, rng.random(count // each))
        rows = []
        for index in np.minimum(chosen, len(self.cells) - 1):
            families = list(self.cells[index].values())
            order = rng.permutation(len(families))
            for place in range(each):
                kinds = families[order[place % len(families)]]
                plain = "plain" in kinds and ("toned" not in kinds or rng.random() < 0.5)
                bag = kinds["plain" if plain else "toned"]
                rows.append(bag[int(rng.integers(len(bag)))])
        return np.array(rows)


def difference_pairs(pictures: PictureSet) -> list[tuple[int, int, str]]:
    """(without, with, words): two pictures of one family and tone, one showing what the other
    shows and one or two words more: "man" and "man cook", "cat" and "cat with tears of joy".
    """
    by_set: dict[tuple[str, str], dict[frozenset[str], int]] = {}
    for row, record in enumerate(pictures.records):
        if record.get("composite") or record["group"] in ("flags", "symbols"):
            continue
        words = frozenset(words_of(record["name"]))
        by_set.setdefault((record["family"], record["tone"]), {})[words] = row
    pairs = []
    for rows in by_set.values():
        for words, row in rows.items():
            name = words_of(pictures.records[row]["name"])
            for less, other in rows.items():
                if less < words and less and len(words) - len(less) <= 2:
                    extra = " ".join(word for word in name if word not in less)
                    pairs.append((other, row, extra))
    return pairs


def composite_pairs(pictures: PictureSet) -> list[tuple[int, int, str]]:
    """(without, with, word) for composites that wear something."""
    where = {key: row for row, key in enumerate(pictures.keys)}
    return [
        (where[record["made_of"][0]], row, record["worn"])
        for row, record in enumerate(pictures.records)
        if record.get("composite") == "wearing" and record["made_of"][0] in where
    ]
