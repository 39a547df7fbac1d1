"""The judge on one data set: its vectors of names, training pictures and drawings."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from undiffuse.errors import UserError
from undiffuse.evaluation.dataset import (
    EvaluationData,
    Rows,
    is_fine_tuned,
    is_kept_out,
    is_training,
)
from undiffuse.evaluation.memorization import TrainingIndex
from undiffuse.evaluation.protocols import (
    Encoder,
    ImageGenerator,
    Pictures,
    Vectors,
    encode_batches,
)
from undiffuse.evaluation.style_probe import StyleProbe


@dataclass(frozen=True)
class Batch:
    """Prompts or names, their pictures `(B, 3, H, W)`, and the judge's vectors of these."""

    prompts: list[str]
    pictures: Pictures
    vectors: Vectors

    @classmethod
    def concatenate(cls, parts: Sequence["Batch"]) -> "Batch":
        return cls(
            [prompt for part in parts for prompt in part.prompts],
            np.concatenate([part.pictures for part in parts]),
            np.concatenate([part.vectors for part in parts]),
        )


@dataclass(frozen=True)
class Judge:
    """An encoder that never steers, and the data set it judges with. Vectors are cached."""

    encoder: Encoder
    data: EvaluationData

    def embed(self, prompts: Sequence[str], pictures: Pictures) -> Batch:
        """Pictures with the judge's vectors."""
        return Batch(list(prompts), pictures, encode_batches(self.encoder.encode_image, pictures))

    def generate(
        self, generator: ImageGenerator, prompts: Sequence[str], styles: Sequence[str], seed: int
    ) -> Batch:
        """Drawings of the generator, embedded."""
        return self.embed(prompts, generator(prompts, styles, seed))

    def real(self, rows: Rows) -> Batch:
        """Pictures of the data set, embedded."""
        return self.embed(self.data.column(rows, "name"), self.data.pictures.pictures[rows])

    @cached_property
    def name_vectors(self) -> Vectors:
        """`(names, 512)`, of all names in the data set."""
        return encode_batches(self.encoder.encode_text, self.data.names)

    @cached_property
    def training_rows(self) -> Rows:
        """All training pictures, composites included. Raises UserError if there is none."""
        rows = self.data.pictures.rows(
            lambda r: (is_training(r) or is_fine_tuned(r)) and not is_kept_out(r)
        )
        if not len(rows):
            raise UserError("the data set has no training picture: build it with undiffuse data")
        return rows

    @cached_property
    def training_index(self) -> TrainingIndex:
        """All training pictures, to search for copies."""
        pictures = self.data.pictures.pictures[self.training_rows]
        records = [self.data.pictures.records[row] for row in self.training_rows]
        concepts = [str(r.get("code", "") if r.get("composite") else r["concept"]) for r in records]
        return TrainingIndex.build(
            pictures, encode_batches(self.encoder.encode_image, pictures), concepts
        )

    def training_vectors(self, rows: Rows) -> Vectors:
        """The vectors of some training rows."""
        return self.training_index.vectors[np.searchsorted(self.training_rows, rows)]

    @cached_property
    def palette_probe(self) -> StyleProbe:
        """Predicts the style from the palette, fit to plain training pictures."""
        rows = self.data.trained_rows
        pictures = self.data.pictures.pictures[rows]
        return StyleProbe.fit_palettes(pictures, self.data.column(rows, "family"))

    @cached_property
    def vector_probe(self) -> StyleProbe:
        """Predicts the style from the judge's vector, fit to plain training pictures."""
        rows = self.data.trained_rows
        return StyleProbe.fit(self.training_vectors(rows), self.data.column(rows, "family"))
