"""Directions of the shared space: is a - b + c nearest to d (Mikolov et al. 2013)?

Asked of texts, of pictures, and across the two: the vector of a picture, moved by a difference of
texts. A label is what a text says and a picture shows: "man cook, dark skin tone".
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, permutations
from typing import NamedTuple

import numpy as np

from undiffuse.data import colours
from undiffuse.data.composites import WORN, noun, wear, wearing
from undiffuse.data.emoji_names import TONES
from undiffuse.data.picture_set import on_white
from undiffuse.data.split import unit_hash
from undiffuse.evaluation.dataset import EVALUATION, Material, was_trained
from undiffuse.evaluation.protocols import Encoder, Pictures, Vectors, encode_pictures, encode_texts
from undiffuse.evaluation.statistics import Figure, mean_figure

CASES = 100  # of each kind at most, by hash
Analogy = tuple[str, str, str, str]  # labels (a, b, c, d): a - b + c = d


@dataclass(frozen=True)
class Kind:
    """Analogies of one kind, and what could be mistaken for their answers besides all names."""

    cases: list[Analogy]
    others: list[str]

    @classmethod
    def of(cls, cases: Iterable[Analogy], others: Iterable[str] = ()) -> "Kind":
        few = sorted(set(cases), key=lambda case: unit_hash("analogy", *case))[:CASES]
        return cls(few, sorted({*others, *(label for case in few for label in case)}))


def in_style(label: str, family: str) -> str:
    """The label, said to be of a family."""
    return f"{label} in {family} style"


def analogies(
    names: Sequence[str], heads: Sequence[Sequence[str]] = (), families: Sequence[str] = ()
) -> dict[str, Kind]:
    """The kinds that the data holds: genders, professions, skin tones, hair, colours, and where
    they are given what the `heads` of each family wear and the styles of `families`.
    """
    have = set(names)
    jobs = [n.removeprefix("man ") for n in sorted(have) if n.startswith("man ")]
    jobs = [job for job in jobs if f"woman {job}" in have]
    pairs = [(x, min((unit_hash("crossed", x, y), y) for y in jobs if y != x)[1])
             for x in jobs if len(jobs) > 1]  # fmt: skip
    toned = [(x, y, TONES[1 + int(unit_hash("tone", x) * 5)]) for x, y in pairs]
    kinds = {
        "man : woman": Kind.of((f"woman {x}", "woman", "man", f"man {x}") for x in jobs),
        "professions": Kind.of((f"man {x}", f"man {y}", f"woman {y}", f"woman {x}")
                               for x, y in pairs),
        "skin tones": Kind.of(
            ((f"man {x}, {tone}", f"man {x}", f"woman {y}", f"woman {y}, {tone}")
             for x, y, tone in toned),
            (f"{who} {x}, {tone}" for x in jobs for who in ("man", "woman") for tone in TONES[1:]),
        ),
        "hair": Kind.of(_hair(have)),
        "colours": Kind.of(_colours(have)),
        "worn": Kind.of(
            ((wearing(x, thing), x, y, wearing(y, thing))
             for group in heads for x, y in permutations(sorted(group), 2)
             for thing, *_ in WORN.values()),
            (wearing(x, thing) for x in chain(*heads) for thing, *_ in WORN.values()),
        ),
        "families": Kind.of(_styles(jobs, families)),
    }  # fmt: skip
    return {kind: found for kind, found in kinds.items() if found.cases}


def _hair(names: set[str]) -> Iterator[Analogy]:
    for one, other in permutations(("man", "woman", "person"), 2):
        for hair in ("red hair", "curly hair", "white hair", "blond hair"):
            case = (f"{one} with {hair}", one, other, f"{other} with {hair}")
            if names.issuperset(case):
                yield case


def _colours(names: set[str]) -> Iterator[Analogy]:
    by_thing: dict[str, list[str]] = {}
    for name in sorted(names):
        colour, _, thing = name.partition(" ")
        if colour in colours.NAMES and thing == noun(name):
            by_thing.setdefault(thing, []).append(colour)
    for one, other in permutations(by_thing, 2):
        for first, second in permutations(set(by_thing[one]) & set(by_thing[other]), 2):
            yield f"{first} {one}", f"{second} {one}", f"{second} {other}", f"{first} {other}"


def _styles(jobs: Sequence[str], families: Sequence[str]) -> Iterator[Analogy]:
    people = [f"man {job}" for job in jobs]
    for one, other in permutations(people[: CASES // 2], 2):
        for f, g in permutations(families, 2):
            if unit_hash("styles", one, other, f, g) < 0.02:
                yield in_style(one, f), in_style(one, g), in_style(other, g), in_style(other, f)


def dressed(material: Material) -> Iterator[tuple[str, str, Pictures]]:
    """(family, label, picture `(3, 64, 64)`): heads never trained on, with each thing worn."""
    layers = list(material.layers.values())
    heads = [layer for layer in layers if layer.record["concept"] not in WORN]
    for thing in layers:
        family = thing.record["family"]
        if thing.record["concept"] in WORN:
            word, width, foot = WORN[thing.record["concept"]]
            for head in heads:
                if head.record["family"] == family:
                    picture = on_white(wear(head.picture, thing.picture, width, foot))
                    label = wearing(head.record["name"], word)
                    yield family, label, np.ascontiguousarray(picture.transpose(2, 0, 1))


def _label(record: dict) -> str:
    return str(record["name"]) + (f", {record['tone']}" if record["tone"] else "")


@dataclass(frozen=True)
class Gallery:
    """Every emoji of a set, and every head that can be dressed, with their vectors.

    `rows`: family -> label -> row; `unseen`: the families that were never trained on; `trained`:
    the rows that were.
    """

    rows: dict[str, dict[str, int]]
    vectors: Vectors
    unseen: frozenset[str]
    trained: frozenset[int]

    @classmethod
    def of(cls, material: Material, encoder: Encoder) -> "Gallery":
        rows: dict[str, dict[str, int]] = {}
        pictures: list[Pictures] = []
        trained: set[int] = set()
        both = zip(material.pictures.records, material.pictures.pictures, strict=True)
        emoji = [(r, picture) for r, picture in both if not r.get("composite")]
        for record, picture in emoji:
            if was_trained(record):
                trained.add(len(pictures))
            rows.setdefault(record["family"], {})[_label(record)] = len(pictures)
            pictures.append(picture)
        for family, label, picture in dressed(material):
            rows.setdefault(family, {})[label] = len(pictures)
            pictures.append(picture)
        unseen = frozenset(r["family"] for r, _ in emoji if r["split"] == EVALUATION)
        vectors = encode_pictures(encoder, np.stack(pictures))
        return cls(rows, vectors, unseen, frozenset(trained))

    def find(self, case: Analogy, unseen: bool) -> tuple[list[int], list[int]] | None:
        """The rows of a case's four pictures, and the rows to seek the fourth among.

        All are of one family, by hash; or each is of the family that its label names.
        """
        families = [f for f in sorted(self.rows) if (f in self.unseen) == unseen]
        parts = [label.removesuffix(" style").rpartition(" in ") for label in case]
        if all(family in families for *_, family in parts):
            found = [self.rows[family].get(label, -1) for label, _, family in parts]
            among = [row for family in families for row in self.rows[family].values()]
            return None if -1 in found else (found, among)
        fitting = [f for f in families if all(label in self.rows[f] for label in case)]
        if not fitting:
            return None
        shown = self.rows[min(fitting, key=lambda f: unit_hash("shown", f, *case))]
        return [shown[label] for label in case], list(shown.values())


class Hit(NamedTuple):
    """The place of a case's answer, 0 for the first; whether the answer itself was trained on."""

    place: int
    trained: bool


Hits = dict[str, list[Hit]]  # kind -> its cases


def said_in_training(material: Material) -> set[str]:
    """What training pictures are called, composites too, alone and with their family."""
    trained = [record for record in material.pictures.records if was_trained(record)]
    labels = {(_label(record), record["family"]) for record in trained}
    return {label for label, _ in labels} | {in_style(*both) for both in labels}


def text_hits(
    kinds: dict[str, Kind], names: Sequence[str], said: Container[str], encoder: Encoder
) -> Hits:
    """Text against text; a, b and c themselves are no answers. `said`: labels of training."""
    hits: Hits = {}
    for kind, found in kinds.items():
        texts = sorted({*names, *found.others})
        index = {text: i for i, text in enumerate(texts)}
        vectors = encode_texts(encoder, texts)
        for case in found.cases:
            places = [index[label] for label in case]
            a, b, c = vectors[places[:3]]
            cosines = vectors @ (a - b + c)
            hits.setdefault(kind, []).append(Hit(_place(cosines, places), case[-1] in said))
    return hits


def picture_hits(
    kinds: dict[str, Kind], gallery: Gallery, encoder: Encoder, *, across: bool, unseen: bool
) -> Hits:
    """Pictures against the pictures of their family; `across`: b and c are texts."""
    hits: Hits = {}
    for kind, found in kinds.items():
        texts = sorted({label for case in found.cases for label in case[1:3]})
        said = dict(zip(texts, encode_texts(encoder, texts), strict=True))
        for case in found.cases:
            rows = gallery.find(case, unseen)
            if rows is None:
                continue
            (a, b, c, d), among = rows
            less, more = (said[case[1]], said[case[2]]) if across else gallery.vectors[[b, c]]
            cosines = gallery.vectors[among] @ (gallery.vectors[a] - less + more)
            places = [among.index(row) for row in ((a, d) if across else (a, b, c, d))]
            hit = Hit(_place(cosines, places), d in gallery.trained)
            hits.setdefault(kind, []).append(hit)
    return hits


def _place(cosines: Vectors, case: Sequence[int]) -> int:
    """How many are as near as the last of `case` or nearer, without those of `case`."""
    nearer = cosines >= cosines[case[-1]]
    return int(nearer.sum() - nearer[list(set(case))].sum())


def analogy_figures(material: Material, encoder: Encoder, seed: int = 0) -> Iterator[Figure]:
    """How often the answer is the first, and among the first 5: all cases, those whose answer no
    training picture shows or is called, then kind by kind.
    """
    gallery = Gallery.of(material, encoder)
    trained = [family for family in sorted(gallery.rows) if family not in gallery.unseen]
    layers = [layer.record for layer in material.layers.values()]
    heads = [
        [r["name"] for r in layers if r["family"] == family and r["concept"] not in WORN]
        for family in trained
    ]
    kinds = analogies(material.names, heads, trained)
    said = said_in_training(material)
    text = text_hits(kinds, material.names, said, encoder)
    shown, across, other = (
        picture_hits(kinds, gallery, encoder, across=moved, unseen=unseen)
        for moved, unseen in ((False, False), (True, False), (True, True))
    )
    yield from _figures("text", text, (0.85, 0.95), seed)
    yield from _figures("pictures", shown, (None, None), seed)
    yield from _figures("across", across, (None, 0.8), seed)
    yield from _figures("across, family never trained on", other, (None, None), seed)


def _figures(
    way: str, hits: Hits, targets: tuple[float | None, float | None], seed: int
) -> Iterator[Figure]:
    every = [hit for of_kind in hits.values() for hit in of_kind]
    parts = {"answer never trained on": [hit for hit in every if not hit.trained], **hits}
    for first, target in zip((1, 5), targets, strict=True):
        title = f"analogies@{first}, {way}"
        if every:
            right = np.array([hit.place < first for hit in every])
            yield mean_figure(title, right, seed, at_least=target)
        for part, some in parts.items():
            if 0 < len(some) < len(every):
                right = np.array([hit.place < first for hit in some])
                yield mean_figure(f"{title}: {part}", right, seed)
