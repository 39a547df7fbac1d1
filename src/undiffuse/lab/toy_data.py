"""The lab's pictures: one large thing on white, 32x32, of which a program checks what it is."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.random import Generator, Philox
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.shapes import COLOURS, SHAPES, Scene, Thing, caption, check, draw_scene
from undiffuse.data.shapes import SIDE as DRAWN_SIDE

SIDE = 32  # pixels
FOLD = 32  # pixels a side of a place: the whole picture is one token
PLACES, CHANNELS = SIDE // FOLD, 3 * FOLD * FOLD
LIGHT = 190  # of 255, in every channel: may still be meant as white
JITTER = 3.0  # of a thing around the middle of its quarter, in the 64 pixels it is drawn at
LOOKS = tuple(product(COLOURS, SHAPES))


def thing_of(which: int, x: float = 0.0, y: float = 0.0) -> Scene:
    """The scene of a prompt, by its number, with the one thing at (x, y)."""
    colour, shape = LOOKS[which]
    return Scene((Thing(colour, shape, "large", x, y),))


PROMPTS = tuple(caption(thing_of(which)) for which in range(len(LOOKS)))


@dataclass(frozen=True)
class Pictures:
    """`pixels`: `(N, 3, 32, 32)` in [-1, 1]; `which`: `(N,)`, of which prompt."""

    pixels: Tensor
    which: NDArray[np.int64]

    @property
    def bytes(self) -> NDArray[np.uint8]:
        """`(N, 3, 32, 32)`."""
        return to_bytes(self.pixels)

    def as_set(self) -> PictureSet:
        """As the denoiser's recipe takes them: every prompt a concept, drawn evenly."""
        fixed = {"tone": "", "family": "shapes", "group": "shapes"}
        records = [{**fixed, "concept": PROMPTS[k]} for k in self.which]
        return PictureSet(self.bytes, records, [f"{row}" for row in range(len(records))])


def make_pictures(count: int, seed: int) -> Pictures:
    """`count` pictures, the prompts in turn, each thing in one of the four quarters of its picture.

    Quarters, so that the mean of what a prompt allows is no picture that it allows.
    """
    rng = Generator(Philox(key=[seed, 0x5CE2E]))
    middle = DRAWN_SIDE * (0.25 + 0.5 * rng.integers(2, size=(count, 2)))
    places = middle + JITTER * (2 * rng.random((count, 2)) - 1)
    which = np.arange(count) % len(LOOKS)
    drawn = [
        draw_scene(thing_of(int(k), *at))[..., :3] for k, at in zip(which, places, strict=True)
    ]
    pixels = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Pictures(F.avg_pool2d(pixels, DRAWN_SIDE // SIDE), which)


def to_bytes(pixels: Tensor) -> NDArray[np.uint8]:
    """`(B, 3, H, W)` in [-1, 1], what lies outside clipped -> bytes of the same shape."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()


def fold(pixels: Tensor) -> Tensor:
    """`(B, 3, 32, 32)` -> `(B, 192, 4, 4)`: what the network draws on."""
    return F.pixel_unshuffle(pixels, FOLD)


def unfold(x: Tensor) -> Tensor:
    """The inverse of `fold`."""
    return F.pixel_shuffle(x, FOLD)


def agreement(pixels: Tensor, which: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(B,)`: 1 where a picture shows one thing, of the colour and the shape that was asked for.

    What has no light ground is no picture of one thing; to look for things in noise takes long.
    """
    kept = []
    for picture, k in zip(to_bytes(pixels).transpose(0, 2, 3, 1), which, strict=True):
        if (picture.min(-1) >= LIGHT).mean() < 0.3:
            kept.append(0.0)
            continue
        asked = thing_of(int(k))
        verdicts = check(picture, asked).verdicts
        kept.append(float(verdicts["count"] and verdicts["colour"] and verdicts["shape"]))
    return np.array(kept)


def spread(pixels: Tensor, which: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(K,)`: how much pictures of the same prompt differ, a prompt each: the variance of a pixel.

    Unbiased, so that sets of different sizes compare.
    """
    groups = [pixels[torch.from_numpy(which == k)] for k in np.unique(which)]
    return np.array([float(group.var(0).mean()) for group in groups])
