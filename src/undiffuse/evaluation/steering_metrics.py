"""Every way to steer, measured by the judge: what is gained, and what is lost in sharpness and
variety beside drawings of plain prompts.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.split import unit_hash
from undiffuse.evaluation import WAYS
from undiffuse.evaluation.dataset import CELL
from undiffuse.evaluation.image_differences import read_table
from undiffuse.evaluation.judge import Drawings, Judge
from undiffuse.evaluation.protocols import Pictures, Scores, encode_texts
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.sharpness import edge_sharpness
from undiffuse.evaluation.statistics import Figure, mean_figure, ratio_figure

# prompts, seed, options of `TextToImage.generate` -> (B, 3, 64, 64), one picture of each
Draw = Callable[..., Pictures]
SEEDS = 4  # rounds by which variety is told
ROUNDS = 2  # seeds of each pair: 200 drawings of 100 pairs
STARTS = 8  # pictures that drawing begins with
STRIP = 5  # pictures from one prompt to another, both ends among them


@dataclass(frozen=True)
class Bench:
    """What the ways are tried on. Into `folder` go the pictures that some of them begin with."""

    judge: Judge
    draw: Draw
    way: Callable[[str, str, int], list[str]]  # so many prompts from one to another
    folder: Path
    count: int = 100

    def drawn(self, prompts: Sequence[str], seed: int = 0, **options: object) -> Drawings:
        return self.judge.look(prompts, self.draw(prompts, seed, **options))

    def names(self) -> list[str]:
        """Names that have a held-out cell, by hash."""
        return self.judge.material.field(self.judge.material.cells(2 * self.count), "name")

    def found(self, drawings: Drawings, names: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each name is among the judge's first five."""
        index = self.judge.material.name_index
        return ranks(drawings.vectors, self.judge.names, [[index[n]] for n in names]) < 5

    def pairs(self) -> list[tuple[str, str, str]]:
        """(name without, name with, word): the film's differences, as many as the data has."""
        known = self.judge.material.name_index
        rows = [(a, b, sorted(words)[0] if len(words) == 1 else _main(b, words))
                for a, b, words in read_table() if a in known and b in known]  # fmt: skip
        return sorted(rows, key=lambda row: unit_hash("steering", *row[:2]))[: self.count]

    def shows(self, drawings: Drawings, pairs: Sequence[tuple[str, str, str]]) -> NDArray[np.bool_]:
        """Whether the judge takes each picture for the name with the thing, not the one without."""
        without, with_ = (encode_texts(self.judge.encoder, [p[k] for p in pairs]) for k in (0, 1))
        return (drawings.vectors * (with_ - without)).sum(1) > 0


def _main(name: str, words: frozenset[str]) -> str:
    """The word of a pair that its name has, or the first of all."""
    return next((word for word in name.split() if word in words), sorted(words)[0])


def steering_figures(bench: Bench, seed: int = 0, ways: Collection[str] = WAYS) -> Iterator[Figure]:
    """Plain prompts, and the `ways` to steer, one after the other."""
    names = bench.names()
    plain = bench.drawn(names, seed)
    yield mean_figure("plain prompt: its name@5", bench.found(plain, names), seed)
    yield from losses(bench, "plain prompt", names, {}, plain, plain, seed)
    measure: dict[str, Callable[[], Iterator[Figure]]] = {
        "like": lambda: like_figures(bench, plain, seed),
        "negative": lambda: negative_figures(bench, seed),
        "sum": lambda: sum_figures(bench, seed),
        "between": lambda: between_figures(bench, names, plain, seed),
        "start": lambda: start_figures(bench, names, plain, seed),
        "gradient": lambda: gradient_figures(bench, names, plain, seed),
    }
    for way in WAYS:
        if way in ways:
            yield from measure[way]()


def losses(
    bench: Bench, way: str, prompts: Sequence[str], options: dict[str, object],
    drawn: Drawings, plain: Drawings, seed: int,
) -> Iterator[Figure]:  # fmt: skip
    """Sharpness against plain prompts, and how much the drawings of one prompt differ."""
    sharp, usual = (edge_sharpness(one.pictures) for one in (drawn, plain))
    fewer = min(len(sharp), len(usual))
    title = f"{way}: sharpness, as a share of plain prompts"
    yield ratio_figure(title, sharp[:fewer], usual[:fewer], seed)
    few = list(prompts[: max(2, len(prompts) // 4)])
    rounds = [bench.drawn(few, seed + k, **options).vectors for k in range(SEEDS)]
    yield mean_figure(f"{way}: variety", _spread(np.stack(rounds)), seed, unit="1 - cosine",
                      note=f"between {SEEDS} seeds of a prompt")  # fmt: skip


def _spread(vectors: NDArray[np.float32]) -> Scores:
    """`(seeds, B, 512)` -> `(B,)`: the mean distance between two drawings of a prompt."""
    count = len(vectors)
    cosines = np.einsum("ibd,jbd->bij", vectors, vectors)
    others = (cosines.sum((1, 2)) - np.trace(cosines, axis1=1, axis2=2)) / (count * (count - 1))
    return 1.0 - others.astype(np.float64)


def given(bench: Bench) -> tuple[Drawings, list[str]]:
    """Held-out pictures, and the files that they now lie in."""
    material = bench.judge.material
    rows = material.plain_rows(CELL)
    order = sorted(rows, key=lambda row: unit_hash("like", material.pictures.keys[row]))
    real = bench.judge.real(np.array(order[: 2 * bench.count]))
    paths = [str(bench.folder / f"like-{place}.png") for place in range(len(real.prompts))]
    _write(paths, real.pictures)
    return real, paths


def like_figures(bench: Bench, plain: Drawings, seed: int) -> Iterator[Figure]:
    """A held-out picture's vector alone: does its concept come back?"""
    real, paths = given(bench)
    names = real.prompts
    drawn = bench.drawn(paths, seed)
    yield mean_figure("like a picture: its name@5", bench.found(drawn, names), seed, at_least=0.7,
                      real=float(bench.found(real, names).mean()))  # fmt: skip
    yield from losses(bench, "like a picture", paths, {}, drawn, plain, seed)


def _write(paths: Sequence[str], pictures: Pictures) -> None:
    from undiffuse.imaging.png import encode_png

    for path, picture in zip(paths, pictures, strict=True):
        Path(path).write_bytes(encode_png(np.ascontiguousarray(picture.transpose(1, 2, 0))))


def negative_figures(bench: Bench, seed: int) -> Iterator[Figure]:
    """ "X with Y", and Y as the negative prompt: how often is Y still seen?"""
    pairs = bench.pairs()
    usual = [bench.drawn([b for _, b, _ in pairs], seed + k) for k in range(ROUNDS)]
    less = [
        Drawings.join([bench.drawn([b], seed + k, negative=word) for _, b, word in pairs])
        for k in range(ROUNDS)
    ]
    seen, left = (np.mean([bench.shows(one, pairs) for one in way], 0) for way in (usual, less))
    yield mean_figure("negative prompt: the thing is seen without it", seen, seed)
    yield mean_figure("negative prompt: the thing is seen with it", left, seed)
    yield ratio_figure("negative prompt: what is left", left, seen, seed, at_most=0.5)
    yield from losses(bench, "negative prompt", [b for _, b, _ in pairs],
                      {"negative": pairs[0][2]}, less[0], usual[0], seed)  # fmt: skip


def sum_figures(bench: Bench, seed: int) -> Iterator[Figure]:
    """ "X + Y" beside the words "X with Y" and beside the emoji's own name."""
    pairs = bench.pairs()
    ways = {
        "in its own name": [b for _, b, _ in pairs],
        "in words": [f"{a} with {word}" for a, _, word in pairs],
        "as a sum": [f"{a} + {word}" for a, _, word in pairs],
    }
    drawn = {way: [bench.drawn(ps, seed + k) for k in range(ROUNDS)] for way, ps in ways.items()}
    seen = {way: np.mean([bench.shows(one, pairs) for one in rs], 0) for way, rs in drawn.items()}
    for way, scores in seen.items():
        yield mean_figure(f"a thing asked {way}: it is seen", scores, seed)
    yield ratio_figure("a thing asked as a sum, as a share of in words", seen["as a sum"],
                       seen["in words"], seed, at_least=1.0)  # fmt: skip
    yield from losses(bench, "a sum", ways["as a sum"], {}, drawn["as a sum"][0],
                      drawn["in words"][0], seed)  # fmt: skip


def between_figures(
    bench: Bench, names: Sequence[str], plain: Drawings, seed: int
) -> Iterator[Figure]:
    """From one name to another: is the nearer end seen in the pictures between, and how even is
    the way?
    """
    ends = list(zip(names[: bench.count : 2], names[1 : bench.count : 2], strict=False))
    ways = [bench.way(one, other, STRIP) for one, other in ends]
    strips = [bench.drawn(prompts, seed) for prompts in ways]
    names_of = (encode_texts(bench.judge.encoder, pair) for pair in ends)
    lean = np.array(
        [strip.vectors @ (b - a) for strip, (a, b) in zip(strips, names_of, strict=True)]
    )
    place = np.linspace(-1.0, 1.0, STRIP)
    for title, inside in (
        ("the ends", np.abs(place) == 1), ("the nearer end between", np.abs(place) % 1 > 0)
    ):  # fmt: skip
        seen = (lean[:, inside] * place[inside] > 0).mean(1)
        yield mean_figure(f"between two names: {title} seen", seen, seed)
    steps = np.array([1 - (s.vectors[1:] * s.vectors[:-1]).sum(1) for s in strips])
    largest = steps.max(1) / np.maximum(steps.sum(1), 1e-12)
    yield mean_figure("between two names: the largest step, of all", largest, seed,
                      note=f"{1 / (STRIP - 1):.0%} if all are alike")  # fmt: skip
    yield from losses(bench, "between two names", [prompts[STRIP // 2] for prompts in ways], {},
                      Drawings.join(strips), plain, seed)  # fmt: skip


def start_figures(
    bench: Bench, names: Sequence[str], plain: Drawings, seed: int
) -> Iterator[Figure]:
    """Beginning with a picture of something else: what is asked for, and what is kept of it."""
    starts = [Path(path) for path in given(bench)[1][:STARTS]]
    few = list(names[: max(2, 2 * bench.count // STARTS)])
    first = bench.judge.look(few, np.stack([_read(path) for path in starts]))
    for strength in (0.5, 0.7, 0.9):
        drawn = [bench.drawn(few, seed, start=path, strength=strength) for path in starts]
        hits = np.mean([bench.found(one, few) for one in drawn], 0)
        title = f"from a picture, strength {strength}"
        yield mean_figure(f"{title}: the name asked@5", hits, seed)
        near = [one.vectors @ vector for one, vector in zip(drawn, first.vectors, strict=True)]
        yield mean_figure(
            f"{title}: cosine with the picture", np.mean(near, 0), seed, unit="cosine"
        )
        yield from losses(bench, title, few, {"start": starts[0], "strength": strength},
                          Drawings.join(drawn), plain, seed)  # fmt: skip
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    where = bench.folder / "mask.png"
    _write([str(where)], np.repeat(mask[None, None], 3, axis=1))
    made = [bench.drawn(few, seed, start=path, mask=where) for path in starts]
    kept = [
        (one.pictures[..., :32] == picture[..., :32]).all((1, 2, 3))
        for one, picture in zip(made, first.pictures, strict=True)
    ]
    yield mean_figure("filling in: kept to the byte", np.mean(kept, 0), seed, at_least=1.0)
    yield from losses(bench, "filling in", few, {"start": starts[0], "mask": where},
                      Drawings.join(made), plain, seed)  # fmt: skip


def _read(path: Path) -> Pictures:
    from undiffuse.imaging.read import read_image

    return read_image(path).transpose(2, 0, 1)


def gradient_figures(
    bench: Bench, names: Sequence[str], plain: Drawings, seed: int, scale: float = 0.5
) -> Iterator[Figure]:
    """CLIP's gradient on top of guidance."""
    drawn = bench.drawn(names, seed, gradient=scale)
    title = f"CLIP's gradient, {scale}"
    yield mean_figure(f"{title}: its name@5", bench.found(drawn, names), seed)
    yield from losses(bench, title, names, {"gradient": scale}, drawn, plain, seed)
