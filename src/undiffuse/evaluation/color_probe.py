"""Asked colours: is the hue there by program, and does the judge still see the thing?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.data import colours
from undiffuse.data.captions import facts, words_of
from undiffuse.data.composites import can_be_recoloured, is_held_out, noun
from undiffuse.data.split import unit_hash
from undiffuse.evaluation.dataset import CELL, CONCEPT, EVALUATION, Material, is_plain, was_trained
from undiffuse.evaluation.protocols import Pictures, Vectors
from undiffuse.evaluation.sharpness import ground

NO_THINGS = ("locked", "unlocked")  # names that are no nouns
PAIRS = 25  # known, and as many in no caption
MIN_FAMILIES = 3  # that draw the thing in one colour
MIN_SHARE = 0.1  # of the pixels that are not ground: a speck of red is no red apple
_FRESH = {CELL: 0, CONCEPT: 0, EVALUATION: 1, "train": 2}
HUES = (*colours.TINTS, "brown")  # black, white and grey are no hues


@dataclass(frozen=True)
class ColourPair:
    """A colour and a thing to draw in it, and whether a training caption says the two together."""

    colour: str
    noun: str
    known: bool

    @property
    def prompt(self) -> str:
        return f"{self.colour} {self.noun}"


def colour_pairs(material: Material, count: int = PAIRS) -> list[ColourPair]:
    """`count` pairs that captions say and `count` that none says, chosen by hash.

    A thing is one that at least 3 trained families draw mostly in one hue, with a name of one or
    two plain words. Known: the colour of such a picture, or of a composite made of it. In no
    caption: held out from the composites, and no training record has the colour and all words of
    the thing in anything that its captions could say, not even as the colour of a ground.
    """
    trained = [record for record in material.pictures.records if was_trained(record)]
    things = _things(trained)
    known = {(r["colour"], noun(r["name"])) for r in trained if _says_colour(r)}
    holders: dict[str, set[int]] = {}
    for number, record in enumerate(trained):
        for word in facts(record):
            holders.setdefault(word, set()).add(number)
    pairs = []
    for thing in things:
        for colour in colours.TINTS:
            words = [colour, *words_of(thing)]
            together = set.intersection(*(holders.get(word, set()) for word in words))
            if (colour, thing) in known:
                pairs.append(ColourPair(colour, thing, known=True))
            elif is_held_out(colour, thing) and not together:
                pairs.append(ColourPair(colour, thing, known=False))
    pairs.sort(key=lambda pair: unit_hash("asked colour", pair.colour, pair.noun))
    return [
        pair for kind in (True, False) for pair in [p for p in pairs if p.known == kind][:count]
    ]


def _things(trained: Sequence[dict]) -> list[str]:
    families: dict[str, set[str]] = {}
    for record in trained:
        thing = noun(record["name"])
        # "leafy green" without its colour is no name of a thing.
        if is_plain(record) and can_be_recoloured(record) and record["name"].endswith(thing):
            families.setdefault(thing, set()).add(record["family"])
    return sorted(
        thing
        for thing, drawn in families.items()
        if len(drawn) >= MIN_FAMILIES
        and len(thing.split()) <= 2
        and thing.replace(" ", "").isalpha()
        and thing not in NO_THINGS
    )


def _says_colour(record: dict) -> bool:
    original = not record.get("composite") and can_be_recoloured(record)
    return original or record.get("composite") == "recoloured"


def shows_hue(pictures: Pictures, asked: Sequence[str]) -> NDArray[np.bool_]:
    """`(B,)`: whether the asked colour is the commonest hue of the pixels that are not ground, and
    at least `MIN_SHARE` of them.
    """
    ink = ~ground(pictures)
    names = colours.classify(pictures.transpose(0, 2, 3, 1))
    out = np.zeros(len(pictures), bool)
    for i, colour in enumerate(asked):
        counts = np.bincount(names[i][ink[i]], minlength=len(colours.NAMES))
        by_hue = {hue: counts[colours.NAMES.index(hue)] for hue in HUES}
        most = max(by_hue.values())
        out[i] = 0 < most == by_hue[colour] >= MIN_SHARE * ink[i].sum()
    return out


def shows_noun(
    pictures: Vectors, names: Sequence[str], name_vectors: Vectors, asked: Sequence[str]
) -> NDArray[np.bool_]:
    """`(B,)`: whether one of the judge's first 5 names is the asked thing in any colour.

    `pictures`: their vectors; `name_vectors`: of the names, each said in the asked colour (a judge
    that looks for a cat among cats of all colours finds no green one); "apple" is found in "red
    apple" and in "green apple".
    """
    nouns = [noun(name) for name in names]
    nearest = np.argsort(-(pictures @ name_vectors.T), axis=1, kind="stable")[:, :5]
    return np.array(
        [thing in {nouns[i] for i in row} for row, thing in zip(nearest, asked, strict=True)], bool
    )


def recoloured(material: Material, pairs: Sequence[ColourPair]) -> Iterator[Pictures]:
    """A real picture `(3, 64, 64)` of each pair's thing, brought to the asked colour by program.

    A held-out one where there is one, else of the evaluation family; what the probe says of these
    is its ceiling.
    """
    options: dict[str, list[int]] = {}
    for row, record in enumerate(material.pictures.records):
        if is_plain(record) and can_be_recoloured(record):
            options.setdefault(noun(record["name"]), []).append(row)
    for pair in pairs:
        row = min(
            options[pair.noun],
            key=lambda row: (
                _FRESH.get(material.pictures.records[row]["split"], 1),
                unit_hash("recoloured", material.pictures.keys[row]),
            ),
        )
        source = material.pictures.records[row]["colour"]
        picture = material.pictures.pictures[row].transpose(1, 2, 0)
        if source != pair.colour:
            rgba = np.concatenate([picture, np.full_like(picture[..., :1], 255)], -1)
            picture = colours.recolour(rgba, source, pair.colour)[..., :3]
        yield np.ascontiguousarray(picture.transpose(2, 0, 1))
