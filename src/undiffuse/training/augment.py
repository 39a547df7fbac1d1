"""Mild movement of pictures on white: a sixteenth sideways, a tenth larger or smaller, 8 degrees.

No flips: arrows, letters and hands have a side.
"""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F


def to_float(pictures: np.ndarray) -> Tensor:
    """Bytes `(B, 3, H, W)` -> float32 in [-1, 1]."""
    return torch.from_numpy(pictures).float().div_(127.5).sub_(1.0)


def moved(pictures: Tensor, rng: Generator, amount: float = 1.0) -> Tensor:
    """Each picture moved, scaled and turned a little, white beyond its edge."""
    batch = len(pictures)
    angle = amount * np.radians(8.0) * (2 * rng.random(batch) - 1)
    scale = 1.0 + amount * (0.15 * rng.random(batch) - 0.05)  # sampling grid: above 1 is smaller
    shift = amount * 0.125 * (2 * rng.random((batch, 2)) - 1)
    affine = np.zeros((batch, 2, 3), np.float32)
    affine[:, 0, 0] = affine[:, 1, 1] = scale * np.cos(angle)
    affine[:, 0, 1], affine[:, 1, 0] = -scale * np.sin(angle), scale * np.sin(angle)
    affine[:, :, 2] = shift
    grid = F.affine_grid(torch.from_numpy(affine), list(pictures.shape), align_corners=False)
    # White is 1; the sampler pads with 0.
    return 1.0 + F.grid_sample(pictures - 1.0, grid, align_corners=False)
