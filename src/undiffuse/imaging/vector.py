"""SVG by tracing: colors are quantized, specks dropped, and regions traced as stacked shapes."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.imaging.output import resize
from undiffuse.imaging.png import Pixels, encode_png

MAX_BYTES, MAX_PATHS = 20_000, 40
SIDE = 512  # pixels a side that are traced: twice as fine as the pixels of a large picture
# (colors, pixels a side of the smallest region), in the order in which they are tried.
TRIALS = ((12, 5), (12, 10), (10, 16), (8, 28), (5, 48), (1, 128))
ITERATIONS = 12  # of k-means
OPAQUE = 128  # alpha from which a pixel belongs to the picture
_BITS = 5  # a channel, of the histogram that k-means works on
# sRGB primaries to CIE XYZ, divided by the white point D65 (IEC 61966-2-1).
_TO_XYZ = np.array([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]])


def check_vtracer() -> None:
    """UserError unless the tracer is installed."""
    if find_spec("vtracer") is None:
        raise UserError("an .svg file needs vtracer: pip install 'undiffuse[svg]'")


def encode_svg(pixels: Pixels) -> bytes:
    """An SVG file of bytes (H, W, 3), or (H, W, 4) with straight alpha, as wide as the pixels.

    At most `MAX_BYTES` and `MAX_PATHS`, for which small regions are dropped. UserError without
    vtracer.
    """
    check_vtracer()
    svg = ""
    for colors, speck in TRIALS:
        svg = _trace(pixels, colors, speck)
        if len(svg) <= MAX_BYTES and svg.count("<path") <= MAX_PATHS:
            break
    return svg.encode()


def _trace(pixels: Pixels, colors: int, speck: int) -> str:
    import vtracer

    flat = quantize(resize(pixels, SIDE) if len(pixels) < SIDE else pixels, colors)
    svg = vtracer.convert_raw_image_to_svg(
        encode_png(flat), "png", colormode="color", hierarchical="stacked", mode="spline",
        filter_speckle=speck, color_precision=8, layer_difference=1, corner_threshold=60,
        length_threshold=4.0, max_iterations=10, splice_threshold=45, path_precision=0,
    )  # fmt: skip
    height, width = pixels.shape[:2]
    head, _, body = svg.partition(">\n<path")
    start = head.rindex("<svg")
    size = f'width="{width}" height="{height}" viewBox="0 0 {flat.shape[1]} {flat.shape[0]}"'
    opened = f'<svg xmlns="http://www.w3.org/2000/svg" {size}'
    if not body:  # nothing is opaque
        return f"{head[:start]}{opened}></svg>\n"
    return f"{head[:start]}{opened}>\n<path{body}"


def quantize(pixels: Pixels, colors: int) -> Pixels:
    """Bytes (H, W, 4) in at most so many colors, each pixel opaque or empty.

    The colors are cluster centers of the opaque pixels in CIE Lab (k-means), the same in every run.
    """
    rgba = pixels
    if pixels.shape[2] == 3:
        rgba = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], 2)
    opaque = rgba[..., 3] >= OPAQUE
    flat = np.zeros_like(rgba)
    if not opaque.any():
        return flat
    rgb = rgba[opaque][:, :3]
    codes = (rgb >> (8 - _BITS)).astype(np.int64) @ [1 << 2 * _BITS, 1 << _BITS, 1]
    _, bins, counts = np.unique(codes, return_inverse=True, return_counts=True)
    sums: NDArray[Any] = np.stack([np.bincount(bins, rgb[:, channel]) for channel in range(3)], 1)
    means = sums / counts[:, None]
    labels = _cluster(to_lab(means), counts, colors)
    weights: NDArray[Any] = np.bincount(labels, counts)
    totals = np.stack([np.bincount(labels, sums[:, channel]) for channel in range(3)], 1)
    centers = totals / np.maximum(weights, 1)[:, None]
    flat[opaque, :3] = np.rint(centers)[labels[bins]]
    flat[opaque, 3] = 255
    return flat


def to_lab(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """sRGB `(N, 3)` in [0, 255] -> CIE L*a*b* `(N, 3)` (CIE 15:2004)."""
    linear = np.asarray(rgb, np.float64) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def _cluster(points: NDArray[Any], weights: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The cluster of each weighted point (Lloyd 1982). The first centers are the heaviest point,
    and then the points that are the farthest from the others by weight.
    """
    centers = points[[int(weights.argmax())]]
    while len(centers) < min(count, len(points)):
        gap = ((points[:, None] - centers) ** 2).sum(2).min(1) * weights
        if not gap.any():
            break
        centers = np.concatenate([centers, points[[int(gap.argmax())]]])
    labels = np.zeros(len(points), np.int64)
    for _ in range(ITERATIONS):
        labels = ((points[:, None] - centers) ** 2).sum(2).argmin(1)
        for k in np.unique(labels):
            mine = labels == k
            centers[k] = np.average(points[mine], axis=0, weights=weights[mine])
    return labels
