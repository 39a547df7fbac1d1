"""Pictures of any size, brought to one: the only place where a data set's pictures are resized."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mode = Literal["pad", "crop"]


class Fit(NamedTuple):
    """How a picture is brought to a square: the part that is kept, and its size afterwards."""

    box: tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the original
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Above 1: the picture is enlarged."""
        return self.width / (self.box[2] - self.box[0])


def plan_fit(width: int, height: int, side: int, mode: Mode = "pad") -> Fit:
    """ "pad" keeps the whole picture and leaves the rest of the square empty; "crop" keeps the
    square in the center."""
    if mode == "crop":
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        return Fit((left, top, left + short, top + short), side, side)
    scale = side / max(width, height)
    return Fit((0, 0, width, height), max(1, round(width * scale)), max(1, round(height * scale)))


def fit(
    image: NDArray[np.uint8],
    side: int,
    mode: Mode = "pad",
    background: tuple[int, int, int] | None = None,
) -> NDArray[np.uint8]:
    """The picture `(H, W, 4)` as `(side, side, 4)`, straight alpha, by a Lanczos filter.

    "pad" scales it whole and centers it, "crop" cuts the longer side off evenly. The filter works
    on premultiplied alpha, so that transparent pixels lend no color. What is empty is transparent,
    or `background`, which also shows through the picture.
    """
    height, width = image.shape[:2]
    out = image
    if (height, width) != (side, side):
        plan = plan_fit(width, height, side, mode)
        layer = Image.fromarray(image).convert("RGBa")
        size = (plan.width, plan.height)
        layer = layer.resize(size, Image.Resampling.LANCZOS, plan.box, reducing_gap=3.0)
        out = np.zeros((side, side, 4), np.uint8)
        left, top = (side - plan.width) // 2, (side - plan.height) // 2
        out[top : top + plan.height, left : left + plan.width] = np.asarray(layer.convert("RGBA"))
    return out if background is None else flatten(out, background)


def flatten(image: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The picture `(..., 4)` over a color, opaque."""
    alpha = image[..., 3:].astype(np.uint16)
    ground = np.array(background, np.uint16)
    mixed = (image[..., :3] * alpha + ground * (255 - alpha) + 127) // 255
    return np.concatenate([mixed, np.full_like(alpha, 255)], -1).astype(np.uint8)
