"""The denoising network: a transformer over a few tokens, steered by the CLIP vector (torch)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.config import EMBED, DenoiserConfig
from undiffuse.networks.layers import Down, ResBlock, RMSNorm, SwiGLU, Up

FREQUENCIES = 64


def level_features(t: Tensor) -> Tensor:
    """Sines and cosines of the noise level: `(B,)` -> `(B, 128)`."""
    rates = torch.exp(torch.linspace(0.0, math.log(1000.0), FREQUENCIES))
    angles = t.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class WideAttention(nn.Module):
    """Self-attention, queries and keys normalised over the whole width (OLMo 2, arXiv 2501.00656).

    Positions are added to the tokens, not turned into the heads: with norms and rotations head by
    head, training took 1.4 times as long (LOG.md).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.q_norm, self.k_norm = RMSNorm(width), RMSNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, N, width)` -> the same."""
        q, k, v = (F.linear(x, weight) for weight in self.qkv.weight.chunk(3))
        parts = (self.q_norm(q), self.k_norm(k), v)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        logits = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)  # (B, heads, N, N)
        mixed = logits.softmax(-1).to(v.dtype) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


class SteeredBlock(nn.Module):
    """A transformer block whose norms are shifted, scaled and gated by the condition (adaLN-zero,
    DiT, arXiv 2212.09748), with one projection for all blocks and an offset each (PixArt-alpha,
    arXiv 2310.00426): the projections would be half of all weights.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width, gain=False)
        self.attention = WideAttention(width, heads)
        self.mlp = SwiGLU(width, hidden)
        self.offset = nn.Parameter(torch.zeros(6, width))

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        """`x`: `(B, N, width)`; `steering`: `(B, 6, width)`."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            (steering + self.offset).to(x.dtype)[:, :, None].unbind(1)
        )  # each (B, 1, width)
        x = x + gate1 * self.attention(self.norm(x) * (1 + scale1) + shift1)
        return x + gate2 * self.mlp(self.norm(x) * (1 + scale2) + shift2)


class DenoiserNetwork(nn.Module):
    """`x_t` `(B, C, S, S)`, `t` `(B,)`, `cond` `(B, 512)` -> what it predicts, the shape of `x_t`.

    Latents become one token a place. Pixels go through a convolutional stem down to 8x8 places
    and a mirrored head with skips.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width, heads = config.width, config.heads
        hidden = width * 8 // 3 // 32 * 32
        self.pixels = config.side > 16
        if self.pixels:
            self.stem, self.head = _PixelStem(config), _PixelHead(config)
            side = 8
        else:
            self.into = nn.Linear(config.channels, width)
            self.out = nn.Linear(width, config.channels)
            side = config.side
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)
        self.side = side
        self.level = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.cond_in = nn.Linear(EMBED, width)
        self.cond_tokens = nn.Linear(EMBED, config.context * width)
        self.steer = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)
        self.blocks = nn.ModuleList(SteeredBlock(width, heads, hidden) for _ in range(config.depth))
        self.norm = RMSNorm(width)
        self.places = nn.Parameter(0.02 * torch.randn(side * side, width))

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        cond = cond * math.sqrt(EMBED)  # unit length -> unit RMS
        level = self.level(level_features(t))
        steering = self.steer(F.silu(level + self.cond_in(cond))).unflatten(-1, (6, -1))
        context = self.cond_tokens(cond).unflatten(-1, (self.config.context, -1))
        skips: list[Tensor] = []
        if self.pixels:
            x = self.stem(x_t, skips).flatten(2).transpose(1, 2)
        else:
            x = self.into(x_t.flatten(2).transpose(1, 2))
        x = torch.cat([context.to(x.dtype), x + self.places.to(x.dtype)], dim=1)
        for block in self.blocks:
            x = block(x, steering)
        x = self.norm(x[:, self.config.context :])
        if self.pixels:
            return self.head(x.transpose(1, 2).unflatten(-1, (self.side, -1)), skips).float()
        return self.out(x).transpose(1, 2).unflatten(-1, (self.side, -1)).float()


class _PixelStem(nn.Module):
    """Pixels to 8x8 places of `width` channels, leaving what it saw on the way for the head."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        fold = 4 if config.side == 64 else 2
        self.fold = fold
        wide, narrow = 64, 32
        self.first = nn.Conv2d(config.channels * (fold // 2) ** 2, narrow, 3, padding=1)
        self.block1 = ResBlock(narrow)
        self.down1 = Down(narrow, wide)
        self.block2 = ResBlock(wide)
        self.down2 = Down(wide, config.width)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        x = self.block1(self.first(F.pixel_unshuffle(x, self.fold // 2)))
        skips.append(x)
        x = self.block2(self.down1(x))
        skips.append(x)
        return self.down2(x)


class _PixelHead(nn.Module):
    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        fold = 4 if config.side == 64 else 2
        self.fold = fold
        wide, narrow = 64, 32
        self.up1 = Up(config.width, wide)
        self.mix1 = nn.Conv2d(2 * wide, wide, 1)
        self.block1 = ResBlock(wide)
        self.up2 = Up(wide, narrow)
        self.mix2 = nn.Conv2d(2 * narrow, narrow, 1)
        self.block2 = ResBlock(narrow)
        self.last = nn.Conv2d(narrow, config.channels * (fold // 2) ** 2, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        first, second = skips
        x = self.block1(self.mix1(torch.cat([self.up1(x), second], dim=1)))
        x = self.block2(self.mix2(torch.cat([self.up2(x), first], dim=1)))
        return F.pixel_shuffle(self.last(F.silu(x)), self.fold // 2)
