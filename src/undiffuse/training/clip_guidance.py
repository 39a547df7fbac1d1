"""CLIP guidance: at every step x0 is moved along the gradient of CLIP's similarity to the prompt.

This is classifier guidance (arXiv 2105.05233) with CLIP as the classifier, applied to x0.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undiffuse.diffusion.arrays import Array, Denoiser
from undiffuse.training.model_io import load_module


class ClipGuidance:
    """The codec and the CLIP of a model folder. Raises UserError for missing or broken files."""

    def __init__(self, folder: Path) -> None:
        self.codec = load_module(folder / "codec.safetensors", "codec")[0]
        self.clip = load_module(folder / "clip.safetensors", "clip")[0]

    def gradient(self, x0: NDArray[np.float32], cond: NDArray[np.float32]) -> NDArray[np.float32]:
        """The gradient over x0 `(B, C, S, S)` of the cosine of its picture's CLIP vector and the
        one in `cond` `(B, D)`, scaled to RMS 1 per row. Rows are computed one by one, so that a
        picture does not depend on the batch.
        """
        rows = []
        for z, vector in zip(torch.from_numpy(x0), torch.from_numpy(cond), strict=True):
            latent = z[None].clone().requires_grad_()
            image = self.clip.encode_image(self.codec.decode(latent))
            (gradient,) = torch.autograd.grad((image[0] * vector[: image.shape[1]]).sum(), latent)
            rows.append(gradient[0] / gradient.square().mean().sqrt().clamp(min=1e-12))
        return torch.stack(rows).numpy()

    def guide(self, denoiser: Denoiser, scale: float) -> Denoiser:
        """A denoiser whose x0 is moved by `scale * t` along the gradient; 0 is off."""

        def guided(x_t: Array, t: float, cond: Array) -> Array:
            x0 = denoiser(x_t, t, cond)
            if cond is None:
                return x0
            return x0 + np.float32(scale * t) * self.gradient(x0, cond)

        return denoiser if scale == 0.0 else guided
