"""What scenes are put together with: colors, boxes for layers, and plurals for captions."""

import numpy as np
from numpy.random import Generator

from undiffuse.data.composites import pluralize
from undiffuse.layout.layers import Box, Premultiplied
from undiffuse.layout.words import IRREGULAR

COLORS = {
    "red": (220, 45, 45), "orange": (240, 135, 35), "yellow": (245, 205, 55),
    "green": (60, 160, 75), "blue": (45, 110, 225), "purple": (135, 75, 200),
    "pink": (240, 130, 180), "brown": (125, 80, 45), "black": (20, 20, 20),
    "white": (250, 250, 250), "grey": (140, 140, 140),
}  # fmt: skip


def tint(pixels: Premultiplied, color: str) -> Premultiplied:
    """The pixels in one color, their alpha kept."""
    alpha = pixels[..., 3:].astype(np.uint16)
    rgb = (alpha * np.array(COLORS[color], np.uint16) + 127) // 255
    return np.concatenate([rgb.astype(np.uint8), pixels[..., 3:]], -1)


def jitter(rng: Generator, amount: int) -> int:
    return int(rng.integers(-amount, amount + 1))


def front_and_back(side: int, rng: Generator) -> list[Box]:
    """A small box at a lower corner, and a large one behind it."""
    front, back = round(side * rng.uniform(0.42, 0.52)), round(side * rng.uniform(0.72, 0.85))
    corner = int(rng.integers(2)) * (side - front)
    return [(corner, side - front, front), ((side - back) // 2, side // 16, back)]


def halves(side: int, relation: str, rng: Generator) -> list[Box]:
    """Two boxes in the two halves of the picture."""
    half = side // 2
    size = round(half * rng.uniform(0.84, 0.98))
    along = [(half - size) // 2, half + (half - size) // 2]
    if relation in ("right of", "below"):
        along.reverse()
    across = [half // 2 + jitter(rng, half // 4) for _ in range(2)]
    if relation in ("left of", "right of"):
        return [(along[0], across[0], size), (along[1], across[1], size)]
    return [(across[0], along[0], size), (across[1], along[1], size)]


_IRREGULAR = {one: many for many, one in IRREGULAR.items()}


def plural(name: str) -> str:
    """The plural of a name's last word: "polar bear" -> "polar bears", "mouse" -> "mice"."""
    head, _, last = name.rpartition(" ")
    found = _IRREGULAR.get(last) or pluralize(last)
    return f"{head} {found}".strip()
