"""Color names of pixels, and pictures in another color."""

import numpy as np
from numpy.typing import NDArray

# Name -> (hue in degrees, saturation factor, value factor) that recoloring aims at.
TINTS: dict[str, tuple[float, float, float]] = {
    "red": (0.0, 1.0, 1.0),
    "orange": (28.0, 1.0, 1.0),
    "yellow": (52.0, 1.0, 1.05),
    "green": (125.0, 0.9, 0.85),
    "blue": (215.0, 1.0, 1.0),
    "purple": (275.0, 0.85, 0.9),
    "pink": (328.0, 0.55, 1.1),
}
# Name -> (hue, saturation, lowest value, range of values): colors without a hue of their own.
SHADES: dict[str, tuple[float, float, float, float]] = {
    "brown": (24.0, 0.6, 0.25, 0.33),
    "black": (0.0, 0.05, 0.04, 0.16),
    "white": (0.0, 0.03, 0.84, 0.16),
    "grey": (0.0, 0.04, 0.35, 0.45),
}
# Upper bounds of the hue, in degrees, of saturated pixels. Hues above the last bound are red.
_HUES = {14: "red", 42: "orange", 68: "yellow", 170: "green", 252: "blue", 300: "purple",
         345: "pink", 360: "red"}  # fmt: skip
NAMES = (*TINTS, "brown", "black", "white", "grey")  # in the spelling of the data set's captions


def rgb_to_hsv(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(..., 3)` uint8 -> hue in [0, 360), saturation and value in [0, 1]; as `colorsys` does."""
    color = rgb.astype(np.float32) / 255.0
    high, low = color.max(-1), color.min(-1)
    span = np.maximum(high - low, 1e-6)
    red, green, blue = np.moveaxis(color, -1, 0)
    sector = np.where(
        high == red,
        ((green - blue) / span) % 6.0,
        np.where(high == green, (blue - red) / span + 2.0, (red - green) / span + 4.0),
    )
    return np.stack([sector * 60.0, (high - low) / np.maximum(high, 1e-6), high], axis=-1)


def hsv_to_rgb(hsv: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The inverse of `rgb_to_hsv`, rounded to uint8."""
    hue, saturation, value = hsv[..., 0] / 60.0, hsv[..., 1], hsv[..., 2]
    k = (np.array([5.0, 3.0, 1.0], np.float32) + hue[..., None]) % 6.0
    ramp = np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)
    rgb = value[..., None] - (value * saturation)[..., None] * ramp
    return np.clip(np.rint(rgb * 255.0), 0, 255).astype(np.uint8)


def classify_pixels(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The index in `NAMES` of each pixel's color: `(..., 3)` uint8 -> `(...)`."""
    hue, saturation, value = np.moveaxis(rgb_to_hsv(rgb), -1, 0)
    hue_index = np.array([NAMES.index(name) for name in (*_HUES.values(), "red")])
    index = hue_index[np.searchsorted(list(_HUES), hue, side="right")]
    warm = (hue < 42.0) | (hue > 345.0)
    index[warm & (value < 0.62) & (saturation > 0.3)] = NAMES.index("brown")
    pale = ((hue > 330.0) | (hue < 14.0)) & (saturation < 0.55) & (value > 0.75)
    index[pale] = NAMES.index("pink")
    dull = saturation < 0.18
    index[dull] = NAMES.index("grey")
    index[dull & (value > 0.88)] = NAMES.index("white")
    index[value < 0.22] = NAMES.index("black")
    return index


def dominant_color(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[str, float]:
    """The most common color of the masked pixels and its share; ("", 0.0) for an empty mask.

    `rgb`: `(H, W, 3)` uint8; `mask`: `(H, W)`, true where the picture is not background.
    """
    if not mask.any():
        return "", 0.0
    counts = np.bincount(classify_pixels(rgb[mask]), minlength=len(NAMES))
    best = int(counts.argmax())
    return NAMES[best], float(counts[best] / counts.sum())


def recolor(rgba: NDArray[np.uint8], source: str, target: str) -> NDArray[np.uint8]:
    """The picture with every pixel of color `source` in color `target`. Shading is kept."""
    out = rgba.copy()
    mask = (classify_pixels(rgba[..., :3]) == NAMES.index(source)) & (rgba[..., 3] > 0)
    hsv = rgb_to_hsv(rgba[..., :3][mask])
    if target in SHADES:
        hue, saturation, lowest, span = SHADES[target]
        hsv[:, 1], hsv[:, 2] = saturation, lowest + span * hsv[:, 2]
    else:
        hue, saturation_factor, value_factor = TINTS[target]
        # Lower bounds, or a dull or dark object would not show its new color.
        hsv[:, 1] = np.clip(np.maximum(hsv[:, 1], 0.45) * saturation_factor, 0.0, 1.0)
        hsv[:, 2] = np.clip((0.25 + 0.75 * hsv[:, 2]) * value_factor, 0.0, 1.0)
    hsv[:, 0] = hue
    out[..., :3][mask] = hsv_to_rgb(hsv)
    return out
