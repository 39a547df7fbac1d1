"""The pictures that judging needs: which are real and never trained on, and how they are called."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.composites import WORN, is_head
from undiffuse.data.emoji_names import FLAGS
from undiffuse.data.picture_set import FIELDS, PictureSet, on_white
from undiffuse.data.shards import Sample, find_shards, read_shards
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError

Rows = NDArray[np.int64]
CELL, CONCEPT, EVALUATION = "held-out cell", "held-out concept", "evaluation"


def is_plain(record: dict) -> bool:
    """An emoji as it is: no flag, no skin tone, no composite."""
    return not (record["group"] == FLAGS or record["tone"] or record.get("composite"))


def was_trained(record: dict) -> bool:
    """Whether any CLIP or denoiser of the recipe has seen the picture."""
    return bool(record["split"] == "train")


@dataclass(frozen=True)
class Material:
    """A data set to judge with. `layers`: transparent pictures by key, of heads that were never
    trained on and of what can be worn.
    """

    pictures: PictureSet
    layers: dict[str, Sample] = field(default_factory=dict)

    @classmethod
    def of(cls, pictures: list[Sample]) -> "Material":
        """From samples, composites among them."""
        layers = {sample.key: sample for sample in pictures if _is_layer(sample.record)}
        return cls(PictureSet.of(pictures), layers)

    @classmethod
    def read(cls, folder: Path) -> "Material":
        """From a folder of shards, without holding every transparent picture in memory.

        Raises UserError for a bad sample: what is judged must be what was meant to be.
        """
        flat: list[NDArray[np.uint8]] = []
        records, keys, layers = list[dict](), list[str](), dict[str, Sample]()
        for sample in read_shards(find_shards(folder)):
            lacks = [f for f, kind in FIELDS.items() if not isinstance(sample.record.get(f), kind)]
            if lacks:
                raise UserError(f"{folder}: the record of {sample.key} has no {lacks[0]!r} to use")
            if flat and sample.picture.shape[:2] != flat[0].shape[1:]:
                raise UserError(f"{sample.key}: the pictures of {folder} differ in size")
            flat.append(np.ascontiguousarray(on_white(sample.picture).transpose(2, 0, 1)))
            records.append(sample.record)
            keys.append(sample.key)
            if _is_layer(sample.record):
                layers[sample.key] = sample
        return cls(PictureSet(np.stack(flat), records, keys), layers)

    @cached_property
    def names(self) -> list[str]:
        """Every unflagged, untoned name: what a picture is told apart from."""
        return sorted({r["name"] for r in self.pictures.records if is_plain(r)})

    @cached_property
    def name_index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def rows(self, keep: Callable[[dict], bool]) -> Rows:
        """The rows whose record is wanted."""
        return self.pictures.rows(keep)

    def plain_rows(self, *splits: str) -> Rows:
        """The plain emoji of some splits."""
        return self.rows(lambda record: is_plain(record) and record["split"] in splits)

    def right_names(self, rows: Rows) -> list[tuple[int]]:
        """The index in `names` of what each row shows."""
        return [(self.name_index[self.pictures.records[row]["name"]],) for row in rows]

    def field(self, rows: Rows, name: str) -> list[str]:
        """One field of the records of some rows."""
        return [self.pictures.records[row][name] for row in rows]

    def cells(self, count: int) -> Rows:
        """The first `count` held-out cells by hash, plain emoji, one for each name."""
        by_name = {self.pictures.records[row]["name"]: row for row in self.plain_rows(CELL)}
        if not by_name:
            raise UserError("the data set has no held-out cell: build it with undiffuse data emoji")
        order = sorted(by_name, key=lambda name: unit_hash("judged name", name))
        return np.array([by_name[name] for name in order[:count]], np.int64)


def _is_layer(record: dict) -> bool:
    if not is_plain(record):
        return False
    return record["concept"] in WORN or (not was_trained(record) and is_head(record))
