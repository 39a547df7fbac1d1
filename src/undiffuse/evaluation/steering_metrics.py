"""Evaluation of every way to steer: whether it acts, and what it costs in sharpness and variety."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.split import HELD_OUT_PAIR, unit_hash
from undiffuse.evaluation import STEERING_METHODS
from undiffuse.evaluation.image_differences import read_name_pairs
from undiffuse.evaluation.image_quality import edge_sharpness
from undiffuse.evaluation.judge import Batch, Judge
from undiffuse.evaluation.protocols import Pictures, Scores, Vectors, encode_batches
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Metric, mean_metric, ratio_metric
from undiffuse.imaging.png import encode_png

# (prompts, seed, options of `TextToImage.generate`) -> (B, 3, H, W), one picture per prompt
Draw = Callable[..., Pictures]
VARIETY_SEEDS = 4
ROUNDS = 2  # seeds per pair: 200 drawings of 100 pairs
INITIAL_PICTURES = 8
INTERPOLATION_STEPS = 5  # from one name to another, both included
GRADIENT_SCALE = 0.5


@dataclass(frozen=True)
class SteeringEvaluation:
    """A judge, and a model to steer. `interpolate(one, other, count)`: prompts between two names.
    `folder`: for the pictures that some methods start from.
    """

    judge: Judge
    draw: Draw
    interpolate: Callable[[str, str, int], list[str]]
    folder: Path
    count: int = 100
    seed: int = 0

    def run(self, methods: Collection[str] = STEERING_METHODS) -> Iterator[Metric]:
        """The metrics of plain prompts, then of the `methods`."""
        yield self.accuracy("plain prompt", self.plain, self.names)
        yield from self.side_effects("plain prompt", self.plain, self.names)
        evaluate = {
            "like": self.evaluate_like,
            "negative": self.evaluate_negative,
            "sum": self.evaluate_sum,
            "between": self.evaluate_between,
            "start": self.evaluate_start,
            "gradient": self.evaluate_gradient,
        }
        for method in STEERING_METHODS:
            if method in methods:
                yield from evaluate[method]()

    @cached_property
    def names(self) -> list[str]:
        """Names of held-out pairs, by hash."""
        data = self.judge.data
        return data.column(data.held_out_pairs(2 * self.count), "name")

    @cached_property
    def plain(self) -> Batch:
        """Drawings of the names without steering."""
        return self.generate(self.names)

    @cached_property
    def initial(self) -> tuple[Batch, list[Path]]:
        """Real held-out pictures, and the files that hold them."""
        keys = self.judge.data.pictures.keys
        rows = self.judge.data.plain_rows(HELD_OUT_PAIR)
        order = sorted(rows, key=lambda row: unit_hash("like", keys[row]))
        real = self.judge.real(np.array(order[: 2 * self.count]))
        paths = [self.folder / f"like-{k}.png" for k in range(len(real.prompts))]
        for path, picture in zip(paths, real.pictures, strict=True):
            _write_png(path, picture)
        return real, paths

    @cached_property
    def pairs(self) -> list[tuple[str, str, str]]:
        """(name without, name with, word) of the film's differences that the data has."""
        known = self.judge.data.name_index
        pairs = [
            (a, b, _main_word(b, w)) for a, b, w in read_name_pairs() if {a, b} <= known.keys()
        ]
        return sorted(pairs, key=lambda pair: unit_hash("steering", *pair[:2]))[: self.count]

    def generate(self, prompts: Sequence[str], round_: int = 0, **options: Any) -> Batch:
        """Drawings of the prompts with the seed of a round, embedded."""
        return self.judge.embed(prompts, self.draw(prompts, self.seed + round_, **options))

    def is_top5(self, drawn: Batch, names: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each name is among the judge's first 5."""
        targets = [[self.judge.data.name_index[name]] for name in names]
        return ranks(drawn.vectors, self.judge.name_vectors, targets) < 5

    def is_visible(self, rounds: Sequence[Batch]) -> Scores:
        """For each pair the share of drawings that the judge takes for the name with the object."""
        without, with_ = map(self.encode, ([pair[k] for pair in self.pairs] for k in (0, 1)))
        return np.mean([(one.vectors * (with_ - without)).sum(1) > 0 for one in rounds], 0)

    def encode(self, texts: Sequence[str]) -> Vectors:
        return encode_batches(self.judge.encoder.encode_text, texts)

    def accuracy(self, title: str, drawn: Batch, names: Sequence[str], **fields: float) -> Metric:
        hits = self.is_top5(drawn, names)
        return mean_metric(f"{title}: top-5 accuracy", hits, self.seed, **fields)

    def side_effects(
        self, title: str, drawn: Batch, texts: list[str], usual: Batch | None = None, **options: Any
    ) -> Iterator[Metric]:
        """Sharpness relative to `usual` (plain prompts), and variety between seeds."""
        both = [edge_sharpness(one.pictures) for one in (drawn, usual or self.plain)]
        sharp, plain = (scores[: min(map(len, both))] for scores in both)
        name = f"{title}: sharpness, as a share of plain prompts"
        yield ratio_metric(name, sharp, plain, self.seed)
        few, note = texts[: max(2, len(texts) // 4)], f"between {VARIETY_SEEDS} seeds of a prompt"
        rounds = [self.generate(few, k, **options).vectors for k in range(VARIETY_SEEDS)]
        scores = variety(np.stack(rounds))
        yield mean_metric(f"{title}: variety", scores, self.seed, unit="1 - cosine", note=note)

    def evaluate_like(self) -> Iterator[Metric]:
        """A held-out picture as the prompt: is its concept recognized?"""
        real, files = self.initial
        paths = [str(path) for path in files]
        drawn, ceiling = self.generate(paths), float(self.is_top5(real, real.prompts).mean())
        title = "like a picture"
        yield self.accuracy(title, drawn, real.prompts, at_least=0.7, real=ceiling)
        yield from self.side_effects(title, drawn, paths)

    def evaluate_negative(self) -> Iterator[Metric]:
        """ "X with Y" with the negative prompt Y: how often is Y still visible?"""
        prompts = [with_ for _, with_, _ in self.pairs]
        usual = [self.generate(prompts, k) for k in range(ROUNDS)]
        negative = [
            Batch.concatenate(
                [self.generate([with_], k, negative=word) for _, with_, word in self.pairs]
            )
            for k in range(ROUNDS)
        ]
        before, after = (self.is_visible(rounds) for rounds in (usual, negative))
        title = "negative prompt"
        yield mean_metric(f"{title}: object visible without it", before, self.seed)
        yield mean_metric(f"{title}: object visible with it", after, self.seed)
        name = f"{title}: object visible, with it as a share of without"
        yield ratio_metric(name, after, before, self.seed, at_most=0.5)
        word = self.pairs[0][2]
        yield from self.side_effects(title, negative[0], prompts, usual[0], negative=word)

    def evaluate_sum(self) -> Iterator[Metric]:
        """ "X + Y" beside the sentence "X with Y" and the emoji's own name."""
        prompts = {
            "by its own name": [with_ for _, with_, _ in self.pairs],
            "by a sentence": [f"{a} with {word}" for a, _, word in self.pairs],
            "by a sum": [f"{a} + {word}" for a, _, word in self.pairs],
        }
        drawn = {
            way: [self.generate(texts, k) for k in range(ROUNDS)] for way, texts in prompts.items()
        }
        visible = {way: self.is_visible(rounds) for way, rounds in drawn.items()}
        for way, scores in visible.items():
            yield mean_metric(f"object requested {way}: visible", scores, self.seed)
        both = visible["by a sum"], visible["by a sentence"]
        name = "object requested by a sum: visible, as a share of by a sentence"
        yield ratio_metric(name, *both, self.seed, at_least=1.0)
        sums, sentences = (drawn[way][0] for way in ("by a sum", "by a sentence"))
        yield from self.side_effects("sum", sums, prompts["by a sum"], sentences)

    def evaluate_between(self) -> Iterator[Metric]:
        """From one name to another: is the nearer name recognized, and how even are the steps?"""
        names = self.names[: self.count]
        ends = list(zip(names[::2], names[1::2], strict=False))
        prompts = [self.interpolate(*pair, INTERPOLATION_STEPS) for pair in ends]
        strips = [self.generate(texts) for texts in prompts]
        directions = [b - a for a, b in map(self.encode, ends)]
        lean = np.array([s.vectors @ d for s, d in zip(strips, directions, strict=True)])
        position = np.linspace(-1.0, 1.0, INTERPOLATION_STEPS)
        title = "between two names"
        for part, inside in (
            ("ends", np.abs(position) == 1), ("nearer end in between", np.abs(position) % 1 > 0)
        ):  # fmt: skip
            hits = (lean[:, inside] * position[inside] > 0).mean(1)
            yield mean_metric(f"{title}: {part} recognized", hits, self.seed)
        steps = np.array([1 - (s.vectors[1:] * s.vectors[:-1]).sum(1) for s in strips])
        largest = steps.max(1) / np.maximum(steps.sum(1), 1e-12)
        note = f"{1 / (INTERPOLATION_STEPS - 1):.0%} if all are equal"
        name = f"{title}: largest step, as a share of the distance"
        yield mean_metric(name, largest, self.seed, note=note)
        middle = [texts[INTERPOLATION_STEPS // 2] for texts in prompts]
        yield from self.side_effects(title, Batch.concatenate(strips), middle)

    def evaluate_start(self) -> Iterator[Metric]:
        """Image-to-image from pictures of other names, and inpainting of their right half."""
        real, paths = self.initial[0], self.initial[1][:INITIAL_PICTURES]
        names = self.names[: max(2, 2 * self.count // INITIAL_PICTURES)]
        for strength in (0.5, 0.7, 0.9):
            drawn = [self.generate(names, start=path, strength=strength) for path in paths]
            title = f"from a picture, strength {strength}"
            hits = np.mean([self.is_top5(one, names) for one in drawn], 0)
            yield mean_metric(f"{title}: top-5 accuracy", hits, self.seed)
            near = [
                one.vectors @ initial for one, initial in zip(drawn, real.vectors, strict=False)
            ]
            name = f"{title}: cosine with the initial picture"
            yield mean_metric(name, np.mean(near, 0), self.seed, unit="cosine")
            every = Batch.concatenate(drawn)
            yield from self.side_effects(title, every, names, start=paths[0], strength=strength)
        yield from self._evaluate_inpainting(names, real.pictures, paths)

    def _evaluate_inpainting(
        self, names: list[str], real: Pictures, paths: Sequence[Path]
    ) -> Iterator[Metric]:
        """Draws the right half of pictures."""
        half = real.shape[-1] // 2
        mask, path = np.zeros_like(real[0]), self.folder / "mask.png"
        mask[..., half:] = 255
        _write_png(path, mask)
        drawn = [self.generate(names, start=start, mask=path) for start in paths]
        unchanged = [
            (one.pictures[..., :half] == picture[..., :half]).all((1, 2, 3))
            for one, picture in zip(drawn, real, strict=False)
        ]
        name = "inpainting: pixels outside the mask unchanged"
        yield mean_metric(name, np.mean(unchanged, 0), self.seed, at_least=1.0)
        every = Batch.concatenate(drawn)
        yield from self.side_effects("inpainting", every, names, start=paths[0], mask=path)

    def evaluate_gradient(self) -> Iterator[Metric]:
        """The gradient of CLIP's similarity in addition to guidance."""
        title = f"CLIP gradient, {GRADIENT_SCALE}"
        drawn = self.generate(self.names, gradient=GRADIENT_SCALE)
        yield self.accuracy(title, drawn, self.names)
        yield from self.side_effects(title, drawn, self.names, gradient=GRADIENT_SCALE)


def variety(vectors: Vectors) -> Scores:
    """`(seeds, B, 512)` -> `(B,)`: the mean distance, 1 - cosine, between drawings of a prompt."""
    count = len(vectors)
    cosines = np.einsum("ibd,jbd->bij", vectors, vectors)
    others = (cosines.sum((1, 2)) - np.trace(cosines, axis1=1, axis2=2)) / (count * (count - 1))
    return 1.0 - others.astype(np.float64)


def _main_word(name: str, words: frozenset[str]) -> str:
    """The first word of the name that is among the words, or the first of these by alphabet."""
    return next((word for word in name.split() if word in words), min(words))


def _write_png(path: Path, picture: Pictures) -> None:
    path.write_bytes(encode_png(np.ascontiguousarray(picture.transpose(1, 2, 0))))
