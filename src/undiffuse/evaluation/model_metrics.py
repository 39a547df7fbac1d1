"""The evaluation of a model: it draws, and the judge and programs measure the drawings."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.composites import remove_colors
from undiffuse.data.picture_set import Rows
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError
from undiffuse.evaluation import color_probe, image_quality
from undiffuse.evaluation.color_probe import ColorPrompt, color_prompts
from undiffuse.evaluation.contact_sheet import neighbor_sheet
from undiffuse.evaluation.dataset import is_fine_tuned
from undiffuse.evaluation.judge import Batch, Judge
from undiffuse.evaluation.kid import kid_metric
from undiffuse.evaluation.memorization import Neighbors, calibrate
from undiffuse.evaluation.protocols import ImageGenerator, Pictures, Scores, Vectors, encode_batches
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Metric, mean_metric, ratio_metric
from undiffuse.evaluation.style_probe import palette
from undiffuse.imaging.png import Pixels

COLOR_SEEDS = 4  # drawings of each color prompt
PAIRS = "held-out (concept, style) pairs"
Hits = NDArray[np.bool_]  # (B,)
Reconstruct = Callable[[Pictures], Pictures]  # encode and decode, (B, 3, H, W)
SHEET_ROWS = 18  # of the likeliest copies, and as many others


@dataclass(frozen=True)
class Samples:
    """Everything that was drawn. `pairs`: the rows of the requested held-out pairs.

    `unstyled`: their names without a style; `styled`: in the held-out style; `real`: their real
    pictures; `colored`: `COLOR_SEEDS` drawings of all `color_prompts`.
    """

    pairs: Rows
    styles: list[str]
    unstyled: Batch
    styled: Batch
    real: Batch
    color_prompts: list[ColorPrompt]
    colored: Batch | None

    @property
    def by_kind(self) -> dict[str, Batch]:
        kinds = {"names": self.unstyled, "held-out pairs": self.styled}
        return kinds | ({"requested colors": self.colored} if self.colored else {})


def generate_samples(
    judge: Judge,
    generator: ImageGenerator,
    count: int = 500,
    seed: int = 0,
    log: Callable[[str], None] = lambda line: None,
) -> Samples:
    """Draw what the metrics need: `count` names with and without style, and colored objects."""
    data = judge.data
    pairs = data.held_out_pairs(count)
    names, styles = data.column(pairs, "name"), data.column(pairs, "family")
    log(f"drawing {len(names)} names")
    unstyled = judge.generate(generator, names, [""] * len(names), seed)
    log(f"drawing {len(names)} {PAIRS}")
    styled = judge.generate(generator, names, styles, seed)
    prompts = color_prompts(data)
    texts, no_style = [prompt.text for prompt in prompts], [""] * len(prompts)
    log(f"drawing {len(prompts)} colored objects, {COLOR_SEEDS} times each")
    seeds = range(seed, seed + COLOR_SEEDS) if prompts else ()
    rounds = [judge.generate(generator, texts, no_style, one) for one in seeds]
    colored = Batch.concatenate(rounds) if rounds else None
    return Samples(pairs, styles, unstyled, styled, judge.real(pairs), prompts, colored)


def evaluate_samples(
    judge: Judge, samples: Samples, reconstruct: Reconstruct, seed: int = 0
) -> Iterator[Metric]:
    """Every metric but the latency, in the order of the report."""
    yield from evaluate_names(judge, samples, seed)
    yield from evaluate_pairs(judge, samples, seed)
    yield from evaluate_colors(judge, samples, seed)
    yield from evaluate_quality(judge, samples, seed)
    yield evaluate_kid(judge, samples, seed)
    yield from evaluate_copies(judge, samples, seed)
    yield evaluate_codec(samples, reconstruct, seed)


def evaluate_names(judge: Judge, samples: Samples, seed: int) -> Iterator[Metric]:
    """Accuracy of names, beside the judge's accuracy on real held-out pictures of them."""
    drawn, real = _name_ranks(judge, samples, samples.unstyled)
    note = f"among {len(judge.data.names)} names"
    for k in (1, 5):
        target, real_target = (0.85, 0.70) if k == 5 else (None, None)
        title = f"top-{k} accuracy (R-precision@{k})"
        yield from _beside_real(title, drawn < k, real < k, target, seed, note=note)
        yield mean_metric(f"{title}, real held-out pictures", real < k, seed, at_least=real_target)


def evaluate_pairs(judge: Judge, samples: Samples, seed: int) -> Iterator[Metric]:
    """The same for held-out pairs, where the style must be right too, and the style alone."""
    records = judge.data.pictures.records
    held = np.array([not is_fine_tuned(records[row]) for row in samples.pairs])
    if not held.any():
        return
    drawn, real = (one[held] for one in _name_ranks(judge, samples, samples.styled))
    probe, both = judge.palette_probe, (samples.styled, samples.real)
    style, real_style = (
        probe.is_right(palette(one.pictures), samples.styles)[held] for one in both
    )
    for k in (1, 5):
        title, target = f"{PAIRS}: top-{k} accuracy and style", 0.60 if k == 5 else None
        yield from _beside_real(title, (drawn < k) & style, (real < k) & real_style, target, seed)
    note = f"one of {len(probe.styles)}, by a linear probe on palettes"
    title = f"{PAIRS}: style accuracy"
    yield mean_metric(title, style, seed, real=float(real_style.mean()), note=note)
    style, real_style = (
        judge.vector_probe.is_right(one.vectors, samples.styles)[held] for one in both
    )
    title = f"{PAIRS}: style accuracy by the judge's vectors"
    yield mean_metric(title, style, seed, real=float(real_style.mean()))


def _name_ranks(judge: Judge, samples: Samples, drawn: Batch) -> Iterator[NDArray[np.int64]]:
    """The ranks of the names in drawings and in the real pictures."""
    right = judge.data.name_targets(samples.pairs)
    return (ranks(one.vectors, judge.name_vectors, right) for one in (drawn, samples.real))


def _beside_real(
    title: str, hits: Hits, real: Hits, target: float | None, seed: int, note: str = ""
) -> Iterator[Metric]:
    yield mean_metric(title, hits, seed, real=float(real.mean()), note=note)
    yield ratio_metric(f"{title}, as a share of real", hits, real, seed, at_least=target)


def evaluate_colors(judge: Judge, samples: Samples, seed: int) -> Iterator[Metric]:
    """Requested colors, known and in no caption: hue and object, and each alone."""
    if samples.colored is None:
        return
    data, prompts = judge.data, samples.color_prompts
    nouns = [remove_colors(name) for name in data.names]
    names = {
        color: encode_batches(judge.encoder.encode_text, [f"{color} {noun}" for noun in nouns])
        for color in sorted({prompt.color for prompt in prompts})
    }
    pictures = np.stack(list(color_probe.recolored_pictures(data, prompts)))
    recolored = judge.embed([prompt.text for prompt in prompts], pictures)
    drawn, real = (
        _color_scores(prompts, one, data.names, names) for one in (samples.colored, recolored)
    )
    note = f"{COLOR_SEEDS} drawings each; real: recolored by program"
    for known, kind, target in ((True, "known pairs", 0.8), (False, "pairs in no caption", 0.6)):
        mask = np.array([prompt.known == known for prompt in prompts])
        for part, bound in (("", target), (", hue only", None), (", object only", None)):
            if mask.any():
                yield mean_metric(
                    f"requested color, {kind}{part}", drawn[part][mask], seed,
                    real=float(real[part][mask].mean()), at_least=bound, note=note,
                )  # fmt: skip


def _color_scores(
    prompts: Sequence[ColorPrompt], drawn: Batch, names: list[str], by_color: dict[str, Vectors]
) -> dict[str, Scores]:
    """For each prompt the share of its drawings with the hue, the object, and both ("").

    `by_color`: color -> the vectors of the names as objects of that color.
    """
    rounds = len(drawn.prompts) // len(prompts)
    requested = [prompt.color for prompt in prompts] * rounds
    nouns = np.array([prompt.noun for prompt in prompts] * rounds)
    hue = color_probe.has_hue(drawn.pictures, requested)
    thing = np.zeros(len(requested), bool)
    for color, vectors in by_color.items():
        rows = np.array(requested) == color
        thing[rows] = color_probe.has_object(drawn.vectors[rows], names, vectors, nouns[rows])
    parts = {"": hue & thing, ", hue only": hue, ", object only": thing}
    return {part: hits.reshape(rounds, -1).mean(0) for part, hits in parts.items()}


def evaluate_quality(judge: Judge, samples: Samples, seed: int) -> Iterator[Metric]:
    """Sharpness and white backgrounds of held-out pairs, each beside its real picture."""
    drawn, real = samples.styled.pictures, samples.real.pictures
    for title, measure in (
        ("sharpness of edges", image_quality.edge_sharpness),
        ("variance of the Laplacian", image_quality.laplacian_variance),
    ):
        name, target = f"{title}, as a share of real", {"at_least": 0.75, "at_most": 1.25}
        yield ratio_metric(name, measure(drawn), measure(real), seed, **target)
    white = image_quality.white_background(real)
    rows = np.flatnonzero(white.mean((1, 2)) >= image_quality.MIN_BACKGROUND)
    if len(rows):
        # The ceiling: a training picture of the same name in another style.
        others = judge.data.training_row_by_name("other")
        pairs = zip(samples.real.prompts, samples.pairs, strict=True)
        other_rows = np.array([others.get(name, row) for name, row in pairs])[rows]
        other = judge.data.pictures.pictures[other_rows]
        yield mean_metric(
            "white background within 4/255 of white",
            image_quality.white_share(drawn[rows], white[rows]), seed,
            real=float(image_quality.white_share(other, white[rows]).mean()), at_least=0.95,
            note="real: the same names in another style",
        )  # fmt: skip


def evaluate_codec(samples: Samples, reconstruct: Reconstruct, seed: int) -> Metric:
    """The sharpness that the codec alone keeps of the same real pictures: a ceiling."""
    real = samples.real.pictures
    name = "sharpness of edges, real pictures through the codec, as a share of real"
    sharp, true = (image_quality.edge_sharpness(one) for one in (reconstruct(real), real))
    return ratio_metric(name, sharp, true, seed)


def evaluate_kid(judge: Judge, samples: Samples, seed: int) -> Metric:
    """KID of held-out pairs to one real picture of each other name. The floor is that of the real
    pictures of the pairs, so that names and styles are alike on both sides.
    """
    drawn_names = set(samples.unstyled.prompts)
    by_name = judge.data.training_row_by_name("reference").items()
    others = sorted(row for name, row in by_name if name not in drawn_names)
    if len(others) < 2 or len(samples.pairs) < 2:
        raise UserError("the data set has too few names to compare drawings with")
    reference = judge.training_vectors(np.array(others))
    note = f"to {len(reference)} real pictures of other names"
    drawn, real = samples.styled.vectors, samples.real.vectors
    return kid_metric("KID", drawn, reference, real, seed, note=note)


def evaluate_copies(judge: Judge, samples: Samples, seed: int) -> Iterator[Metric]:
    """The share of copies among each kind of drawings.

    The thresholds come from one half of the real held-out pictures; the other half is the floor.
    """
    data, index, keys = judge.data, judge.training_index, judge.data.pictures.keys
    rows = data.new_rows
    half = np.array([unit_hash("calibrate", keys[row]) < 0.5 for row in rows])
    if half.all() or not half.any():
        raise UserError("the data set has too few held-out pictures to calibrate copies with")

    def search(batch: Batch) -> Neighbors:
        return index.search(batch.pictures, batch.vectors)

    thresholds = calibrate(search(judge.real(rows[half])))
    floor = float(index.find_copies(search(judge.real(rows[~half])), thresholds).mean())
    pixels, vectors = thresholds
    note = f"nearest over next distance below {pixels:.2f} in pixels, {vectors:.2f} judged"
    for kind, drawn in samples.by_kind.items():
        hits = index.find_copies(search(drawn), thresholds)
        yield mean_metric(f"near-copies, {kind}", hits, seed, real=floor, note=note)


def copy_sheet(judge: Judge, samples: Samples) -> Pixels:
    """Drawings beside their nearest training pictures: the likeliest copies first, then others."""
    drawn = Batch.concatenate(list(samples.by_kind.values()))
    found = judge.training_index.search(drawn.pictures, drawn.vectors)
    order = np.argsort(found.ratios.max(0), kind="stable")
    first, rest = order[:SHEET_ROWS], order[SHEET_ROWS:]
    chosen = np.concatenate([first, rest[:: max(1, len(rest) // SHEET_ROWS)][:SHEET_ROWS]])
    training = judge.data.pictures.pictures[judge.training_rows]
    names = ("by pixels", "by the judge")
    views = [(name, training[rows[chosen]]) for name, rows in zip(names, found.rows, strict=True)]
    return neighbor_sheet(drawn.pictures[chosen], [drawn.prompts[i] for i in chosen], views)
