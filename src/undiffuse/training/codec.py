"""Training of the codec: absolute error of pixels and of edges."""

from typing import Any

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from undiffuse.data.picture_set import PictureSet
from undiffuse.networks.codec import Codec
from undiffuse.training.augment import random_affine, to_float
from undiffuse.training.batches import MixedSampler
from undiffuse.training.decoder_finetune import SampledLatents
from undiffuse.training.precision import autocast

SAMPLED_SHARE = 0.6  # of a batch, if there are sampled latents


def edges(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of vertical and of horizontal neighbors."""
    return pixels.diff(dim=2), pixels.diff(dim=3)


def reconstruction_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """L1 of the pixels plus L1 of the edges."""
    loss = (decoded - pixels).abs().mean()
    for mine, true in zip(edges(decoded), edges(pixels), strict=True):
        loss = loss + (mine - true).abs().mean()
    return loss


def sharpness_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """L1 of local edge strength: the root mean square of the Laplacian over 16x16 pixels.

    Edges may shift inside the window. The pixel losses favor soft edges where the position of an
    edge is uncertain; this loss does not.
    """
    strengths = []
    for x in (decoded, pixels):
        center = x[:, :, 1:-1, 1:-1]
        neighbors = x[:, :, :-2, 1:-1] + x[:, :, 2:, 1:-1] + x[:, :, 1:-1, :-2] + x[:, :, 1:-1, 2:]
        energy = F.avg_pool2d((4 * center - neighbors).square(), 16, stride=8, ceil_mode=True)
        strengths.append((energy + 1e-4).sqrt())
    return (strengths[0] - strengths[1]).abs().mean()


class CodecRecipe:
    """Builds batches and computes the loss of step k.

    `sharpness_weight`: of `sharpness_loss`. `sampled`: latents of the denoiser; they replace
    `SAMPLED_SHARE` of the encoded ones.
    """

    def __init__(
        self,
        model: Codec,
        pictures: PictureSet,
        batch: int = 128,
        compiled: bool = True,
        sharpness_weight: float = 0.0,
        sampled: SampledLatents | None = None,
    ) -> None:
        self.pictures, self.sampler = pictures, MixedSampler(pictures)
        self.sharpness_weight, self.sampled = sharpness_weight, sampled
        self.sampled_count = int(batch * SAMPLED_SHARE) if sampled else 0
        self.encoded_count = batch - self.sampled_count
        self.latent_noise = model.config.latent_noise
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode, self.decode = wrap(model.encode), wrap(model.decode_unfiltered)

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        """ "loss", and "psnr" in dB."""
        rows = self.sampler.draw(self.encoded_count, rng)
        pixels = random_affine(to_float(self.pictures.pictures[rows]), rng)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with autocast():
            latents = self.encode(pixels)
            noise = torch.from_numpy(rng.standard_normal(tuple(latents.shape), dtype="float32"))
            level = torch.from_numpy(rng.random((len(rows), 1, 1, 1), dtype="float32"))
            latents = latents + self.latent_noise * level * noise
            if self.sampled is not None:
                rows, x0 = self.sampled.choose(self.sampled_count, rng)
                latents = torch.cat([latents, x0])
                pixels = torch.cat([pixels, to_float(self.pictures.pictures[rows])])
            decoded = self.decode(latents)
        loss = reconstruction_loss(decoded, pixels)
        if self.sharpness_weight:
            loss = loss + self.sharpness_weight * sharpness_loss(decoded, pixels)
        error = (decoded.detach().clamp(-1, 1) - pixels).square().mean()
        return {"loss": loss, "psnr": 10 * torch.log10(4.0 / error)}
