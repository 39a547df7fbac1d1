"""The recipe of the codec: pixels to latents and back, absolute error of values and of edges."""

from typing import Any

import torch
from numpy.random import Generator
from torch import Tensor

from undiffuse.data.pictures import EvenSampler, PictureSet
from undiffuse.networks.codec import Codec
from undiffuse.training.augment import moved, to_float


def edges(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbours, down and across."""
    return pixels.diff(dim=2), pixels.diff(dim=3)


def reconstruction_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """L1 of the values, and of their differences: edges are what people see."""
    loss = (decoded - pixels).abs().mean()
    for mine, true in zip(edges(decoded), edges(pixels), strict=True):
        loss = loss + (mine - true).abs().mean()
    return loss


class CodecRecipe:
    """Makes batches and computes the loss of step k."""

    def __init__(
        self, model: Codec, pictures: PictureSet, batch: int = 128, compiled: bool = True
    ) -> None:
        self.model, self.pictures, self.batch = model, pictures, batch
        self.even = EvenSampler(pictures, pictures.rows(lambda r: not r.get("composite")))
        self.composites = pictures.rows(lambda r: bool(r.get("composite")))
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode, self.decode = wrap(model.encode), wrap(model.decode)

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        made = self.batch // 4 if len(self.composites) else 0
        rows = self.even.draw(self.batch - made, rng)
        if made:
            rows = torch.cat(
                [torch.from_numpy(rows), torch.from_numpy(rng.choice(self.composites, made))]
            ).numpy()
        pixels = moved(to_float(self.pictures.pictures[rows]), rng)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latents = self.encode(pixels)
            noise = torch.from_numpy(rng.standard_normal(tuple(latents.shape), dtype="float32"))
            level = self.model.config.latent_noise * torch.from_numpy(
                rng.random((len(rows), 1, 1, 1), dtype="float32")
            )
            decoded = self.decode(latents + level * noise)
        loss = reconstruction_loss(decoded, pixels)
        error = (decoded.detach().clamp(-1, 1) - pixels).square().mean()
        return {"loss": loss, "psnr": 10 * torch.log10(4.0 / error)}
