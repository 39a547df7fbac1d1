"""A small deterministic autoencoder: 64x64 pixels <-> 4x4 latents of 64 channels (torch).

The denoiser draws in its latents, at a twelfth of the numbers and a quarter of the tokens.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.config import CodecConfig
from undiffuse.networks.layers import NORM_EPS, Down, ResBlock, Up, flattened


class Codec(nn.Module):
    """`encode`: pixels `(B, 3, 64, 64)` in [-1, 1] -> latents `(B, 64, 4, 4)`, each place of RMS 1.

    `decode`: back. Noise on the latents while training makes the decoder forgive what a denoiser
    leaves over, and neighbours in latent space look alike.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        small, middle, large = config.widths
        self.encoder = nn.Sequential(
            nn.Conv2d(12, small, 3, padding=1),
            nn.SiLU(),
            Down(small, middle),
            ResBlock(middle),
            Down(middle, large),
            ResBlock(large),
            Down(large, config.channels),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(config.channels, large, 1),
            Up(large, large),
            ResBlock(large),
            ResBlock(large),
            Up(large, middle),
            ResBlock(middle),
            ResBlock(middle),
            Up(middle, small),
            ResBlock(small),
            nn.SiLU(),
            nn.Conv2d(small, 12, 3, padding=1),
        )

    def encode(self, pixels: Tensor) -> Tensor:
        z = self.encoder(F.pixel_unshuffle(pixels, 2)).float()
        return z * torch.rsqrt(z.square().mean(1, keepdim=True) + NORM_EPS)

    def decode(self, latents: Tensor) -> Tensor:
        pixels = self.learned(latents)
        return flattened(pixels, self.config.flat) if self.config.flat > 0.0 else pixels

    def learned(self, latents: Tensor) -> Tensor:
        """Pixels as the network gives them. Training looks at these: a decoder that was trained
        through another filter drew so as to undo it (LOG.md).
        """
        return F.pixel_shuffle(self.decoder(latents), 2).float()
