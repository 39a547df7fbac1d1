"""Training of the codec: absolute error of pixels and of edges.

Pictures with transparency are premultiplied by alpha, so that the color of an empty pixel is always
black: what an image file stores there is never learned.
"""

from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from undiffuse.config import CodecConfig
from undiffuse.data.picture_set import PictureSet
from undiffuse.networks.codec import Codec
from undiffuse.training.augment import apply_affine, random_matrices, random_shifts, to_float
from undiffuse.training.batches import MixedSampler
from undiffuse.training.codec_mix import LargeMix, tint
from undiffuse.training.decoder_finetune import SampledLatents
from undiffuse.training.devices import CPU, Batch, PictureTable, to_device
from undiffuse.training.distributed import count, mean, part, weight
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


def composited_loss(decoded: Tensor, pixels: Tensor, ground: Tensor) -> Tensor:
    """L1 of premultiplied RGBA `(B, 4, H, W)` in [-1, 1] over plain grounds `(B, 3, 1, 1)` in
    [0, 1]. An error of alpha shows where the ground differs from the color.
    """
    error = (decoded - pixels) / 2
    return 2 * (error[:, :3] - error[:, 3:] * ground).abs().mean()


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


def pixel_loss(
    decoded: Tensor, pixels: Tensor, grounds: Tensor | None, sharpness_weight: float
) -> Tensor:
    """`reconstruction_loss`, with `grounds` also `composited_loss`, and `sharpness_loss` times its
    weight.
    """
    loss = reconstruction_loss(decoded, pixels)
    if grounds is not None:
        loss = loss + composited_loss(decoded, pixels, grounds)
    if sharpness_weight:
        loss = loss + sharpness_weight * sharpness_loss(decoded, pixels)
    return loss


class CodecRecipe:
    """Builds batches and computes the loss of step k.

    `sharpness_weight`: of `sharpness_loss`. `sampled`: latents of the denoiser; they replace
    `SAMPLED_SHARE` of the encoded ones. A codec with a large decoder also learns scenes and tinted
    pictures, and its pictures are shifted only, because rotation would soften their edges.
    """

    def __init__(
        self,
        model: Codec,
        pictures: PictureSet,
        batch: int = 128,
        compiled: bool = True,
        sharpness_weight: float = 0.0,
        sampled: SampledLatents | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.pictures = PictureTable(pictures.pictures, device)
        self.sampler = MixedSampler(pictures)
        self.sharpness_weight, self.sampled, self.device = sharpness_weight, sampled, device
        self.batch, self.sampled_count = batch, int(batch * SAMPLED_SHARE) if sampled else 0
        config = model.config
        self.mix = LargeMix(pictures) if config.decoder_widths else None
        self.latent_noise, self.latent_shape = config.latent_noise, latent_shape(config)
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode, self.decode = wrap(model.encode), wrap(model.decode_unfiltered)
        # At 256 pixels these losses take as long as the decoder, and a quarter of it compiled.
        self.pixel_loss = wrap(pixel_loss)

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        """ "loss", and "psnr" in dB."""
        return self.losses(to_device(self.sample(step, rng), self.device))

    def sample(self, step: int, rng: Generator) -> Batch:
        """This process's part of the batch of step k, in the processor's memory."""
        encoded = self.batch - self.sampled_count
        scenes = self.mix.scene_count(encoded) if self.mix else 0
        rows = self.sampler.draw(encoded - scenes, rng)
        side = self.pictures.pictures.shape[-1]
        if self.mix is None:
            matrices = random_matrices(len(rows), rng)
        else:
            matrices = random_shifts(len(rows), side, rng)
        noise = rng.standard_normal((encoded, *self.latent_shape), dtype="float32")
        level = rng.random((encoded, 1, 1, 1), dtype="float32")
        noise = np.float32(self.latent_noise) * level * noise
        batch = {
            "pictures": self.pictures.take(part(rows)),
            "matrices": torch.from_numpy(part(matrices)),
            "noise": torch.from_numpy(part(noise[: len(rows)])),
        }
        if self.mix is not None:
            batch |= self.mix.sample(rows, scenes, step, rng)
            batch["noise"] = torch.cat([batch["noise"], torch.from_numpy(part(noise[len(rows) :]))])
            batch["grounds"] = torch.from_numpy(rng.random((self.batch, 3, 1, 1), "float32"))
        if self.sampled is not None:
            rows, x0 = self.sampled.choose(self.sampled_count, rng)
            batch |= {"sampled_pictures": self.pictures.take(part(rows)), "sampled": part(x0)}
        return batch

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the device."""
        pixels = apply_affine(to_float(self.pictures.load(batch["pictures"])), batch["matrices"])
        if self.mix is not None:
            pixels = torch.cat([tint(pixels, batch["tints"]), to_float(batch["scenes"])])
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with autocast(self.device.type):
            latents = self.encode(pixels) + batch["noise"]
            if self.sampled is not None:
                latents = torch.cat([latents, batch["sampled"]])
                others = to_float(self.pictures.load(batch["sampled_pictures"]))
                pixels = torch.cat([pixels, others])
            decoded = self.decode(latents)
        composited = self.mix is not None and pixels.shape[1] == 4
        grounds = batch["grounds"][: len(pixels)] if composited else None
        loss = self.pixel_loss(decoded, pixels, grounds, self.sharpness_weight)
        error = (decoded.detach().clamp(-1, 1) - pixels).square().mean()
        if count() > 1:
            share = weight(len(pixels), self.batch)
            loss, error = share * loss, mean(share * error)
        return {"loss": loss, "psnr": 10 * torch.log10(4.0 / error)}


def latent_shape(config: CodecConfig) -> tuple[int, int, int]:
    """The shape of a picture's latents, `(C, S, S)`."""
    return config.channels, config.side, config.side
