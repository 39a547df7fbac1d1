"""Small deterministic autoencoders (torch): between 64x64 pixels and 4x4 latents of 64 channels,
and from 128x128 pixels to latents to 256x256 pixels with transparency.

The denoiser works on the latents, which have a twelfth of the values of the pixels or fewer.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.config import CodecConfig
from undiffuse.networks.layers import (
    NORM_EPS,
    Downsample,
    Resample,
    ResBlock,
    Upsample,
    bilateral_filter,
)

SHUFFLE = 4  # a large decoder's last enlargement
# Of alpha in [-1, 1], by a decoder with transparency: errors of up to 6 of 255 in what is empty or
# opaque would be stored, and seen on other grounds.
ALPHA_GAIN = 1.05


class Codec(nn.Module):
    """An encoder and a decoder, both convolutional.

    Training adds noise to the latents. This makes the decoder robust to the denoiser's errors and
    the latent space smooth.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        widths, pixels = config.widths, config.image_channels * config.patch**2
        seen = config.encoder_picture[1] * config.patch**2
        down: list[nn.Module] = [nn.Conv2d(seen, widths[0], 3, padding=1), nn.SiLU()]
        for into, out in pairwise(widths):
            down += [Downsample(into, out), ResBlock(out)]
        down += [Downsample(widths[-1], config.channels)]
        resampled = config.side != config.encoder_side
        if resampled:
            down += [Resample(config.encoder_side, config.side)]
        self.encoder = nn.Sequential(*down)
        if resampled and not config.decoder_widths:
            raise ValueError(f"side {config.side} needs decoder_widths")
        self.decoder: Any  # a module
        if config.input_channels:
            self.decoder = GrownDecoder(config)
        elif config.decoder_widths:
            self.decoder = _large_decoder(config)
        else:
            self.decoder = _small_decoder(config, pixels)

    def encode(self, pixels: Tensor) -> Tensor:
        """`(B, C, S, S)` in [-1, 1] -> latents; each position has RMS 1 over channels.

        S is `image_size`; pictures that are already averaged to `input_size` are taken as well.
        """
        reduced = pixels.shape[-1] // (self.config.input_size or pixels.shape[-1])
        if reduced > 1:
            pixels = F.avg_pool2d(pixels, reduced)
        if pixels.shape[1] != self.config.encoder_picture[1]:  # premultiplied RGBA on white
            pixels = pixels[:, :3] - pixels[:, 3:] + 1.0
        z = self.encoder(F.pixel_unshuffle(pixels, self.config.patch)).float()
        return z * torch.rsqrt(z.square().mean(1, keepdim=True) + NORM_EPS)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `(B, C, S, S)` -> pixels `(B, C, H, W)`: smoothed by the bilateral filter, or
        from a large decoder clamped to [-1, 1], alpha multiplied by `ALPHA_GAIN` before.
        """
        pixels = self.decode_unfiltered(latents)
        if self.config.decoder_widths:
            return _with_firm_alpha(pixels).clamp(-1.0, 1.0)
        return bilateral_filter(pixels, self.config.flat) if self.config.flat > 0.0 else pixels

    def decode_unfiltered(self, latents: Tensor) -> Tensor:
        """The decoder's output without filter and clamp. Training uses this, because a decoder
        that is trained through the filter learns to undo it (docs/log).
        """
        if not self.config.decoder_widths:
            return F.pixel_shuffle(self.decoder(latents), self.config.patch).float()
        # Convolutions of few channels take a quarter of the time in this layout.
        x = self.decoder(latents.contiguous(memory_format=torch.channels_last)).float()
        channels = self.config.image_channels
        coarse, fine = x[:, :channels], x[:, channels:]
        enlarged = F.interpolate(coarse, scale_factor=float(SHUFFLE), mode="bilinear")
        pixels = enlarged + F.pixel_shuffle(fine, SHUFFLE)
        if self.config.input_channels:  # on white -> premultiplied
            color, alpha = pixels.split([3, 1], 1)
            pixels = torch.cat([color + alpha - 1.0, alpha], 1)
        return limit_by_alpha(pixels)


class GrownDecoder(nn.Module):
    """A decoder to RGB on white, and behind its finest layers others for alpha and for the details
    of 4 times the size. These begin with nothing: an opaque, enlarged picture.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        (fine,), first = config.decoder_widths, config.widths[0]
        color = config.input_channels
        self.small = _small_decoder(config, color * config.patch**2)
        self.patch = config.patch
        self.details = nn.Sequential(
            Upsample(first, fine), ResBlock(fine), ResBlock(fine), nn.SiLU(),
            nn.Conv2d(fine, 1 + (1 + color) * SHUFFLE**2, 3, padding=1),
        )  # fmt: skip
        last: Any = self.details[-1]
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.eye(len(last.bias))[0])

    def forward(self, latents: Tensor) -> Tensor:
        """`(B, 4 + 4 * SHUFFLE^2, H / SHUFFLE, W / SHUFFLE)`: RGB on white and alpha, and details
        of each.
        """
        *coarser, last = self.small
        features = latents
        for layer in coarser[:-1]:
            features = layer(features)
        color = F.pixel_shuffle(last(coarser[-1](features)), self.patch)
        return torch.cat([color, self.details(features)], 1)


def _with_firm_alpha(pixels: Tensor) -> Tensor:
    if pixels.shape[1] != 4:
        return pixels
    color, alpha = pixels.split([3, 1], 1)
    return limit_by_alpha(torch.cat([color, ALPHA_GAIN * alpha], 1))


def limit_by_alpha(pixels: Tensor) -> Tensor:
    """Premultiplied RGBA `(B, 4, H, W)` whose colors are at most its alpha, which is what
    premultiplication implies; others stay unchanged.
    """
    if pixels.shape[1] != 4:
        return pixels
    color, alpha = pixels.split([3, 1], 1)
    return torch.cat([torch.minimum(color, alpha), alpha], 1)


def _small_decoder(config: CodecConfig, pixels: int) -> nn.Sequential:
    """Latents -> the pixels of each patch; mirrors the encoder."""
    widths = config.widths
    up: list[nn.Module] = [nn.Conv2d(config.channels, widths[-1], 1)]
    for into, out in pairwise((widths[-1], *reversed(widths))):
        up += [Upsample(into, out), ResBlock(out)]
        up += [ResBlock(out)] if out != widths[0] else []
    last = nn.Conv2d(widths[0], pixels, 3, padding=1)
    return nn.Sequential(*up, nn.SiLU(), last)


def _large_decoder(config: CodecConfig) -> nn.Sequential:
    """Latents -> a picture at a quarter of the size, and the details of its enlargement, which
    are the `SHUFFLE`^2 pixels of each position.
    """
    coarsest, *finer = reversed(config.decoder_widths)
    side = config.image_size // SHUFFLE // 2 ** len(finer)
    up: list[nn.Module] = [Resample(config.side, side)] if side != config.side else []
    up += [nn.Conv2d(config.channels, coarsest, 1), ResBlock(coarsest), ResBlock(coarsest)]
    for into, out in pairwise((coarsest, *finer)):
        up += [Upsample(into, out), ResBlock(out)]
        up += [ResBlock(out)] if out != config.decoder_widths[0] else []
    channels = config.image_channels * (1 + SHUFFLE**2)
    last = nn.Conv2d(config.decoder_widths[0], channels, 3, padding=1)
    return nn.Sequential(*up, nn.SiLU(), last)
