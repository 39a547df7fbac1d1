"""The lab's pictures: one large object on white, 32x32 pixels, which a program can recognize."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.random import Generator, Philox
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.shapes import (
    COLORS,
    SHAPES,
    Scene,
    SceneObject,
    check_scene,
    draw_scene,
    scene_caption,
)
from undiffuse.data.shapes import SIDE as SCENE_SIDE

SIDE = 32  # pixels
PATCH = 32  # pixels a side of a token: the whole picture is one token
LATENT_SHAPE = (3 * PATCH * PATCH, SIDE // PATCH, SIDE // PATCH)
WHITE = 190  # of 255: least value of every channel of a white pixel
MIN_WHITE_SHARE = 0.3  # of a picture of one object
JITTER = 3.0  # of an object around the center of its quadrant, in pixels of the 64x64 scene
CLASSES = tuple(product(COLORS, SHAPES))
EXAMPLES = np.arange(12) * 37 % len(CLASSES)  # the classes in the report, mixed


def class_scene(which: int, x: float = 0.0, y: float = 0.0) -> Scene:
    """A scene with one object of a class at (x, y)."""
    color, shape = CLASSES[which]
    return Scene((SceneObject(color, shape, "large", x, y),))


PROMPTS = tuple(scene_caption(class_scene(which)) for which in range(len(CLASSES)))


@dataclass(frozen=True)
class ToyPictures:
    """`pixels`: `(N, 3, 32, 32)` in [-1, 1]; `which`: their classes `(N,)`."""

    pixels: Tensor
    which: NDArray[np.int64]

    def to_picture_set(self) -> PictureSet:
        """A training set in which each class is a concept."""
        fixed = {"tone": "", "family": "shapes", "group": "shapes"}
        records = [{**fixed, "concept": PROMPTS[k]} for k in self.which]
        return PictureSet(to_bytes(self.pixels), records, [f"{row}" for row in range(len(records))])


def make_pictures(count: int, seed: int) -> ToyPictures:
    """`count` pictures of all classes in turn.

    The object is in a random quadrant, so that the mean picture of a prompt is none of its
    pictures.
    """
    rng = Generator(Philox(key=[seed, 0x5CE2E]))
    centers = SCENE_SIDE * (0.25 + 0.5 * rng.integers(2, size=(count, 2)))
    places = centers + JITTER * (2 * rng.random((count, 2)) - 1)
    which = np.arange(count) % len(CLASSES)
    scenes = [
        draw_scene(class_scene(int(k), *at))[..., :3] for k, at in zip(which, places, strict=True)
    ]
    pixels = torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return ToyPictures(F.avg_pool2d(pixels, SCENE_SIDE // SIDE), which)


def to_bytes(pixels: Tensor) -> NDArray[np.uint8]:
    """`(B, 3, H, W)` in [-1, 1], clipped -> bytes of the same shape."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()


def patchify(pixels: Tensor) -> Tensor:
    """`(B, 3, 32, 32)` -> `(B, *LATENT_SHAPE)`, the network's input."""
    return F.pixel_unshuffle(pixels, PATCH)


def unpatchify(x: Tensor) -> Tensor:
    """The inverse of `patchify`."""
    return F.pixel_shuffle(x, PATCH)


def is_correct(pixels: Tensor, which: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(B,)`: 1 where a picture shows exactly one object, with the color and shape of its class.

    A picture without a white background gets 0 at once: finding objects in noise is slow.
    """
    correct = []
    for picture, k in zip(to_bytes(pixels).transpose(0, 2, 3, 1), which, strict=True):
        if (picture.min(-1) >= WHITE).mean() < MIN_WHITE_SHARE:
            correct.append(0.0)
            continue
        verdicts = check_scene(picture, class_scene(int(k))).verdicts
        correct.append(float(verdicts["count"] and verdicts["color"] and verdicts["shape"]))
    return np.array(correct)


def class_variance(pixels: Tensor, which: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(K,)`: the unbiased variance of a pixel among the pictures of each class."""
    groups = [pixels[torch.from_numpy(which == k)] for k in np.unique(which)]
    return np.array([float(group.var(0).mean()) for group in groups])
