"""Composites: new training pictures made from emoji, with captions.

They teach what single emoji cannot: that "blue" and "apple" are separate words, that a hat can be
worn, and what "beside" and "two" mean. Some pairs are never made and serve evaluation.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from numpy.random import Generator, Philox
from PIL import Image

from undiffuse.data import colors
from undiffuse.data.shards import Sample
from undiffuse.data.split import TRAIN, unit_hash
from undiffuse.errors import UserError

SIDE = 64
HELD_OUT_SHARE = 0.15  # of all pairs
# Concept -> (word, width, bottom edge): shares of the head's width, and of its height from the top.
ACCESSORIES: dict[str, tuple[str, float, float]] = {
    "1f3a9": ("top hat", 0.75, 0.18),
    "1f451": ("crown", 0.70, 0.14),
    "1f393": ("graduation cap", 0.95, 0.22),
    "1f9e2": ("cap", 0.85, 0.24),
    "1f452": ("hat", 0.95, 0.22),
    "26d1": ("helmet", 0.90, 0.28),
    "1f453": ("glasses", 0.85, 0.58),
    "1f576": ("sunglasses", 0.85, 0.58),
}
BACKGROUNDS = {
    "red": (225, 60, 55),
    "orange": (245, 150, 50),
    "yellow": (250, 220, 80),
    "green": (90, 185, 95),
    "blue": (75, 145, 230),
    "purple": (150, 95, 205),
    "pink": (250, 160, 200),
    "black": (25, 25, 25),
    "grey": (150, 150, 150),
}
HEADS = ("face", "cat", "monkey")
RECOLORABLE_GROUPS = (
    "animals & nature", "food & drink", "travel & places", "activities", "objects",
)  # fmt: skip
COMPOSITES = ("recoloured", "wearing", "beside", "two", "ground")
Composite = tuple[np.ndarray, dict]  # RGBA picture, changes of the record
HeldOut = Callable[..., bool]  # whether a pair of words must not be made
Maker = Callable[[Sample, dict[str, Sample], Generator, HeldOut], Composite | None]


def is_held_out_pair(*pair: str) -> bool:
    """Whether a pair (color and noun, accessory and head, two objects) is kept for evaluation."""
    return unit_hash("pair", *pair) < HELD_OUT_SHARE


def remove_colors(name: str) -> str:
    """The name without its color words: "red apple" -> "apple"."""
    words = [word for word in name.split() if word not in colors.NAMES]
    return " ".join(words) or name


def with_article(text: str) -> str:
    """ "apple" -> "an apple"."""
    return f"{'an' if text[:1] in 'aeiou' else 'a'} {text}"


def wearing(name: str, accessory: str) -> str:
    """ "cat", "cap" -> "cat wearing a cap"."""
    return f"{name} wearing {accessory if 'glasses' in accessory else with_article(accessory)}"


def is_recolorable(record: dict) -> bool:
    """Whether the picture shows an object of one hue, which `colors.recolor` can change."""
    return record["colour"] in colors.TINTS and record["group"] in RECOLORABLE_GROUPS


def shows_head(record: dict) -> bool:
    """Whether the picture shows a bare head that can wear an accessory."""
    words = record["subgroup"].split() + record["name"].split()
    plain = not set(record["keywords"]) & {"hat", "cap", "helmet", "crown", "glasses", "eyeglasses"}
    animal = record["group"] == "animals & nature" and record["name"].endswith(" face")
    smiley = record["group"] == "smileys & emotion" and any(word in HEADS for word in words)
    return plain and (animal or smiley)


def main_color(record: dict) -> str:
    """The color of a picture that a program can change, "" if there is none. Not black: outlines
    and eyes are black as well.
    """
    color = record["colour"] or next(iter(record.get("colors", ())), "")
    return color if record["group"] in RECOLORABLE_GROUPS and color != "black" else ""


def make_composites(
    samples: Sequence[Sample], count: int, seed: int = 0, kinds: Collection[str] = (),
    held_out: HeldOut = is_held_out_pair,
) -> Iterator[Sample]:  # fmt: skip
    """`count` composites of the training samples. Number k depends only on the other arguments and
    k. `kinds`: of `COMPOSITES`; all if none is given. `held_out`: which pairs are not made.
    """
    pool = [
        sample for sample in samples
        if sample.record["split"] == TRAIN
        and not sample.record["tone"]
        and sample.record["group"] != "flags"
    ]  # fmt: skip
    if not pool:
        raise UserError("the data set has no training picture to make composites from")
    by_style: dict[str, dict[str, Sample]] = {}
    for sample in pool:
        code = sample.record.get("code") or sample.key.rpartition("_")[2]
        by_style.setdefault(sample.record["family"], {})[code] = sample
    objects = [s for s in pool if s.record["group"] != "symbols"]
    every: list[tuple[float, Maker, Sequence[Sample]]] = [
        (0.4, _recolor, [s for s in pool if main_color(s.record)]),
        (0.2, _add_accessory, [s for s in pool if shows_head(s.record)]),
        (0.15, _place_beside, objects),
        (0.1, _duplicate, objects),
        (0.15, _add_background, pool),
    ]
    makers = [maker for maker, kind in zip(every, COMPOSITES, strict=True)
              if not kinds or kind in kinds]  # fmt: skip
    for kind in kinds:
        if kind not in COMPOSITES:
            raise UserError(f"composites of kind {kind!r} are unknown: choose "
                            f"{', '.join(COMPOSITES)}")  # fmt: skip
    if not any(sources for *_, sources in makers):
        raise UserError(f"the data set has nothing for composites of the kinds {', '.join(kinds)}")
    shares = np.cumsum([share for share, *_ in makers])
    for index in range(count):
        rng = Generator(Philox(key=[seed, index]))
        made = None
        while made is None:
            _, maker, sources = makers[int(np.searchsorted(shares, rng.random() * shares[-1]))]
            if sources:  # a small set can have none
                source = sources[int(rng.integers(len(sources)))]
                made = maker(source, by_style[source.record["family"]], rng, held_out)
        picture, changes = made
        record = {**source.record, "made_of": [source.key], **changes}
        yield Sample(f"composite_{index:06d}", picture, record)


def _recolor(
    sample: Sample, style: dict[str, Sample], rng: Generator, held_out: HeldOut
) -> Composite | None:
    record = sample.record
    source = main_color(record)
    color = str(rng.choice([name for name in colors.NAMES if name != source]))
    noun = remove_colors(record["name"])
    if held_out(color, noun):
        return None
    keywords = [word for word in record["keywords"] if word not in colors.NAMES]
    changes = _changes("recoloured", f"{color} {noun}", [*keywords, noun], color)
    return colors.recolor(sample.picture, source, color), changes


def _add_accessory(
    sample: Sample, style: dict[str, Sample], rng: Generator, held_out: HeldOut
) -> Composite | None:
    codes = [code for code in ACCESSORIES if code in style]
    if not codes:
        return None
    code = str(rng.choice(codes))
    word, width, bottom = ACCESSORIES[code]
    if held_out(word, sample.record["name"]):
        return None
    picture = put_on(sample.picture, style[code].picture, width, bottom)
    name = wearing(sample.record["name"], word)
    changes = _changes("wearing", name, [*sample.record["keywords"], word])
    return picture, {**changes, "worn": word}


def put_on(head: np.ndarray, accessory: np.ndarray, width: float, bottom: float) -> np.ndarray:
    """A head that wears an accessory, all `(64, 64, 4)` uint8. A hat makes the head smaller.

    `width`, `bottom`: of the accessory, as in `ACCESSORIES`.
    """
    is_hat = bottom < 0.4
    side = 48 if is_hat else SIDE
    canvas = Image.new("RGBA", (SIDE, SIDE))
    canvas.alpha_composite(_resize(head, side), ((SIDE - side) // 2, SIDE - side))
    left, top, right, lowest = _bounding_box(canvas) or (0, 0, SIDE, SIDE)
    cut = Image.fromarray(accessory)
    cut = cut.crop(_bounding_box(cut))
    wide = max(4, round((right - left) * width))
    tall = max(4, min(round(cut.height * wide / cut.width), 30 if is_hat else 24))
    cut = cut.resize((wide, tall), Image.Resampling.LANCZOS)
    x = max(0, (left + right - wide) // 2)
    y = max(0, top + round((lowest - top) * bottom) - tall)
    canvas.alpha_composite(cut, (x, y))
    return np.asarray(canvas)


def _bounding_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    return image.getchannel("A").point(lambda a: 255 * (a > 127)).getbbox()


def _place_beside(
    sample: Sample, style: dict[str, Sample], rng: Generator, held_out: HeldOut
) -> Composite | None:
    others = list(style.values())
    other = others[int(rng.integers(len(others)))]
    names = sample.record["name"], other.record["name"]
    if names[0] == names[1] or held_out(*sorted(names)):
        return None
    joint = str(rng.choice(["beside", "next to", "and", "to the left of"]))
    changes = _changes("beside", f"{names[0]} {joint} {names[1]}", [*names])
    return _side_by_side(sample, other), {**changes, "made_of": [sample.key, other.key]}


def _duplicate(
    sample: Sample, style: dict[str, Sample], rng: Generator, held_out: HeldOut
) -> Composite | None:
    name = sample.record["name"]
    if held_out("two", name):
        return None
    return _side_by_side(sample, sample), _changes("two", f"two {pluralize(name)}", [name])


def _side_by_side(left: Sample, right: Sample) -> np.ndarray:
    canvas = Image.new("RGBA", (SIDE, SIDE))
    canvas.alpha_composite(_resize(left.picture, SIDE // 2), (0, SIDE // 4))
    canvas.alpha_composite(_resize(right.picture, SIDE // 2), (SIDE // 2, SIDE // 4))
    return np.asarray(canvas)


def _add_background(
    sample: Sample, style: dict[str, Sample], rng: Generator, held_out: HeldOut
) -> Composite | None:
    color = str(rng.choice(list(BACKGROUNDS)))
    name = sample.record["name"]
    if held_out("on", color, name):
        return None
    canvas = Image.new("RGBA", (SIDE, SIDE), (*BACKGROUNDS[color], 255))
    canvas.alpha_composite(Image.fromarray(sample.picture))
    title = f"{name} on {with_article(color)} {rng.choice(['ground', 'background'])}"
    return np.asarray(canvas), _changes("ground", title, [*sample.record["keywords"], name])


def pluralize(name: str) -> str:
    """The regular plural of a name's last word."""
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"


def _changes(kind: str, name: str, keywords: list[str], color: str = "") -> dict:
    concept = f"{kind}: {name}"
    changes = {"name": name, "keywords": keywords, "concept": concept, "composite": kind}
    return {**changes, "colour": color}


def _resize(picture: np.ndarray, side: int) -> Image.Image:
    return Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
