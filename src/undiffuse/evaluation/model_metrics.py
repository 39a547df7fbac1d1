"""The whole examination of a model: what it draws, and what the judge and programs say of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError
from undiffuse.evaluation import sharpness as edges
from undiffuse.evaluation.color_probe import (
    ColourPair,
    colour_pairs,
    recoloured,
    shows_hue,
    shows_noun,
)
from undiffuse.evaluation.contact_sheet import neighbour_sheet
from undiffuse.evaluation.dataset import CELL, CONCEPT, Rows
from undiffuse.evaluation.judge import Drawings, Judge
from undiffuse.evaluation.kid import kid_figure
from undiffuse.evaluation.memorisation import CopyTest, Looked
from undiffuse.evaluation.protocols import Painter, Pictures, Scores
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Figure, mean_figure, ratio_figure, share
from undiffuse.evaluation.style_probe import palette
from undiffuse.imaging.png import Pixels

COLOUR_SEEDS = 4  # drawings of each asked colour
Through = Callable[[Pictures], Pictures]  # encoded and decoded again, (B, 3, 64, 64)
SHEET_ROWS = 18  # of the likeliest copies, and as many others


@dataclass(frozen=True)
class Work:
    """Everything that was drawn. `cells`: the rows of the held-out cells that were asked for.

    `bare`: their names, no style asked; `styled`: in the style they were never trained in;
    `real`: their true pictures; `coloured`: `COLOUR_SEEDS` rounds of all `pairs`.
    """

    cells: Rows
    families: list[str]
    bare: Drawings
    styled: Drawings
    real: Drawings
    pairs: list[ColourPair]
    coloured: Drawings | None

    @property
    def kinds(self) -> dict[str, Drawings]:
        """The drawings by what was asked."""
        kinds = {"names": self.bare, "held-out cells": self.styled}
        return kinds | ({"asked colours": self.coloured} if self.coloured else {})


def draw_all(
    judge: Judge,
    painter: Painter,
    count: int = 500,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Work:
    """Draw what the figures need: `count` names twice and the coloured things."""
    material = judge.material
    cells = material.cells(count)
    names, families = material.field(cells, "name"), material.field(cells, "family")
    say(f"drawing {len(names)} names")
    bare = judge.draw(painter, names, [""] * len(names), seed)
    say(f"drawing {len(names)} held-out cells")
    styled = judge.draw(painter, names, families, seed)
    pairs = colour_pairs(material)
    asked, plain = [pair.prompt for pair in pairs], [""] * len(pairs)
    say(f"drawing {len(pairs)} coloured things, {COLOUR_SEEDS} times each")
    seeds = range(seed, seed + COLOUR_SEEDS) if pairs else ()
    rounds = [judge.draw(painter, asked, plain, one) for one in seeds]
    coloured = Drawings.join(rounds) if rounds else None
    return Work(cells, families, bare, styled, judge.real(cells), pairs, coloured)


def model_figures(judge: Judge, work: Work, seed: int = 0) -> Iterator[Figure]:
    """Every figure that does not need a clock, in the order of the report."""
    yield from name_figures(judge, work, seed)
    yield from cell_figures(judge, work, seed)
    yield from colour_figures(judge, work, seed)
    yield from edge_figures(judge, work, seed)
    yield distance_figure(judge, work, seed)
    yield from copy_figures(judge, work, seed)


def name_figures(judge: Judge, work: Work, seed: int) -> Iterator[Figure]:
    """R-precision of names, beside the judge's on real held-out pictures of the same names."""
    right = judge.material.right_names(work.cells)
    drawn, real = (ranks(one.vectors, judge.names, right) for one in (work.bare, work.real))
    note = f"among {len(judge.material.names)} names"
    for first in (1, 5):
        target, ceiling = (0.85, 0.70) if first == 5 else (None, None)
        hits, bound = drawn < first, real < first
        title = f"R-precision@{first}"
        yield mean_figure(title, hits, seed, real=share(bound), note=note)
        yield ratio_figure(f"{title}, as a share of real", hits, bound, seed, at_least=target)
        yield mean_figure(f"{title}, real held-out pictures", bound, seed, at_least=ceiling)


def cell_figures(judge: Judge, work: Work, seed: int) -> Iterator[Figure]:
    """The same for held-out cells; a find counts where the family is right too."""
    right = judge.material.right_names(work.cells)
    drawn, real = (ranks(one.vectors, judge.names, right) for one in (work.styled, work.real))
    drawn_in, real_in = (
        judge.family.right(palette(one.pictures), work.families) for one in (work.styled, work.real)
    )
    for first in (1, 5):
        hits, bound = (drawn < first) & drawn_in, (real < first) & real_in
        title, target = f"held-out cells@{first}, family right", 0.60 if first == 5 else None
        yield mean_figure(title, hits, seed, real=share(bound))
        yield ratio_figure(f"{title}, as a share of real", hits, bound, seed, at_least=target)
    title = "family right, held-out cells"
    note = f"one of {len(judge.family.families)}, by a linear probe on palettes"
    yield mean_figure(title, drawn_in, seed, real=share(real_in), note=note)
    drawn_in, real_in = (
        judge.family_by_vector.right(one.vectors, work.families) for one in (work.styled, work.real)
    )
    title = "family right by the judge's vectors, held-out cells"
    yield mean_figure(title, drawn_in, seed, real=share(real_in))


def colour_figures(judge: Judge, work: Work, seed: int) -> Iterator[Figure]:
    """Asked colours, known and in no caption: hue and thing, and each alone."""
    if work.coloured is None:
        return
    pictures = np.stack(list(recoloured(judge.material, work.pairs)))
    drawn = _colour_scores(judge, work.pairs, work.coloured)
    real = _colour_scores(judge, work.pairs, judge.look([p.prompt for p in work.pairs], pictures))
    note = f"{COLOUR_SEEDS} drawings each; real: recoloured by program"
    for known, kind, target in ((True, "known pairs", 0.8), (False, "pairs in no caption", 0.6)):
        chosen = np.array([pair.known == known for pair in work.pairs])
        for part, bound in (("", target), (", hue alone", None), (", thing alone", None)):
            if chosen.any():
                yield mean_figure(
                    f"asked colour, {kind}{part}", drawn[part][chosen], seed,
                    real=float(real[part][chosen].mean()), at_least=bound, note=note,
                )  # fmt: skip


def _colour_scores(judge: Judge, pairs: Sequence[ColourPair], drawn: Drawings) -> dict[str, Scores]:
    """For each pair the share of its drawings that have the hue, the thing, and both ("")."""
    rounds = len(drawn.prompts) // len(pairs)
    hue = shows_hue(drawn.pictures, [pair.colour for pair in pairs] * rounds)
    thing = np.zeros(len(drawn.prompts), bool)
    for colour in sorted({pair.colour for pair in pairs}):
        rows = [row for row in range(len(thing)) if pairs[row % len(pairs)].colour == colour]
        nouns = [pairs[row % len(pairs)].noun for row in rows]
        names = judge.names_in(colour)
        thing[rows] = shows_noun(drawn.vectors[rows], judge.material.names, names, nouns)
    parts = {"": hue & thing, ", hue alone": hue, ", thing alone": thing}
    return {part: hits.reshape(rounds, -1).mean(0) for part, hits in parts.items()}


def edge_figures(judge: Judge, work: Work, seed: int) -> Iterator[Figure]:
    """Sharpness and white grounds of held-out cells beside their true pictures, pair by pair."""
    drawn, real = work.styled.pictures, work.real.pictures
    for title, measure in (
        ("sharpness of edges, as a share of real", edges.edge_sharpness),
        ("variance of the Laplacian, as a share of real", edges.laplacian_energy),
    ):
        band = {"at_least": 0.75, "at_most": 1.25}
        yield ratio_figure(title, measure(drawn), measure(real), seed, **band)
    white = edges.white_ground(real)
    judged = white.mean((1, 2)) >= edges.MIN_GROUND
    if judged.any():
        other = judge.material.pictures.pictures[_others(judge, work.cells[judged])]
        yield mean_figure(
            "white ground within 4/255 of white", edges.white_share(drawn[judged], white[judged]),
            seed, real=float(edges.white_share(other, white[judged]).mean()), at_least=0.95,
            note="real: the same names in another family",
        )  # fmt: skip


def codec_figure(work: Work, through: Through, seed: int) -> Figure:
    """What the codec alone leaves of the sharpness of the same true pictures: a ceiling."""
    real = work.real.pictures
    title = "sharpness of edges, true pictures through the codec, as a share of real"
    sharp, true = edges.edge_sharpness(through(real)), edges.edge_sharpness(real)
    return ratio_figure(title, sharp, true, seed)


def _others(judge: Judge, cells: Rows) -> Rows:
    """For each held-out cell a trained picture of the same name, in another family by hash."""
    material, found = judge.material, dict[str, int]()
    keys = material.pictures.keys
    for row in sorted(material.plain_rows("train"), key=lambda row: unit_hash("other", keys[row])):
        found.setdefault(material.pictures.records[row]["name"], int(row))
    names = material.field(cells, "name")
    return np.array([found.get(name, row) for name, row in zip(names, cells, strict=True)])


def distance_figure(judge: Judge, work: Work, seed: int) -> Figure:
    """KID of held-out cells to real pictures of other names, one of each; the floor is that of the
    true pictures of the same cells, so names and families are alike on both sides.
    """
    material, asked = judge.material, set(work.bare.prompts)
    keys = material.pictures.keys
    others: dict[str, int] = {}
    for row in sorted(material.plain_rows("train"), key=lambda r: unit_hash("reference", keys[r])):
        name = material.pictures.records[row]["name"]
        if name not in asked:
            others.setdefault(name, int(row))
    if len(others) < 2 or len(work.cells) < 2:
        raise UserError("the data set has too few names to compare drawings with")
    reference = judge.known(np.array(sorted(others.values())))
    note = f"to {len(reference)} real pictures of other names"
    return kid_figure("KID", work.styled.vectors, reference, work.real.vectors, seed, note=note)


def copy_figures(judge: Judge, work: Work, seed: int) -> Iterator[Figure]:
    """The share of copies among each kind of drawing, beside real pictures never trained on: the
    test is calibrated on one half of those, and the other half is its floor.
    """
    rows, bank = judge.material.plain_rows(CELL, CONCEPT), judge.bank
    keys = judge.material.pictures.keys
    half = np.array([unit_hash("calibrate", keys[row]) < 0.5 for row in rows])
    if half.all() or not half.any():
        raise UserError("the data set has too few held-out pictures to calibrate copies with")

    def look(drawn: Drawings) -> Looked:
        return bank.look_up(drawn.pictures, drawn.vectors)

    test = CopyTest.calibrate(look(judge.real(rows[half])))
    floor = share(test(look(judge.real(rows[~half])), bank))
    note = (
        f"nearest over next distance below {test.pixels:.2f} in pixels, {test.vectors:.2f} judged"
    )
    for kind, drawn in work.kinds.items():
        hits: NDArray[np.bool_] = test(look(drawn), bank)
        yield mean_figure(f"copies, {kind}", hits, seed, real=floor, note=note)


def copy_sheet(judge: Judge, work: Work) -> Pixels:
    """Drawings beside their nearest training pictures: the likeliest copies first, then others."""
    drawn = Drawings.join(list(work.kinds.values()))
    by_pixels, by_judge = looked = judge.bank.look_up(drawn.pictures, drawn.vectors)
    order = np.argsort(np.maximum(by_pixels.ratio, by_judge.ratio), kind="stable")
    rest = order[SHEET_ROWS:]
    others = rest[:: max(1, len(rest) // SHEET_ROWS)][:SHEET_ROWS]
    chosen = np.concatenate([order[:SHEET_ROWS], others])
    known = judge.material.pictures.pictures[judge.trained]
    views = [
        (view, known[one.row[chosen]])
        for view, one in zip(("by pixels", "by the judge"), looked, strict=True)
    ]
    return neighbour_sheet(drawn.pictures[chosen], [drawn.prompts[i] for i in chosen], views)
