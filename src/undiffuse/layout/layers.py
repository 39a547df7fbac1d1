"""Layers that pictures are composed of: cut to what is drawn, resized, pasted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Premultiplied = NDArray[np.uint8]  # (S, S, 4): RGB multiplied by alpha, and alpha
Box = tuple[int, int, int]  # left, top, side
Bounds = tuple[int, int, int, int]  # left, top, right, bottom
VISIBLE = 24  # of 255: alpha above it counts as drawn


@dataclass(frozen=True)
class Layer:
    """Premultiplied pixels and where their upper left corner goes."""

    pixels: Premultiplied
    left: int
    top: int


def bounds_of(picture: Premultiplied) -> Bounds:
    """The smallest rectangle with all that is visible; the whole picture if nothing is."""
    drawn = picture[..., 3] > VISIBLE
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    if not len(rows):
        return 0, 0, picture.shape[1], picture.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def resized(picture: Premultiplied, bounds: Bounds, width: int, height: int) -> Premultiplied:
    """What is inside the bounds, in another size."""
    from PIL import Image

    left, top, right, bottom = bounds
    cut = np.ascontiguousarray(picture[top:bottom, left:right])
    # Of an RGBA image, Pillow would multiply the colors by alpha once more.
    image = Image.frombytes("RGBa", (right - left, bottom - top), cut.tobytes())
    image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, 4)


def paste(canvas: Premultiplied, layer: Layer) -> None:
    """Put a layer over the canvas: over = layer + canvas * (1 - alpha). What is outside is cut."""
    height, width = canvas.shape[:2]
    left, top = max(0, layer.left), max(0, layer.top)
    right = min(width, layer.left + layer.pixels.shape[1])
    bottom = min(height, layer.top + layer.pixels.shape[0])
    if left >= right or top >= bottom:
        return
    over = layer.pixels[
        top - layer.top : bottom - layer.top, left - layer.left : right - layer.left
    ]
    under = canvas[top:bottom, left:right]
    rest = 255 - over[..., 3:].astype(np.uint16)
    # Filters round color and alpha apart, so that the sum can be a little too large.
    under[...] = np.minimum(over + (under * rest + 127) // 255, 255)
