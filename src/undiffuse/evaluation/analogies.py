"""Analogies in CLIP's space: is a - b + c nearest to d (Mikolov et al. 2013)?

Measured for texts, for pictures, and across the two: a picture's vector, moved by the difference of
two texts. A label is both a text and the name of a picture: "man cook, dark skin tone".
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, permutations
from typing import Any, NamedTuple

import numpy as np

from undiffuse.data import colors
from undiffuse.data.composites import ACCESSORIES, remove_colors, wearing
from undiffuse.data.emoji_names import TONES
from undiffuse.data.split import TRAIN, UNSEEN_STYLE, unit_hash
from undiffuse.evaluation.dataset import EvaluationData, dress, is_training
from undiffuse.evaluation.protocols import Encoder, Pictures, Vectors, encode_batches
from undiffuse.evaluation.statistics import Metric, mean_metric

MAX_CASES = 100  # of each kind, chosen by hash
Analogy = tuple[str, str, str, str]  # labels (a, b, c, d): a - b + c = d


@dataclass(frozen=True)
class AnalogyKind:
    """Analogies of one kind, and labels besides all names among which the answer is searched."""

    cases: list[Analogy]
    distractors: list[str]

    @classmethod
    def choose(cls, cases: Iterable[Analogy], distractors: Iterable[str] = ()) -> "AnalogyKind":
        """`MAX_CASES` of the cases, by hash."""
        few = sorted(set(cases), key=lambda case: unit_hash("analogy", *case))[:MAX_CASES]
        return cls(few, sorted({*distractors, *chain(*few)}))


def name_in_style(label: str, style: str) -> str:
    """ "cat", "noto" -> "cat in noto style"."""
    return f"{label} in {style} style"


def build_analogies(
    names: Sequence[str], heads: Sequence[Sequence[str]] = (), styles: Sequence[str] = ()
) -> dict[str, AnalogyKind]:
    """Kind -> the analogies that the names allow: genders, professions, skin tones, hair, colors;
    with `heads` (the names of the heads of each style) accessories; with `styles` styles.
    """
    have = set(names)
    jobs = [name.removeprefix("man ") for name in sorted(have) if name.startswith("man ")]
    jobs = [job for job in jobs if f"woman {job}" in have]
    pairs = [(x, min((unit_hash("crossed", x, y), y) for y in jobs if y != x)[1])
             for x in jobs if len(jobs) > 1]  # fmt: skip
    toned = [(x, y, TONES[1 + int(unit_hash("tone", x) * 5)]) for x, y in pairs]
    words = [word for word, *_ in ACCESSORIES.values()]
    cases: dict[str, Iterable[Analogy]] = {
        "man : woman": ((f"woman {x}", "woman", "man", f"man {x}") for x in jobs),
        "professions": ((f"man {x}", f"man {y}", f"woman {y}", f"woman {x}") for x, y in pairs),
        "skin tones": (
            (f"man {x}, {tone}", f"man {x}", f"woman {y}", f"woman {y}, {tone}")
            for x, y, tone in toned
        ),
        "hair": _hair_analogies(have),
        "colors": _color_analogies(have),
        "worn objects": (
            (wearing(x, word), x, y, wearing(y, word))
            for group in heads for x, y in permutations(sorted(group), 2) for word in words
        ),
        "styles": _style_analogies(jobs, styles),
    }  # fmt: skip
    distractors: dict[str, list[str]] = {
        "skin tones": [
            f"{who} {x}, {tone}" for who in ("man", "woman") for x in jobs for tone in TONES[1:]
        ],
        "worn objects": [wearing(x, word) for x in chain(*heads) for word in words],
    }
    kinds = {
        kind: AnalogyKind.choose(some, distractors.get(kind, ())) for kind, some in cases.items()
    }
    return {name: kind for name, kind in kinds.items() if kind.cases}


def _hair_analogies(names: set[str]) -> Iterator[Analogy]:
    for one, other in permutations(("man", "woman", "person"), 2):
        for hair in ("red hair", "curly hair", "white hair", "blond hair"):
            case = (f"{one} with {hair}", one, other, f"{other} with {hair}")
            if names.issuperset(case):
                yield case


def _color_analogies(names: set[str]) -> Iterator[Analogy]:
    by_noun: dict[str, list[str]] = {}
    for name in sorted(names):
        color, _, noun = name.partition(" ")
        if color in colors.NAMES and noun == remove_colors(name):
            by_noun.setdefault(noun, []).append(color)
    for one, other in permutations(by_noun, 2):
        for first, second in permutations(set(by_noun[one]) & set(by_noun[other]), 2):
            yield f"{first} {one}", f"{second} {one}", f"{second} {other}", f"{first} {other}"


def _style_analogies(jobs: Sequence[str], styles: Sequence[str]) -> Iterator[Analogy]:
    people = [f"man {job}" for job in jobs]
    for one, other in permutations(people[: MAX_CASES // 2], 2):
        for f, g in permutations(styles, 2):
            if unit_hash("styles", one, other, f, g) < 0.02:
                cells = ((one, f), (one, g), (other, g), (other, f))
                a, b, c, d = (name_in_style(*cell) for cell in cells)
                yield a, b, c, d


def heads_with_accessories(data: EvaluationData) -> Iterator[tuple[str, str, Pictures]]:
    """(style, label, picture `(3, H, W)`) of held-out heads with each accessory of their style."""
    for (concept, style), accessory in data.accessories.items():
        for head in data.heads:
            if head.record["family"] == style:
                label = wearing(head.record["name"], ACCESSORIES[concept][0])
                yield style, label, dress(head, accessory)


def _label(record: dict) -> str:
    return str(record["name"]) + (f", {record['tone']}" if record["tone"] else "")


@dataclass(frozen=True)
class Gallery:
    """The vectors of pictures, or of texts.

    `rows`: style -> label -> row; `unseen`: the styles that are never trained on; `trained`: the
    rows of training pictures.
    """

    rows: dict[str, dict[str, int]]
    vectors: Vectors
    unseen: frozenset[str]
    trained: frozenset[int]

    @classmethod
    def of_pictures(cls, data: EvaluationData, encoder: Encoder) -> "Gallery":
        """All emoji of a data set, and all heads with accessories."""
        emoji = zip(data.pictures.records, data.pictures.pictures, strict=True)
        entries = [
            (record["family"], _label(record), record["split"], picture)
            for record, picture in emoji
            if not record.get("composite")
        ]
        entries += [(style, label, "", pic) for style, label, pic in heads_with_accessories(data)]
        rows: dict[str, dict[str, int]] = {}
        for row, (style, label, *_) in enumerate(entries):
            rows.setdefault(style, {})[label] = row
        unseen = frozenset(style for style, _, split, _ in entries if split == UNSEEN_STYLE)
        trained = frozenset(row for row, entry in enumerate(entries) if entry[2] == TRAIN)
        pictures = np.stack([entry[-1] for entry in entries])
        return cls(rows, encode_batches(encoder.encode_image, pictures), unseen, trained)

    @classmethod
    def of_texts(cls, texts: Iterable[str], trained: Container[str], encoder: Encoder) -> "Gallery":
        """Texts, all in one style without a name. `trained`: the labels of training pictures."""
        ordered = sorted(set(texts))
        rows = {"": {text: row for row, text in enumerate(ordered)}}
        known = frozenset(row for row, text in enumerate(ordered) if text in trained)
        return cls(rows, encode_batches(encoder.encode_text, ordered), frozenset(), known)

    def find(self, case: Analogy, unseen: bool) -> tuple[list[int], list[int]] | None:
        """The rows of a case's four pictures, and the rows among which the fourth is searched.

        The pictures are all of one style, chosen by hash, or of the styles that the labels name.
        """
        styles = [style for style in sorted(self.rows) if (style in self.unseen) == unseen]
        parts = [label.removesuffix(" style").rpartition(" in ") for label in case]
        if all(style in styles for *_, style in parts):
            found = [self.rows[style].get(label, -1) for label, _, style in parts]
            among = [row for style in styles for row in self.rows[style].values()]
            return None if -1 in found else (found, among)
        complete = [style for style in styles if self.rows[style].keys() >= set(case)]
        if not complete:
            return None
        shown = self.rows[min(complete, key=lambda style: unit_hash("shown", style, *case))]
        return [shown[label] for label in case], list(shown.values())


class Answer(NamedTuple):
    """The rank of a case's answer, 0 for the first; whether the answer is trained on."""

    rank: int
    trained: bool


Answers = dict[str, list[Answer]]  # by kind


def training_labels(data: EvaluationData) -> set[str]:
    """The labels of the training pictures, composites included, alone and with their style."""
    trained = [record for record in data.pictures.records if is_training(record)]
    labels = {(_label(record), record["family"]) for record in trained}
    return {label for label, _ in labels} | {name_in_style(*both) for both in labels}


def rank_answers(
    cases: Sequence[Analogy],
    gallery: Gallery,
    *,
    unseen: bool = False,
    across: Encoder | None = None,
) -> list[Answer]:
    """The cases that the gallery has, answered in the styles that are never trained on (`unseen`)
    or in the others. `across`: an encoder for b and c as texts; they are in the gallery otherwise.
    """
    texts = sorted({label for case in cases for label in case[1:3]})
    vectors = (
        dict(zip(texts, encode_batches(across.encode_text, texts), strict=True)) if across else {}
    )
    answers = []
    for case in cases:
        found = gallery.find(case, unseen)
        if found is None:
            continue
        (a, b, c, d), among = found
        less, more = (vectors[t] for t in case[1:3]) if across else gallery.vectors[[b, c]]
        cosines = gallery.vectors[among] @ (gallery.vectors[a] - less + more)
        excluded = {among.index(row) for row in ((a, d) if across else (a, b, c, d))}
        nearer = cosines >= cosines[among.index(d)]
        rank = int(nearer.sum() - nearer[list(excluded)].sum())
        answers.append(Answer(rank, d in gallery.trained))
    return answers


def evaluate_analogies(data: EvaluationData, encoder: Encoder, seed: int = 0) -> Iterator[Metric]:
    """Top-1 and top-5 accuracy: of all cases, of those whose answer is not trained on (neither its
    label nor its picture), and by kind.
    """
    gallery, labels = Gallery.of_pictures(data, encoder), training_labels(data)
    trained = [style for style in sorted(gallery.rows) if style not in gallery.unseen]
    heads = [
        [head.record["name"] for head in data.heads if head.record["family"] == style]
        for style in trained
    ]
    kinds = build_analogies(data.names, heads, trained)
    text = {}
    for name, kind in kinds.items():
        texts = Gallery.of_texts([*data.names, *kind.distractors], labels, encoder)
        text[name] = rank_answers(kind.cases, texts)
    options: tuple[dict[str, Any], ...] = (
        {}, {"across": encoder}, {"across": encoder, "unseen": True},
    )  # fmt: skip
    pictures, across, other = (
        {name: rank_answers(kind.cases, gallery, **some) for name, kind in kinds.items()}
        for some in options
    )
    yield from _metrics("text", text, seed, 0.85, 0.95)
    yield from _metrics("pictures", pictures, seed, None, None)
    yield from _metrics("across", across, seed, None, 0.8)
    yield from _metrics("across, style never trained on", other, seed, None, None)


def _metrics(title: str, answers: Answers, seed: int, *targets: float | None) -> Iterator[Metric]:
    every = [answer for kind in answers.values() for answer in kind]
    untrained = [answer for answer in every if not answer.trained]
    parts = {", answer never trained on": untrained}
    parts |= {f", {kind}": some for kind, some in answers.items()}
    parts = {part: some for part, some in parts.items() if 0 < len(some) < len(every)}
    for k, target in zip((1, 5), targets, strict=True):
        for part, some in {"": every, **parts}.items():
            if some:
                hits = np.array([answer.rank < k for answer in some])
                name, goal = f"analogies, {title}{part}: top-{k} accuracy", None if part else target
                yield mean_metric(name, hits, seed, at_least=goal)
