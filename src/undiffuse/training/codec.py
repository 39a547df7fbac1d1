"""The recipe of the codec: pixels to latents and back, absolute error of values and of edges."""

from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from undiffuse.data.picture_set import EvenSampler, PictureSet
from undiffuse.networks.codec import Codec
from undiffuse.training.augment import moved, to_float
from undiffuse.training.decoder_finetune import Drawn

DRAWN_SHARE = 0.6


def edges(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbours, down and across."""
    return pixels.diff(dim=2), pixels.diff(dim=3)


def reconstruction_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """L1 of the values, and of their differences: edges are what people see."""
    loss = (decoded - pixels).abs().mean()
    for mine, true in zip(edges(decoded), edges(pixels), strict=True):
        loss = loss + (mine - true).abs().mean()
    return loss


def sharpness_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """L1 of how strong edges are hereabouts (root mean square of the Laplacian over 16x16 pixels),
    wherever exactly they lie: an edge unsure of its place is softened by the other terms, and by
    this one is not.
    """
    strengths = []
    for x in (decoded, pixels):
        inner = x[:, :, 1:-1, 1:-1]
        around = x[:, :, :-2, 1:-1] + x[:, :, 2:, 1:-1] + x[:, :, 1:-1, :-2] + x[:, :, 1:-1, 2:]
        energy = F.avg_pool2d((4 * inner - around).square(), 16, stride=8, ceil_mode=True)
        strengths.append((energy + 1e-4).sqrt())
    return (strengths[0] - strengths[1]).abs().mean()


class CodecRecipe:
    """Makes batches and computes the loss of step k. `sharp`: the weight of `sharpness_loss`;
    `drawn`: latents of which `DRAWN_SHARE` of a batch is decoded, in place of encoded ones.
    """

    def __init__(
        self,
        model: Codec,
        pictures: PictureSet,
        batch: int = 128,
        compiled: bool = True,
        sharp: float = 0.0,
        drawn: Drawn | None = None,
    ) -> None:
        self.model, self.pictures, self.batch, self.sharp = model, pictures, batch, sharp
        self.drawn, self.redrawn = drawn, int(batch * DRAWN_SHARE) if drawn else 0
        self.even = EvenSampler(pictures, pictures.rows(lambda r: not r.get("composite")))
        self.composites = pictures.rows(lambda r: bool(r.get("composite")))
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode, self.decode = wrap(model.encode), wrap(model.learned)

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        encoded = self.batch - self.redrawn
        made = encoded // 4 if len(self.composites) else 0
        rows = self.even.draw(encoded - made, rng)
        if made:
            rows = np.concatenate([rows, rng.choice(self.composites, made)])
        pixels = moved(to_float(self.pictures.pictures[rows]), rng)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latents = self.encode(pixels)
            noise = torch.from_numpy(rng.standard_normal(tuple(latents.shape), dtype="float32"))
            level = self.model.config.latent_noise * torch.from_numpy(
                rng.random((len(rows), 1, 1, 1), dtype="float32")
            )
            latents = latents + level * noise
            if self.drawn is not None:
                rows, x0 = self.drawn.pick(self.redrawn, rng)
                latents = torch.cat([latents, x0])
                pixels = torch.cat([pixels, to_float(self.pictures.pictures[rows])])
            decoded = self.decode(latents)
        loss = reconstruction_loss(decoded, pixels)
        if self.sharp:
            loss = loss + self.sharp * sharpness_loss(decoded, pixels)
        error = (decoded.detach().clamp(-1, 1) - pixels).square().mean()
        return {"loss": loss, "psnr": 10 * torch.log10(4.0 / error)}
