"""The whole examination of a model: what it draws, what the judge and the programs say of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError
from undiffuse.evaluation import edges
from undiffuse.evaluation.kid import kid_figure
from undiffuse.evaluation.material import CELL, CONCEPT, Material, Rows, is_plain, was_trained
from undiffuse.evaluation.memorisation import Bank, CopyTest, Nearest
from undiffuse.evaluation.probes import (
    ColourPair,
    colour_pairs,
    recoloured,
    shows_hue,
    shows_noun,
)
from undiffuse.evaluation.protocols import (
    Encoder,
    Painter,
    Pictures,
    Scores,
    Vectors,
    encode_pictures,
    encode_texts,
)
from undiffuse.evaluation.retrieval import FamilyProbe, ranks
from undiffuse.evaluation.sheet import neighbour_sheet
from undiffuse.evaluation.statistics import Figure, mean_figure, ratio_figure, share

COLOUR_SEEDS = 4  # drawings of each asked colour
SHEET_NEAREST, SHEET_OTHERS = 18, 18


@dataclass(frozen=True)
class Drawings:
    """What was asked, what was drawn `(B, 3, 64, 64)`, and the judge's vectors of it."""

    prompts: list[str]
    pictures: Pictures
    vectors: Vectors


@dataclass(frozen=True)
class Judge:
    """The judge over one data set: what it says of names, of training pictures, of families."""

    encoder: Encoder
    material: Material

    @cached_property
    def names(self) -> Vectors:
        return encode_texts(self.encoder, self.material.names)

    @cached_property
    def trained(self) -> Rows:
        return self.material.rows(was_trained)

    @cached_property
    def bank(self) -> Bank:
        if not len(self.trained):
            raise UserError("the data set has no training picture: build it with undiffuse data")
        pictures = self.material.pictures.pictures[self.trained]
        shows = [_shown(self.material.pictures.records[row]) for row in self.trained]
        return Bank.of(pictures, encode_pictures(self.encoder, pictures), shows)

    @cached_property
    def family(self) -> FamilyProbe:
        records = self.material.pictures.records
        plain = np.array([is_plain(records[row]) for row in self.trained])
        families = self.material.field(self.trained[plain], "family")
        return FamilyProbe.fit(self.bank.vectors[plain], families)

    def look(self, pictures: Pictures) -> Vectors:
        return encode_pictures(self.encoder, pictures)


def _shown(record: dict) -> str:
    """The emoji that a picture shows, or that a composite is first made of."""
    return str(record["code"] if record.get("composite") else record["concept"])


class Examination:
    """Draws what is needed, once, and yields figures. `cells`: the rows whose names are asked."""

    def __init__(
        self,
        material: Material,
        judge: Encoder,
        painter: Painter,
        count: int = 500,
        seed: int = 0,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.material, self.painter, self.seed, self.say = material, painter, seed, say
        self.judge = Judge(judge, material)
        self.cells = material.cells(count)
        self.prompts = material.field(self.cells, "name")
        self.families = material.field(self.cells, "family")
        self.right = material.right_names(self.cells)

    def figures(self) -> Iterator[Figure]:
        """Every figure that does not need a clock, in the order of the report."""
        yield from self.name_figures()
        yield from self.cell_figures()
        yield from self.colour_figures()
        yield from self.edge_figures()
        yield self.distance_figure()
        yield from self.copy_figures()

    def draw(self, prompts: Sequence[str], styles: Sequence[str], seed: int) -> Drawings:
        pictures = self.painter(prompts, styles, seed)
        return Drawings(list(prompts), pictures, self.judge.look(pictures))

    @cached_property
    def bare(self) -> Drawings:
        """Each name, no style asked."""
        self.say(f"drawing {len(self.prompts)} names")
        return self.draw(self.prompts, [""] * len(self.prompts), self.seed)

    @cached_property
    def styled(self) -> Drawings:
        """Each held-out cell: the name in the style it was never trained in."""
        self.say(f"drawing {len(self.prompts)} held-out cells")
        return self.draw(self.prompts, self.families, self.seed)

    @cached_property
    def real(self) -> Drawings:
        """The true pictures of the held-out cells."""
        pictures = self.material.pictures.pictures[self.cells]
        return Drawings(self.prompts, pictures, self.judge.look(pictures))

    @cached_property
    def pairs(self) -> list[ColourPair]:
        return colour_pairs(self.material)

    @cached_property
    def coloured(self) -> Drawings:
        """Each colour and thing, once per seed: the pairs of one seed after those of another."""
        prompts = [pair.prompt for pair in self.pairs]
        self.say(f"drawing {len(prompts)} coloured things, {COLOUR_SEEDS} times each")
        runs = [
            self.draw(prompts, [""] * len(prompts), self.seed + i) for i in range(COLOUR_SEEDS)
        ]
        return Drawings(
            prompts * COLOUR_SEEDS,
            np.concatenate([run.pictures for run in runs]),
            np.concatenate([run.vectors for run in runs]),
        )

    def name_figures(self) -> Iterator[Figure]:
        """R-precision of bare prompts, beside the judge's on real held-out pictures."""
        drawn = ranks(self.bare.vectors, self.judge.names, self.right)
        real = ranks(self.real.vectors, self.judge.names, self.right)
        note = f"among {len(self.material.names)} names"
        for first in (1, 5):
            target, ceiling = (0.85, 0.70) if first == 5 else (None, None)
            hits, bound = drawn < first, real < first
            title = f"R-precision@{first}"
            yield mean_figure(title, hits, self.seed, real=share(bound), note=note)
            yield ratio_figure(
                f"{title}, as a share of real", hits, bound, self.seed, at_least=target
            )
            yield mean_figure(
                f"{title}, real held-out pictures", bound, self.seed, at_least=ceiling
            )

    def cell_figures(self) -> Iterator[Figure]:
        """The same for held-out cells; a find counts where the family is right too."""
        family = self.judge.family
        drawn_in = family.right(self.styled.vectors, self.families)
        real_in = family.right(self.real.vectors, self.families)
        drawn = ranks(self.styled.vectors, self.judge.names, self.right)
        real = ranks(self.real.vectors, self.judge.names, self.right)
        for first in (1, 5):
            hits, bound = (drawn < first) & drawn_in, (real < first) & real_in
            title = f"held-out cells@{first}, family right"
            yield mean_figure(title, hits, self.seed, real=share(bound))
            target = 0.60 if first == 5 else None
            yield ratio_figure(
                f"{title}, as a share of real", hits, bound, self.seed, at_least=target
            )
        yield mean_figure(
            "family right, held-out cells", drawn_in, self.seed, real=share(real_in),
            note=f"of {len(family.families)}, linear probe on the judge's picture vectors",
        )  # fmt: skip

    def colour_figures(self) -> Iterator[Figure]:
        """Asked colours, known and in no caption: hue and thing, and each alone."""
        if not self.pairs:
            return
        scores = self._colour_scores(self.coloured)
        pictures = np.stack(list(recoloured(self.material, self.pairs)))
        prompts = [pair.prompt for pair in self.pairs]
        real = self._colour_scores(Drawings(prompts, pictures, self.judge.look(pictures)))
        for known, title, target in (
            (True, "asked colour, known pairs", 0.80),
            (False, "asked colour, pairs in no caption", 0.60),
        ):
            chosen = np.array([pair.known == known for pair in self.pairs])
            if not chosen.any():
                continue
            note = f"{COLOUR_SEEDS} drawings each; real: recoloured by program"
            for part, bound in (("", target), (", hue alone", None), (", thing alone", None)):
                yield mean_figure(
                    title + part, scores[part][chosen], self.seed,
                    real=float(real[part][chosen].mean()), at_least=bound, note=note,
                )  # fmt: skip

    def _colour_scores(self, drawn: Drawings) -> dict[str, Scores]:
        """For each pair the share of its drawings that have the hue, the thing, both ("")."""
        times = len(drawn.prompts) // len(self.pairs)
        hue = shows_hue(drawn.pictures, [pair.colour for pair in self.pairs] * times)
        thing = shows_noun(
            drawn.vectors, self.material.names, self.judge.names,
            [pair.noun for pair in self.pairs] * times,
        )  # fmt: skip
        parts = {"": hue & thing, ", hue alone": hue, ", thing alone": thing}
        return {name: hits.reshape(times, -1).mean(0) for name, hits in parts.items()}

    def edge_figures(self) -> Iterator[Figure]:
        """Sharpness and white grounds of held-out cells beside their true pictures."""
        drawn, real = self.styled.pictures, self.real.pictures
        band = {"at_least": 0.75, "at_most": 1.25}
        for title, measure in (
            ("sharpness of edges, as a share of real", edges.edge_sharpness),
            ("variance of the Laplacian, as a share of real", edges.laplacian_energy),
        ):
            yield ratio_figure(title, measure(drawn), measure(real), self.seed, **band)
        judged = edges.ground_share(real) >= edges.MIN_GROUND
        if judged.any():
            yield mean_figure(
                "white ground within 4/255 of white", edges.white_share(drawn[judged]), self.seed,
                real=float(edges.white_share(real[judged]).mean()), at_least=0.95,
            )  # fmt: skip

    def distance_figure(self) -> Figure:
        """KID of held-out cells to real pictures of other names; the floor is that of the true
        pictures of the same cells.
        """
        others: dict[str, int] = {}
        records, keys = self.material.pictures.records, self.material.pictures.keys
        asked = set(self.prompts)
        rows = [row for row in self.material.plain_rows("train")]
        for row in sorted(rows, key=lambda row: unit_hash("reference", keys[row])):
            if records[row]["name"] not in asked:
                others.setdefault(records[row]["name"], row)
        if len(others) < 2 or len(self.cells) < 2:
            raise UserError("the data set has too few names to compare drawings with")
        places = np.searchsorted(self.trained_rows, sorted(others.values()))
        reference = self.judge.bank.vectors[places]
        note = f"to {len(places)} real pictures of other names"
        return kid_figure(
            "KID", self.styled.vectors, reference, self.real.vectors, self.seed, note=note
        )

    @property
    def trained_rows(self) -> Rows:
        return self.judge.trained

    def copy_figures(self) -> Iterator[Figure]:
        """The share of copies among each kind of drawing, beside real pictures never trained on."""
        rows = self.material.plain_rows(CELL, CONCEPT)
        keys = self.material.pictures.keys
        first = np.array([unit_hash("calibrate", keys[row]) < 0.5 for row in rows])
        if first.all() or not first.any():
            raise UserError("the data set has too few held-out pictures to calibrate copies with")
        looked = [self._look_up(self.material.pictures.pictures[rows[part]]) for part in (first, ~first)]
        self.copies = CopyTest.calibrate(looked[0])
        floor = share(self.copies(looked[1], self.judge.bank))
        note = f"ratio below {self.copies.pixels:.2f} in pixels, {self.copies.vectors:.2f} judged"
        for title, drawn in self._kinds().items():
            hits = self.copies(self.judge.bank.look_up(drawn.pictures, drawn.vectors), self.judge.bank)
            yield mean_figure(f"copies, {title}", hits, self.seed, real=floor, note=note)

    def _look_up(self, pictures: Pictures) -> tuple[Nearest, Nearest]:
        return self.judge.bank.look_up(pictures, self.judge.look(pictures))

    def _kinds(self) -> dict[str, Drawings]:
        kinds = {"names": self.bare, "held-out cells": self.styled}
        return kinds | ({"asked colours": self.coloured} if self.pairs else {})

    def sheet(self) -> Image.Image:
        """Drawings beside their nearest training pictures: the likeliest copies, then others."""
        drawn, bank = list(self._kinds().values()), self.judge.bank
        pictures = np.concatenate([one.pictures for one in drawn])
        prompts = [prompt for one in drawn for prompt in one.prompts]
        looked = bank.look_up(pictures, np.concatenate([one.vectors for one in drawn]))
        order = np.argsort(looked[0].ratio, kind="stable")
        rest = order[SHEET_NEAREST:]
        others = rest[:: max(1, len(rest) // SHEET_OTHERS)][:SHEET_OTHERS]
        chosen = np.concatenate([order[:SHEET_NEAREST], others])
        known = self.material.pictures.pictures[self.trained_rows]
        sides = [
            (f"{view} {'copy-like' if False else ''}".strip(), known[one.row[chosen]])
            for view, one in zip(("by pixels", "by the judge"), looked, strict=True)
        ]
        return neighbour_sheet(pictures[chosen], [prompts[i] for i in chosen], sides)
