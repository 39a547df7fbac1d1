"""Conversion of pictures to tensors, and random affine augmentation.

There are no flips, because arrows, letters and hands have a direction.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from undiffuse.config import IMAGE_SIZE


def to_float(pictures: np.ndarray) -> Tensor:
    """Bytes `(B, 3, H, W)` -> float32 in [-1, 1]."""
    return torch.from_numpy(pictures).float().div_(127.5).sub_(1.0)


def random_affine(pictures: Tensor, rng: Generator, amount: float = 1.0) -> Tensor:
    """Shift, scale and rotate each picture `(B, C, H, W)` at random; RGB on a white background,
    RGBA on a transparent one.

    With `amount` 1: up to 1/16 of the side, from 9% smaller to 5% larger, up to 8 degrees.
    """
    batch = len(pictures)
    angle = amount * np.radians(8.0) * (2 * rng.random(batch) - 1)
    scale = 1.0 + amount * (0.15 * rng.random(batch) - 0.05)  # of the grid: above 1 is smaller
    shift = amount * 0.125 * (2 * rng.random((batch, 2)) - 1)
    affine = np.zeros((batch, 2, 3), np.float32)
    affine[:, 0, 0] = affine[:, 1, 1] = scale * np.cos(angle)
    affine[:, 0, 1], affine[:, 1, 0] = -scale * np.sin(angle), scale * np.sin(angle)
    affine[:, :, 2] = shift
    grid = F.affine_grid(torch.from_numpy(affine), list(pictures.shape), align_corners=False)
    ground = 1.0 if pictures.shape[1] == 3 else -1.0  # grid_sample pads with 0
    return ground + F.grid_sample(pictures - ground, grid, align_corners=False)


def to_clip_input(pixels: Tensor) -> Tensor:
    """`(B, 3 or 4, H, W)` in [-1, 1] -> what CLIP's image encoder takes: RGB on white, 64x64."""
    if pixels.shape[1] == 4:
        alpha = (pixels[:, 3:] + 1.0) / 2.0
        pixels = pixels[:, :3] + 2.0 * (1.0 - alpha)  # premultiplied: black is -1 without alpha
    size = (IMAGE_SIZE, IMAGE_SIZE)
    if pixels.shape[2:] == size:
        return pixels
    return F.interpolate(pixels, size, mode="bilinear", antialias=True)


def float_batches(pictures: np.ndarray, size: int = 512) -> Iterator[Tensor]:
    """`to_float` of `size` pictures at a time."""
    for start in range(0, len(pictures), size):
        yield to_float(pictures[start : start + size])
