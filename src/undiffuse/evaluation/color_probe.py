"""Requested colors: does a drawing have the hue (by pixels), and the object (by the judge)?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.data import colors
from undiffuse.data.captions import content_words, record_words
from undiffuse.data.composites import is_held_out_pair, is_recolorable, remove_colors
from undiffuse.data.split import unit_hash
from undiffuse.evaluation.dataset import EvaluationData, is_plain, is_training
from undiffuse.evaluation.image_quality import background
from undiffuse.evaluation.protocols import Pictures, Vectors

NOT_NOUNS = ("locked", "unlocked")
PAIRS = 25  # known pairs, and as many in no caption
MIN_STYLES = 3  # that show the object in one hue
MIN_SHARE = 0.1  # of the object's pixels: a red speck is no red apple
HUES = (*colors.TINTS, "brown")  # black, white and gray are no hues


@dataclass(frozen=True)
class ColorPrompt:
    """A color and an object. `known`: a training caption has the two together."""

    color: str
    noun: str
    known: bool

    @property
    def text(self) -> str:
        return f"{self.color} {self.noun}"


def color_prompts(data: EvaluationData, count: int = PAIRS) -> list[ColorPrompt]:
    """`count` known prompts and `count` prompts in no caption, chosen by hash.

    The objects are those that at least 3 trained styles show in one hue, with a name of one or two
    plain words. A known prompt has the color of such a picture or of a composite of it. A prompt in
    no caption is held out from the composites, and no training record has its color and all words
    of its noun, not even as the color of a background.
    """
    trained = [record for record in data.pictures.records if is_training(record)]
    known = {(r["colour"], remove_colors(r["name"])) for r in trained if _names_color(r)}
    words = [record_words(record) for record in trained]
    prompts = []
    for noun in _nouns(trained):
        noun_words = content_words(noun)
        seen = frozenset().union(*(have for have in words if have.issuperset(noun_words)))
        for color in colors.TINTS:
            if (color, noun) in known:
                prompts.append(ColorPrompt(color, noun, known=True))
            elif is_held_out_pair(color, noun) and color not in seen:
                prompts.append(ColorPrompt(color, noun, known=False))
    prompts.sort(key=lambda prompt: unit_hash("asked colour", prompt.color, prompt.noun))
    kinds = ([p for p in prompts if p.known], [p for p in prompts if not p.known])
    return [prompt for kind in kinds for prompt in kind[:count]]


def _nouns(trained: Sequence[dict]) -> list[str]:
    styles: dict[str, set[str]] = {}
    for record in trained:
        noun = remove_colors(record["name"])
        # "leafy green" without its color is no noun
        if is_plain(record) and is_recolorable(record) and record["name"].endswith(noun):
            styles.setdefault(noun, set()).add(record["family"])
    return sorted(
        noun
        for noun, have in styles.items()
        if len(have) >= MIN_STYLES
        and len(noun.split()) <= 2
        and noun.replace(" ", "").isalpha()
        and noun not in NOT_NOUNS
    )


def _names_color(record: dict) -> bool:
    kind = record.get("composite")
    return kind == "recoloured" or (not kind and is_recolorable(record))


def has_hue(pictures: Pictures, requested: Sequence[str]) -> NDArray[np.bool_]:
    """`(B,)`: whether the requested color is the most common hue of the pixels that are not
    background, and at least `MIN_SHARE` of them.
    """
    ink = ~background(pictures)
    names = colors.classify_pixels(pictures.transpose(0, 2, 3, 1))
    out = np.zeros(len(pictures), bool)
    for i, color in enumerate(requested):
        counts = np.bincount(names[i][ink[i]], minlength=len(colors.NAMES))
        by_hue = {hue: counts[colors.NAMES.index(hue)] for hue in HUES}
        out[i] = 0 < max(by_hue.values()) == by_hue[color] >= MIN_SHARE * ink[i].sum()
    return out


def has_object(
    pictures: Vectors, names: Sequence[str], name_vectors: Vectors, requested: Sequence[str]
) -> NDArray[np.bool_]:
    """`(B,)`: whether the requested noun is among the judge's first 5 names, in any color.

    `pictures`: their vectors; `name_vectors`: of the names as objects of the requested color, as a
    green cat is not found among cats of other colors. "apple" is found in "red apple" and "green
    apple".
    """
    nouns = [remove_colors(name) for name in names]
    nearest = np.argsort(-(pictures @ name_vectors.T), axis=1, kind="stable")[:, :5]
    found = [{nouns[i] for i in row} for row in nearest]
    return np.array([noun in have for noun, have in zip(requested, found, strict=True)], bool)


def recolored_pictures(data: EvaluationData, prompts: Sequence[ColorPrompt]) -> Iterator[Pictures]:
    """For each prompt a real picture `(3, H, W)` of its object, recolored. The probe's score on
    these is its ceiling.

    The picture is held out if possible, else of a style that is never trained on.
    """
    rows: dict[str, list[int]] = {}
    for row, record in enumerate(data.pictures.records):
        if is_plain(record) and is_recolorable(record):
            rows.setdefault(remove_colors(record["name"]), []).append(row)

    def preference(row: int) -> tuple[int, float]:
        split = data.pictures.records[row]["split"]
        rank = {"train": 2, "evaluation": 1}.get(split, 0)
        return rank, unit_hash("recoloured", data.pictures.keys[row])

    for prompt in prompts:
        row = min(rows[prompt.noun], key=preference)
        picture = data.pictures.pictures[row].transpose(1, 2, 0)
        source = data.pictures.records[row]["colour"]
        if source != prompt.color:
            rgba = np.concatenate([picture, np.full_like(picture[..., :1], 255)], -1)
            picture = colors.recolor(rgba, source, prompt.color)[..., :3]
        yield np.ascontiguousarray(picture.transpose(2, 0, 1))
