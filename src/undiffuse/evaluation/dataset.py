"""The pictures that evaluation needs: real, held-out and training pictures, with their names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.composites import ACCESSORIES, put_on, shows_head
from undiffuse.data.emoji_names import FLAGS
from undiffuse.data.picture_set import PictureSet, Rows, read_samples, to_rgb_chw
from undiffuse.data.shards import Sample
from undiffuse.data.split import HELD_OUT_CONCEPT, HELD_OUT_PAIR, TRAIN, unit_hash
from undiffuse.errors import UserError

FINE_TUNED, KEPT_OUT = "fine-tuned", "kept out"  # keys of a record


def is_plain(record: dict) -> bool:
    """Whether the picture is an emoji without skin tone, and neither a flag nor a composite."""
    return not (record["group"] == FLAGS or record["tone"] or record.get("composite"))


def is_training(record: dict) -> bool:
    """Whether CLIP and the denoiser are trained on the picture."""
    return bool(record["split"] == TRAIN)


def is_fine_tuned(record: dict) -> bool:
    """Whether the denoiser was fine-tuned on the picture, see `EvaluationData.also_trained_on`."""
    return bool(record.get(FINE_TUNED))


def is_kept_out(record: dict) -> bool:
    """Whether the fine-tuning held the picture out, see `EvaluationData.also_trained_on`."""
    return bool(record.get(KEPT_OUT))


@dataclass(frozen=True)
class EvaluationData:
    """A data set to evaluate with.

    `layers`: key -> picture with alpha, of accessories and of heads that are not trained on.
    """

    pictures: PictureSet
    layers: dict[str, Sample] = field(default_factory=dict)

    @classmethod
    def from_samples(cls, samples: Iterable[Sample]) -> "EvaluationData":
        """Keeps only the alpha of `layers`. Raises UserError as `PictureSet.from_samples` does."""
        layers: dict[str, Sample] = {}

        def collect_layers() -> Iterator[Sample]:
            for sample in samples:
                if _is_layer(sample.record):
                    layers[sample.key] = sample
                yield sample

        return cls(PictureSet.from_samples(collect_layers()), layers)

    @classmethod
    def read(cls, folder: Path) -> "EvaluationData":
        """From a folder of shards. Raises UserError for a bad sample."""
        return cls.from_samples(read_samples(folder))

    def also_trained_on(self, records: Iterable[dict]) -> "EvaluationData":
        """The data set of a model that was fine-tuned on other pictures: marks the emoji that those
        records train on, which are no held-out ones of the model, but still of the judge; and the
        emoji that they hold out.
        """
        found: dict[str, set[tuple[str, str]]] = {TRAIN: set(), HELD_OUT_PAIR: set()}
        for record in records:
            if record["split"] in found and not record.get("composite"):
                found[record["split"]].add((record["family"], record["name"]))
        own = []
        for record in self.pictures.records:
            key = record["family"], record["name"]
            marks = {FINE_TUNED: key in found[TRAIN], KEPT_OUT: key in found[HELD_OUT_PAIR]}
            own.append(record | (marks if not record.get("composite") else {}))
        return replace(self, pictures=replace(self.pictures, records=own))

    @cached_property
    def heads(self) -> list[Sample]:
        """The heads that are not trained on, with alpha."""
        return [s for s in self.layers.values() if s.record["concept"] not in ACCESSORIES]

    @cached_property
    def accessories(self) -> dict[tuple[str, str], Sample]:
        """(concept, style) -> accessory, with alpha."""
        layers = [s for s in self.layers.values() if s.record["concept"] in ACCESSORIES]
        return {(layer.record["concept"], layer.record["family"]): layer for layer in layers}

    @cached_property
    def names(self) -> list[str]:
        """The names of all plain emoji, among which retrieval searches."""
        return sorted({r["name"] for r in self.pictures.records if is_plain(r)})

    @cached_property
    def name_index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def plain_rows(self, *splits: str) -> Rows:
        """The plain emoji of some splits."""
        return self.pictures.rows(lambda record: is_plain(record) and record["split"] in splits)

    def name_targets(self, rows: Rows) -> list[tuple[int]]:
        """For each row the index in `names` of what it shows."""
        return [(self.name_index[name],) for name in self.column(rows, "name")]

    def column(self, rows: Rows, name: str) -> list[str]:
        """One field of the records of some rows."""
        return [self.pictures.records[row][name] for row in rows]

    @cached_property
    def trained_rows(self) -> Rows:
        """The plain emoji that are trained on and not kept out."""
        records, rows = self.pictures.records, self.plain_rows(TRAIN)
        return np.array([row for row in rows if not is_kept_out(records[row])], np.int64)

    @cached_property
    def new_rows(self) -> Rows:
        """The plain emoji that are in no training set at hand: those that the fine-tuning holds
        out, otherwise those that are held out of the training.
        """
        records = self.pictures.records
        kept = self.pictures.rows(lambda record: is_plain(record) and is_kept_out(record))
        held = self.plain_rows(HELD_OUT_PAIR, HELD_OUT_CONCEPT)
        return kept if len(kept) else held[[not is_fine_tuned(records[row]) for row in held]]

    def held_out_pairs(self, count: int) -> Rows:
        """One held-out (concept, style) pair per name, the first `count` by hash."""
        rows = self.plain_rows(HELD_OUT_PAIR)
        if not len(rows):
            raise UserError("the data set has no held-out pair: build it with undiffuse data emoji")
        by_name = dict(zip(self.column(rows, "name"), rows, strict=True))
        order = sorted(by_name, key=lambda name: unit_hash("judged name", name))
        return np.array([by_name[name] for name in order[:count]], np.int64)

    def training_row_by_name(self, salt: str) -> dict[str, int]:
        """Name -> a plain training picture of it, in a style chosen by hash."""
        keys = self.pictures.keys
        order = sorted(self.trained_rows, key=lambda row: unit_hash(salt, keys[row]))
        return {self.pictures.records[row]["name"]: int(row) for row in reversed(order)}


def read_table(name: str) -> list[list[str]]:
    """The rows of a text file of this package: cells between `|`, no comments."""
    lines = (files("undiffuse.evaluation") / name).read_text().splitlines()
    rows = [line for line in lines if line and not line.startswith("#")]
    return [[cell.strip() for cell in row.split("|")] for row in rows]


def dress(head: Sample, accessory: Sample) -> NDArray[np.uint8]:
    """`(3, H, W)` on white: a head that wears an accessory of its style."""
    _, width, bottom = ACCESSORIES[accessory.record["concept"]]
    return to_rgb_chw(put_on(head.picture, accessory.picture, width, bottom))


def _is_layer(record: dict) -> bool:
    held_out_head = not is_training(record) and shows_head(record)
    return is_plain(record) and (record["concept"] in ACCESSORIES or held_out_head)
