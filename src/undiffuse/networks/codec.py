"""A small deterministic autoencoder between 64x64 pixels and 4x4 latents of 64 channels (torch).

The latents have a twelfth of the values of the pixels, and the denoiser works on them.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.config import CodecConfig
from undiffuse.networks.layers import NORM_EPS, Downsample, ResBlock, Upsample, bilateral_filter


class Codec(nn.Module):
    """An encoder and a decoder, both convolutional.

    Training adds noise to the latents. This makes the decoder robust to the denoiser's errors and
    the latent space smooth.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        widths, pixels = config.widths, config.image_channels * config.patch**2
        down: list[nn.Module] = [nn.Conv2d(pixels, widths[0], 3, padding=1), nn.SiLU()]
        for into, out in pairwise(widths):
            down += [Downsample(into, out), ResBlock(out)]
        self.encoder = nn.Sequential(*down, Downsample(widths[-1], config.channels))
        up: list[nn.Module] = [nn.Conv2d(config.channels, widths[-1], 1)]
        for into, out in pairwise((widths[-1], *reversed(widths))):
            up += [Upsample(into, out), ResBlock(out)]
            up += [ResBlock(out)] if out != widths[0] else []
        last = nn.Conv2d(widths[0], pixels, 3, padding=1)
        self.decoder = nn.Sequential(*up, nn.SiLU(), last)

    def encode(self, pixels: Tensor) -> Tensor:
        """`(B, 3, 64, 64)` in [-1, 1] -> `(B, 64, 4, 4)`; each position has RMS 1 over channels."""
        z = self.encoder(F.pixel_unshuffle(pixels, self.config.patch)).float()
        return z * torch.rsqrt(z.square().mean(1, keepdim=True) + NORM_EPS)

    def decode(self, latents: Tensor) -> Tensor:
        """`(B, 64, 4, 4)` -> `(B, 3, 64, 64)`, smoothed by the bilateral filter."""
        pixels = self.decode_unfiltered(latents)
        return bilateral_filter(pixels, self.config.flat) if self.config.flat > 0.0 else pixels

    def decode_unfiltered(self, latents: Tensor) -> Tensor:
        """The decoder's output without the filter. Training uses this, because a decoder that is
        trained through the filter learns to undo it (docs/log).
        """
        return F.pixel_shuffle(self.decoder(latents), self.config.patch).float()
