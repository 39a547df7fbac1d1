"""Colour names by program: what hue a picture has, and the same picture in another colour."""

import numpy as np
from numpy.typing import NDArray

# Name -> (hue in degrees, saturation factor, value factor) that recolouring aims at.
TINTS: dict[str, tuple[float, float, float]] = {
    "red": (0.0, 1.0, 1.0),
    "orange": (28.0, 1.0, 1.0),
    "yellow": (52.0, 1.0, 1.05),
    "green": (125.0, 0.9, 0.85),
    "blue": (215.0, 1.0, 1.0),
    "purple": (275.0, 0.85, 0.9),
    "pink": (328.0, 0.55, 1.1),
}
# Upper bounds of hue, in degrees, for saturated pixels; above the last it is red again.
_HUES = ((14.0, "red"), (42.0, "orange"), (68.0, "yellow"), (170.0, "green"), (252.0, "blue"))
_HUES_ABOVE = ((300.0, "purple"), (345.0, "pink"), (360.0, "red"))
NAMES = (*TINTS, "brown", "black", "white", "grey")


def to_hsv(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(..., 3)` bytes to hue in [0, 360), saturation and value in [0, 1]."""
    colour = rgb.astype(np.float32) / 255.0
    high, low = colour.max(-1), colour.min(-1)
    span = np.maximum(high - low, 1e-6)
    red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]
    sector = np.where(
        high == red,
        ((green - blue) / span) % 6.0,
        np.where(high == green, (blue - red) / span + 2.0, (red - green) / span + 4.0),
    )
    return np.stack([sector * 60.0, (high - low) / np.maximum(high, 1e-6), high], axis=-1)


def to_rgb(hsv: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The inverse of `to_hsv`, rounded to bytes."""
    hue, saturation, value = hsv[..., 0] / 60.0, hsv[..., 1], hsv[..., 2]
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = (offset + hue) % 6.0
        ramp = np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)
        channels.append(value - value * saturation * ramp)
    return np.clip(np.rint(np.stack(channels, -1) * 255.0), 0, 255).astype(np.uint8)


def classify(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The index in `NAMES` of each pixel's colour: `(..., 3)` bytes -> `(...)`."""
    hue, saturation, value = np.moveaxis(to_hsv(rgb), -1, 0)
    index = np.full(hue.shape, NAMES.index("red"))
    for bound, name in reversed((*_HUES, *_HUES_ABOVE)):
        index[hue < bound] = NAMES.index(name)
    warm = (hue < 42.0) | (hue > 345.0)
    index[warm & (value < 0.62) & (saturation > 0.3)] = NAMES.index("brown")
    pale = ((hue > 330.0) | (hue < 14.0)) & (saturation < 0.55) & (value > 0.75)
    index[pale] = NAMES.index("pink")
    dull = saturation < 0.18
    index[dull] = NAMES.index("grey")
    index[dull & (value > 0.88)] = NAMES.index("white")
    index[value < 0.22] = NAMES.index("black")
    return index


def dominant(rgb: NDArray[np.uint8], ink: NDArray[np.bool_]) -> tuple[str, float]:
    """The commonest colour of the pixels where `ink` is true, and its share; ("", 0.0) if none.

    `rgb`: `(H, W, 3)` bytes; `ink`: `(H, W)`, true where the picture is not ground.
    """
    if not ink.any():
        return "", 0.0
    counts = np.bincount(classify(rgb[ink]), minlength=len(NAMES))
    best = int(counts.argmax())
    return NAMES[best], float(counts[best] / counts.sum())


def recolour(rgba: NDArray[np.uint8], source: str, target: str) -> NDArray[np.uint8]:
    """The picture with every pixel of colour `source` moved to `target`; shading is kept."""
    hue, saturation_factor, value_factor = TINTS[target]
    out = rgba.copy()
    chosen = (classify(rgba[..., :3]) == NAMES.index(source)) & (rgba[..., 3] > 0)
    hsv = to_hsv(rgba[..., :3][chosen])
    hsv[:, 0] = hue
    # Floors, or a dull or dark thing would not show its new colour.
    hsv[:, 1] = np.clip(np.maximum(hsv[:, 1], 0.45) * saturation_factor, 0.0, 1.0)
    hsv[:, 2] = np.clip((0.25 + 0.75 * hsv[:, 2]) * value_factor, 0.0, 1.0)
    out[..., :3][chosen] = to_rgb(hsv)
    return out
