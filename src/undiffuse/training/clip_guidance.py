"""Steering by CLIP's gradient: at every step the finished picture moves to where CLIP sees more of
what was asked for (classifier guidance, arXiv 2105.05233, with CLIP as the classifier and on x0).
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undiffuse.diffusion.arrays import Array, Denoiser
from undiffuse.training.latent_cache import load_module


class ClipGradient:
    """The codec and CLIP of a model's folder, to be differentiated through."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError for files that are missing or broken."""
        self.codec = load_module(folder / "codec.safetensors", "codec")[0]
        self.clip = load_module(folder / "clip.safetensors", "clip")[0]

    def uphill(self, x0: NDArray[np.float32], cond: NDArray[np.float32]) -> NDArray[np.float32]:
        """The gradient of CLIP's cosine with `cond` `(B, 512)` over x0 `(B, C, S, S)`, each
        picture's of RMS 1. Row by row, so that a picture does not depend on the others."""
        rows = []
        for z, vector in zip(torch.from_numpy(x0), torch.from_numpy(cond), strict=True):
            latent = z[None].clone().requires_grad_()
            seen = self.clip.encode_image(self.codec.decode(latent))
            (slope,) = torch.autograd.grad((seen[0] * vector).sum(), latent)
            rows.append(slope[0] / slope.square().mean().sqrt().clamp(min=1e-12))
        return torch.stack(rows).numpy()

    def guided(self, denoiser: Denoiser, scale: float) -> Denoiser:
        """A denoiser whose x0 is moved by scale * t uphill: far at first, not at all at the end."""

        def steered(x_t: Array, t: float, cond: Array) -> Array:
            x0 = denoiser(x_t, t, cond)
            if cond is None:
                return x0
            return x0 + np.float32(scale * t) * self.uphill(x0, cond)

        return denoiser if scale == 0.0 else steered
