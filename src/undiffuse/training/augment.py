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
from undiffuse.training.devices import CPU


def to_float(pictures: np.ndarray | Tensor) -> Tensor:
    """Bytes `(B, 3, H, W)` -> float32 in [-1, 1]."""
    return torch.as_tensor(pictures).float().div_(127.5).sub_(1.0)


def random_affine(pictures: Tensor, rng: Generator, amount: float = 1.0) -> Tensor:
    """`apply_affine` with `random_matrices`."""
    matrices = torch.from_numpy(random_matrices(len(pictures), rng, amount))
    return apply_affine(pictures, matrices.to(pictures.device))


def random_matrices(batch: int, rng: Generator, amount: float = 1.0) -> np.ndarray:
    """Random shifts, scales and rotations of the sampling grid, `(B, 2, 3)`.

    With `amount` 1: up to 1/16 of the side, from 9% smaller to 5% larger, up to 8 degrees.
    """
    angle = amount * np.radians(8.0) * (2 * rng.random(batch) - 1)
    scale = 1.0 + amount * (0.15 * rng.random(batch) - 0.05)  # of the grid: above 1 is smaller
    shift = amount * 0.125 * (2 * rng.random((batch, 2)) - 1)
    affine = np.zeros((batch, 2, 3), np.float32)
    affine[:, 0, 0] = affine[:, 1, 1] = scale * np.cos(angle)
    affine[:, 0, 1], affine[:, 1, 0] = -scale * np.sin(angle), scale * np.sin(angle)
    affine[:, :, 2] = shift
    return affine


def random_shifts(batch: int, side: int, rng: Generator) -> np.ndarray:
    """Like `random_matrices`, but shifts by whole pixels alone, up to 1/16 of the side."""
    most = side // 16
    affine = np.zeros((batch, 2, 3), np.float32)
    affine[:, 0, 0] = affine[:, 1, 1] = 1.0
    affine[:, :, 2] = 2.0 / side * rng.integers(-most, most + 1, (batch, 2))
    return affine


def apply_affine(pictures: Tensor, matrices: Tensor) -> Tensor:
    """Move each picture `(B, C, H, W)` by its matrix `(B, 2, 3)`; RGB on a white background, RGBA
    on a transparent one.
    """
    grid = F.affine_grid(matrices, list(pictures.shape), align_corners=False)
    ground = 1.0 if pictures.shape[1] == 3 else -1.0  # grid_sample pads with 0
    return ground + F.grid_sample(pictures - ground, grid, align_corners=False)


def to_clip_input(pixels: Tensor) -> Tensor:
    """`(B, 3 or 4, H, W)` in [-1, 1] -> what CLIP's image encoder takes: RGB on white, 64x64."""
    pixels = to_rgb(pixels)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    if pixels.shape[2:] == size:
        return pixels
    return F.interpolate(pixels, size, mode="bilinear", antialias=True)


def to_rgb(pixels: Tensor) -> Tensor:
    """`(B, 3 or 4, H, W)` in [-1, 1], premultiplied by alpha, on white."""
    if pixels.shape[1] == 3:
        return pixels
    alpha = (pixels[:, 3:] + 1.0) / 2.0
    return pixels[:, :3] + 2.0 * (1.0 - alpha)  # black is -1 without alpha


def on_grounds(pixels: Tensor, grounds: Tensor) -> Tensor:
    """`(B, 4, H, W)` in [-1, 1], premultiplied by alpha -> RGB on grounds `(B, 2, 3)`, whose color
    changes from the first at the top to the second at the bottom.
    """
    down = torch.linspace(0.0, 1.0, pixels.shape[2], device=pixels.device)[None, :, None]
    ground = grounds[:, None, 0] * (1 - down) + grounds[:, None, 1] * down  # (B, H, 3)
    ground = ground.permute(0, 2, 1)[..., None]
    alpha = (pixels[:, 3:] + 1.0) / 2.0
    return pixels[:, :3] + (1.0 - alpha) * (1.0 + ground)  # black is -1 without alpha


def float_batches(
    pictures: np.ndarray, size: int = 512, device: torch.device = CPU
) -> Iterator[Tensor]:
    """`to_float` of `size` pictures at a time, on a device."""
    for start in range(0, len(pictures), size):
        yield to_float(torch.from_numpy(pictures[start : start + size]).to(device))
