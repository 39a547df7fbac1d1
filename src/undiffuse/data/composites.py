"""Composites: new pictures made by program from the transparent emoji, captioned as made.

They teach what single emoji cannot: that "blue" and "apple" are two words, that a hat is a thing
one can wear, what "beside" and "two" mean. A fixed set of pairs is never made, to judge with.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.random import Generator, Philox
from PIL import Image

from undiffuse.data import colours
from undiffuse.data.shards import Sample
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError

SIDE = 64
PAIR_SHARE = 0.15  # of all pairs, held out
# What is worn -> (width and foot of it, as shares of the wearer's; the foot from the top)
WORN: dict[str, tuple[str, float, float]] = {
    "1f3a9": ("top hat", 0.75, 0.18),
    "1f451": ("crown", 0.70, 0.14),
    "1f393": ("graduation cap", 0.95, 0.22),
    "1f9e2": ("cap", 0.85, 0.24),
    "1f452": ("hat", 0.95, 0.22),
    "26d1": ("helmet", 0.90, 0.28),
    "1f453": ("glasses", 0.85, 0.58),
    "1f576": ("sunglasses", 0.85, 0.58),
}
GROUNDS = {
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
COLOURED_GROUPS = ("animals & nature", "food & drink", "travel & places", "activities", "objects")


def is_held_out(*pair: str) -> bool:
    """Whether a pair (colour and noun, hat and head, two things) is kept for judging."""
    return unit_hash("pair", *pair) < PAIR_SHARE


def noun(name: str) -> str:
    """The name without the colour words in it: "red apple" -> "apple"."""
    words = [word for word in name.split() if word not in colours.NAMES]
    return " ".join(words) or name


def with_article(text: str) -> str:
    """ "apple" -> "an apple"."""
    return f"{'an' if text[:1] in 'aeiou' else 'a'} {text}"


def wearing(name: str, thing: str) -> str:
    """ "cat", "cap" -> "cat wearing a cap"."""
    return f"{name} wearing {thing if 'glasses' in thing else with_article(thing)}"


def can_be_recoloured(record: dict) -> bool:
    """Whether the picture is a thing of one colour that a program can exchange."""
    return record["colour"] in colours.TINTS and record["group"] in COLOURED_GROUPS


def is_head(record: dict) -> bool:
    """Whether the picture shows a head that a hat can sit on."""
    words = record["subgroup"].split() + record["name"].split()
    plain = not set(record["keywords"]) & {"hat", "cap", "helmet", "crown", "glasses", "eyeglasses"}
    animal = record["group"] == "animals & nature" and record["name"].endswith(" face")
    smiley = record["group"] == "smileys & emotion" and any(word in HEADS for word in words)
    return plain and (animal or smiley)


def composites(samples: Sequence[Sample], count: int, seed: int = 0) -> Iterator[Sample]:
    """`count` composites of the samples that train; number k depends on the seed and k alone."""
    pool = [s for s in samples if s.record["split"] == "train" and not s.record["tone"]]
    pool = [s for s in pool if s.record["group"] != "flags"]
    by_family: dict[str, dict[str, Sample]] = {}
    for sample in pool:
        by_family.setdefault(sample.record["family"], {})[sample.record["concept"]] = sample
    coloured = [s for s in pool if can_be_recoloured(s.record)]
    heads = [s for s in pool if is_head(s.record)]
    things = [s for s in pool if s.record["group"] != "symbols"]
    makers: list[tuple[Callable, Sequence[Sample]]] = [
        (_recoloured, coloured),
        (_wearing, heads),
        (_beside, things),
        (_two, things),
        (_on_ground, pool),
    ]
    if not pool:
        raise UserError("there is no picture to make composites of")
    shares = np.cumsum([0.4, 0.2, 0.15, 0.1, 0.15])
    for index in range(count):
        rng = Generator(Philox(key=[seed, index]))
        made = None
        while made is None:
            maker, sources = makers[int(np.searchsorted(shares, rng.random() * shares[-1]))]
            if not sources:  # of a small set
                continue
            source = sources[int(rng.integers(len(sources)))]
            made = maker(source, by_family[source.record["family"]], rng)
        picture, changes = made
        yield Sample(
            f"composite_{index:06d}", picture, {**source.record, "made_of": [source.key], **changes}
        )


Made = tuple[np.ndarray, dict] | None


def _recoloured(sample: Sample, family: dict[str, Sample], rng: Generator) -> Made:
    record = sample.record
    colour = str(rng.choice([name for name in colours.TINTS if name != record["colour"]]))
    thing = noun(record["name"])
    if is_held_out(colour, thing):
        return None
    keywords = [word for word in record["keywords"] if word not in colours.NAMES]
    changes = _changes("recoloured", f"{colour} {thing}", [*keywords, thing], colour)
    return colours.recolour(sample.picture, record["colour"], colour), changes


def _wearing(sample: Sample, family: dict[str, Sample], rng: Generator) -> Made:
    codes = [code for code in WORN if code in family]
    if not codes:
        return None
    code = str(rng.choice(codes))
    word, width, foot = WORN[code]
    if is_held_out(word, sample.record["name"]):
        return None
    picture = wear(sample.picture, family[code].picture, width, foot)
    name = wearing(sample.record["name"], word)
    changes = _changes("wearing", name, [*sample.record["keywords"], word], "")
    return picture, {**changes, "worn": word}


def wear(head: np.ndarray, thing: np.ndarray, width: float, foot: float) -> np.ndarray:
    """The head made smaller at the bottom, the thing put on it: `(64, 64, 4)` bytes."""
    high = foot < 0.4
    side = 48 if high else SIDE
    canvas = Image.new("RGBA", (SIDE, SIDE))
    canvas.alpha_composite(_resized(head, side), ((SIDE - side) // 2, SIDE - side))
    box = canvas.getchannel("A").point(lambda a: 255 * (a > 127)).getbbox() or (0, 0, SIDE, SIDE)
    left, top, right, bottom = box
    cut = Image.fromarray(thing)
    cut = cut.crop(cut.getchannel("A").point(lambda a: 255 * (a > 127)).getbbox())
    wide = max(4, round((right - left) * width))
    tall = max(4, min(round(cut.height * wide / cut.width), 30 if high else 24))
    cut = cut.resize((wide, tall), Image.Resampling.LANCZOS)
    foot_row = top + round((bottom - top) * foot)
    place = ((left + right - wide) // 2, max(0, foot_row - tall))
    canvas.alpha_composite(cut, (max(0, place[0]), place[1]))
    return np.asarray(canvas)


def _beside(sample: Sample, family: dict[str, Sample], rng: Generator) -> Made:
    others = list(family.values())
    other = others[int(rng.integers(len(others)))]
    names = sample.record["name"], other.record["name"]
    if names[0] == names[1] or is_held_out(*sorted(names)):
        return None
    canvas = Image.new("RGBA", (SIDE, SIDE))
    for part, left in ((sample, 0), (other, SIDE // 2)):
        canvas.alpha_composite(_resized(part.picture, SIDE // 2), (left, SIDE // 4))
    joint = str(rng.choice(["beside", "next to", "and", "to the left of"]))
    name = f"{names[0]} {joint} {names[1]}"
    changes = _changes("beside", name, [*names], "")
    return np.asarray(canvas), {**changes, "made_of": [sample.key, other.key]}


def _two(sample: Sample, family: dict[str, Sample], rng: Generator) -> Made:
    name = sample.record["name"]
    if is_held_out("two", name):
        return None
    canvas = Image.new("RGBA", (SIDE, SIDE))
    half = _resized(sample.picture, SIDE // 2)
    for left in (0, SIDE // 2):
        canvas.alpha_composite(half, (left, SIDE // 4))
    return np.asarray(canvas), _changes("two", f"two {plural(name)}", [name], "")


def _on_ground(sample: Sample, family: dict[str, Sample], rng: Generator) -> Made:
    ground = str(rng.choice(list(GROUNDS)))
    name = sample.record["name"]
    if is_held_out("on", ground, name):
        return None
    canvas = Image.new("RGBA", (SIDE, SIDE), (*GROUNDS[ground], 255))
    canvas.alpha_composite(Image.fromarray(sample.picture))
    word = str(rng.choice(["ground", "background"]))
    return np.asarray(canvas), _changes(
        "ground", f"{name} on {with_article(ground)} {word}", [*sample.record["keywords"], name], ""
    )


def plural(name: str) -> str:
    """The plural of a name's last word, by the ordinary rules."""
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"


def _changes(kind: str, name: str, keywords: list[str], colour: str) -> dict:
    return {
        "name": name,
        "keywords": keywords,
        "colour": colour,
        "concept": f"{kind}: {name}",
        "composite": kind,
    }


def _resized(picture: np.ndarray, side: int) -> Image.Image:
    return Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
