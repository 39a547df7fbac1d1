"""What a codec keeps of pictures: error, edges and style."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undiffuse.evaluation.protocols import Pictures
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.evaluation.style_probe import StyleProbe, palette
from undiffuse.imaging.png import composite_on_white, unpremultiply

Codec = Callable[[Pictures], Pictures]  # bytes (B, C, S, S), RGBA premultiplied -> the same
BATCH = 16


def evaluate_codec(
    codec: Codec, pictures: Pictures, styles: Sequence[str], trained: Pictures,
    trained_styles: Sequence[str],
) -> list[Metric]:  # fmt: skip
    """PSNR in dB, edges and style of held-out `pictures` `(N, C, S, S)`, on white.

    `trained`, `trained_styles`: what the probe of styles is fit to.
    """
    real = on_white(pictures)
    batches = range(0, len(pictures), BATCH)
    decoded = np.concatenate([codec(pictures[start : start + BATCH]) for start in batches])
    kept = on_white(decoded)
    error = ((kept.astype(np.float64) - real) ** 2).mean((1, 2, 3))
    true, mine = edge_strength(real), edge_strength(kept)
    probe = StyleProbe.fit_palettes(on_white(trained), trained_styles)
    right, real_right = (probe.is_right(palette(one), styles) for one in (kept, real))
    return [
        mean_metric("PSNR", 10 * np.log10(255.0**2 / np.maximum(error, 1e-3)), unit="dB"),
        mean_metric("edges, as a share of true", mine / np.maximum(true, 1e-6)),
        mean_metric("style right, through the codec", right.astype(float)),
        mean_metric("style right, real pictures", real_right.astype(float)),
    ]


def edge_strength(pictures: Pictures) -> NDArray[np.float64]:
    """`(N,)`: the root mean square of the Laplacian of pictures `(N, C, S, S)`."""
    x = pictures.astype(np.float64)
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return np.sqrt(((4 * x[..., 1:-1, 1:-1] - around) ** 2).mean((1, 2, 3)))


def at_size(pictures: Pictures, side: int, channels: int) -> Pictures:
    """Pictures `(N, C, S, S)` reduced by averages or enlarged by Lanczos to `side` pixels; RGBA on
    white for 3 `channels`.
    """
    pictures = on_white(pictures) if channels == 3 else np.asarray(pictures)
    old = pictures.shape[-1]
    if side == old:
        return pictures
    method = Image.Resampling.BOX if side < old else Image.Resampling.LANCZOS
    planes = pictures.reshape(-1, old, old)
    resized = [np.asarray(Image.fromarray(plane).resize((side, side), method)) for plane in planes]
    return np.stack(resized).reshape(*pictures.shape[:2], side, side)


def on_white(pictures: Pictures) -> Pictures:
    """`(N, 3, S, S)` of RGB, or of premultiplied RGBA on white."""
    if pictures.shape[1] == 3:
        return np.asarray(pictures)
    last = np.ascontiguousarray(np.asarray(pictures).transpose(0, 2, 3, 1))
    return np.ascontiguousarray(composite_on_white(unpremultiply(last)).transpose(0, 3, 1, 2))
