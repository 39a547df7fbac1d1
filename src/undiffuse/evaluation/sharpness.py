"""By program and without a network: the ground, how white it is, how sharp edges are."""

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Pictures, Scores

GROUND_TOLERANCE = 40  # of 255, in every channel: what may still be meant as white
WHITE_TOLERANCE = 4
MIN_GROUND = 0.05  # of the picture, below which there is no ground to judge
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


def ground(pictures: Pictures, tolerance: int = GROUND_TOLERANCE) -> NDArray[np.bool_]:
    """`(B, H, W)`: nearly white pixels that are connected to the border through such pixels.

    The tolerance is wide, so that a ground which came out grey is found too.
    """
    light = pictures.min(1) >= 255 - tolerance
    reached = np.zeros_like(light)
    reached[:, [0, -1]] = light[:, [0, -1]]
    reached[:, :, [0, -1]] |= light[:, :, [0, -1]]
    while True:
        wider = reached.copy()
        wider[:, 1:] |= reached[:, :-1]
        wider[:, :-1] |= reached[:, 1:]
        wider[:, :, 1:] |= reached[:, :, :-1]
        wider[:, :, :-1] |= reached[:, :, 1:]
        wider &= light
        if (wider == reached).all():
            return reached
        reached = wider


def white_ground(pictures: Pictures) -> NDArray[np.bool_]:
    """`(B, H, W)`: the ground of real pictures, which is white to the last bit or two."""
    return _inner(ground(pictures, WHITE_TOLERANCE))


def white_share(pictures: Pictures, real: NDArray[np.bool_]) -> Scores:
    """`(B,)`: of the pixels that are ground in the picture and in the real one, as `white_ground`
    gives it, the share that is within 4/255 of white.

    Both, because a white bird is not ground although it is white, and what is drawn need not
    cover just what the real one does. 0 where that is less than `MIN_GROUND` of the picture: it
    has a ground of another colour, or is full of something else.
    """
    both = _inner(ground(pictures)) & real
    white = both & (pictures.min(1) >= 255 - WHITE_TOLERANCE)
    share = white.sum((1, 2)) / np.maximum(both.sum((1, 2)), 1)
    return np.where(both.mean((1, 2)) < MIN_GROUND, 0.0, share)


def _inner(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the pixels that touch something drawn, even at a corner: those are blends."""
    padded = np.pad(region, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    high, wide = region.shape[1:]
    for down in range(3):
        for across in range(3):
            region = region & padded[:, down : down + high, across : across + wide]
    return region


def _luma(pictures: Pictures) -> NDArray[np.float32]:
    return np.einsum("bchw,c->bhw", pictures.astype(np.float32) / 255.0, LUMA)


def laplacian_energy(pictures: Pictures) -> Scores:
    """`(B,)`: the mean square of the Laplacian (5-point) of brightness: its variance, since its
    mean is nearly 0. Grows with the number, the contrast and the sharpness of edges.
    """
    y = _luma(pictures)
    laplacian = (
        y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4 * y[:, 1:-1, 1:-1]
    )
    return np.square(laplacian).mean((1, 2)).astype(np.float64)


def edge_sharpness(pictures: Pictures) -> Scores:
    """`(B,)`: energy of the Laplacian over energy of the gradient: how narrow edges are.

    For a ramp of contrast a over w pixels the first is 2 (a/w)^2 and the second a^2/w for each row
    that crosses it, so this is 2/w: the inverse width, whatever the number and contrast of edges.
    0 for a blank picture.
    """
    y = _luma(pictures)
    across = np.square(np.diff(y, axis=2))[:, 1:-1]
    down = np.square(np.diff(y, axis=1))[:, :, 1:-1]
    gradient = (across.mean((1, 2)) + down.mean((1, 2))).astype(np.float64)
    blank = gradient < 1e-8
    return np.where(blank, 0.0, laplacian_energy(pictures) / np.where(blank, 1.0, gradient))
