"""The judge over one data set: its vectors of names, of training pictures, and of drawings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from undiffuse.data.composites import noun
from undiffuse.errors import UserError
from undiffuse.evaluation.dataset import Material, Rows, was_trained
from undiffuse.evaluation.memorisation import Bank
from undiffuse.evaluation.protocols import (
    Encoder,
    Painter,
    Pictures,
    Vectors,
    encode_pictures,
    encode_texts,
)
from undiffuse.evaluation.style_probe import FamilyProbe


@dataclass(frozen=True)
class Drawings:
    """What was asked, the pictures `(B, 3, 64, 64)`, and the judge's vectors of them."""

    prompts: list[str]
    pictures: Pictures
    vectors: Vectors

    @classmethod
    def join(cls, parts: Sequence["Drawings"]) -> "Drawings":
        """One after the other."""
        return cls(
            [prompt for part in parts for prompt in part.prompts],
            np.concatenate([part.pictures for part in parts]),
            np.concatenate([part.vectors for part in parts]),
        )


@dataclass(frozen=True)
class Judge:
    """An encoder that never steers, and the data set it judges by. Each part is computed once."""

    encoder: Encoder
    material: Material
    coloured: dict[str, Vectors] = field(default_factory=dict, compare=False)

    def look(self, prompts: Sequence[str], pictures: Pictures) -> Drawings:
        """Pictures with the judge's vectors of them."""
        return Drawings(list(prompts), pictures, encode_pictures(self.encoder, pictures))

    def draw(
        self, painter: Painter, prompts: Sequence[str], styles: Sequence[str], seed: int
    ) -> Drawings:
        """What the painter draws, looked at."""
        return self.look(prompts, painter(prompts, styles, seed))

    def real(self, rows: Rows) -> Drawings:
        """Pictures of the data set."""
        names = self.material.field(rows, "name")
        return self.look(names, self.material.pictures.pictures[rows])

    @cached_property
    def names(self) -> Vectors:
        """`(names, 512)`: the texts that a picture is told apart from."""
        return encode_texts(self.encoder, self.material.names)

    def names_in(self, colour: str) -> Vectors:
        """`(names, 512)`: every name as a thing of that colour."""
        if colour not in self.coloured:
            texts = [f"{colour} {noun(name)}" for name in self.material.names]
            self.coloured[colour] = encode_texts(self.encoder, texts)
        return self.coloured[colour]

    @cached_property
    def trained(self) -> Rows:
        """The rows of all training pictures, composites too. UserError where there is none."""
        rows = self.material.rows(was_trained)
        if not len(rows):
            raise UserError("the data set has no training picture: build it with undiffuse data")
        return rows

    @cached_property
    def bank(self) -> Bank:
        """Every training picture, to look copies up in."""
        pictures = self.material.pictures.pictures[self.trained]
        shows = [_shown(self.material.pictures.records[row]) for row in self.trained]
        return Bank.of(pictures, encode_pictures(self.encoder, pictures), shows)

    @cached_property
    def family(self) -> FamilyProbe:
        """Tells families apart by their palettes, learned from plain training pictures."""
        rows = self.material.plain_rows("train")
        pictures = self.material.pictures.pictures[rows]
        return FamilyProbe.of_palettes(pictures, self.material.field(rows, "family"))

    @cached_property
    def family_by_vector(self) -> FamilyProbe:
        """The same by the judge's vectors."""
        rows = self.material.plain_rows("train")
        return FamilyProbe.fit(self.known(rows), self.material.field(rows, "family"))

    def known(self, rows: Rows) -> Vectors:
        """The vectors of some training rows, without encoding them again."""
        return self.bank.vectors[np.searchsorted(self.trained, rows)]


def _shown(record: dict) -> str:
    """The emoji that a picture shows, or that a composite is first made of."""
    return str(record.get("code", "") if record.get("composite") else record["concept"])
