"""Sharpness of edges, and whiteness of the background, computed from pixels."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Pictures, Scores

BACKGROUND_TOLERANCE = 40  # of 255, in every channel: what can be meant as white
WHITE_TOLERANCE = 4
MIN_BACKGROUND = 0.05  # of the picture; with less, there is no background to measure
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


def background(pictures: Pictures, tolerance: int = BACKGROUND_TOLERANCE) -> NDArray[np.bool_]:
    """`(B, H, W)`: nearly white pixels that are connected to the border through such pixels.

    The tolerance is wide so that a gray background is found too.
    """
    light = np.pad(
        pictures.min(1) >= 255 - tolerance, ((0, 0), (1, 1), (1, 1)), constant_values=True
    )
    reached = np.zeros_like(light)
    reached[:, [0, -1]] = reached[:, :, [0, -1]] = True  # a white frame
    while True:
        wider = reached.copy()
        for axis, step in product((1, 2), (1, -1)):
            wider |= np.roll(reached, step, axis)
        wider &= light
        if (wider == reached).all():
            return reached[:, 1:-1, 1:-1]
        reached = wider


def white_background(pictures: Pictures) -> NDArray[np.bool_]:
    """`(B, H, W)`: the background of real pictures, which is white up to 4/255."""
    return _erode(background(pictures, WHITE_TOLERANCE))


def white_share(pictures: Pictures, real: NDArray[np.bool_]) -> Scores:
    """`(B,)`: the share of background pixels within 4/255 of white.

    Counts the pixels that are background in the picture and in the real one (`real`, from
    `white_background`), because a white bird is no background, and the two shapes can differ. 0 if
    these are less than `MIN_BACKGROUND` of the picture: the background has another color.
    """
    both = _erode(background(pictures)) & real
    white = both & (pictures.min(1) >= 255 - WHITE_TOLERANCE)
    share = white.sum((1, 2)) / np.maximum(both.sum((1, 2)), 1)
    return np.where(both.mean((1, 2)) < MIN_BACKGROUND, 0.0, share)


def _erode(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the pixels that touch the object, even at a corner: those are blends."""
    padded = np.pad(region, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    height, width = region.shape[1:]
    return np.logical_and.reduce(
        [padded[:, y : y + height, x : x + width] for y, x in product(range(3), repeat=2)]
    )


def _luma(pictures: Pictures) -> NDArray[np.float32]:
    return np.einsum("bchw,c->bhw", pictures.astype(np.float32) / 255.0, LUMA)


def laplacian_variance(pictures: Pictures) -> Scores:
    """`(B,)`: the variance of the 5-point Laplacian of the luma (its mean is nearly 0).

    Grows with the number, the contrast and the sharpness of edges.
    """
    y = _luma(pictures)
    laplacian = (
        y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4 * y[:, 1:-1, 1:-1]
    )
    return np.square(laplacian).mean((1, 2)).astype(np.float64)


def edge_sharpness(pictures: Pictures) -> Scores:
    """`(B,)`: energy of the Laplacian over energy of the gradient, the inverse width of edges.

    A ramp of contrast a over w pixels adds 2 (a/w)^2 to the first and a^2/w to the second in each
    row that crosses it. The ratio is 2/w, for any number and contrast of edges. 0 if blank.
    """
    y = _luma(pictures)
    dx = np.square(np.diff(y, axis=2))[:, 1:-1]
    dy = np.square(np.diff(y, axis=1))[:, :, 1:-1]
    gradient = (dx.mean((1, 2)) + dy.mean((1, 2))).astype(np.float64)
    blank = gradient < 1e-8
    return np.where(blank, 0.0, laplacian_variance(pictures) / np.where(blank, 1.0, gradient))
