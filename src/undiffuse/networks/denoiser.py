"""The denoising network: a transformer over a few tokens, steered by the CLIP vector (torch)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.config import EMBED, DenoiserConfig
from undiffuse.networks.layers import RMSNorm, SwiGLU

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

    Each place becomes one token, and a few more are made of the condition.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width, heads = config.width, config.heads
        hidden = width * 8 // 3 // 32 * 32
        self.into = nn.Linear(config.channels, width)
        self.out = nn.Linear(width, config.channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
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
        self.places = nn.Parameter(0.02 * torch.randn(config.side**2, width))

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        cond = cond * math.sqrt(EMBED)  # unit length -> unit RMS
        level = self.level(level_features(t))
        steering = self.steer(F.silu(level + self.cond_in(cond))).unflatten(-1, (6, -1))
        context = self.cond_tokens(cond).unflatten(-1, (self.config.context, -1))
        x = self.into(x_t.flatten(2).transpose(1, 2))
        x = torch.cat([context.to(x.dtype), x + self.places.to(x.dtype)], dim=1)
        for block in self.blocks:
            x = block(x, steering)
        x = self.norm(x[:, self.config.context :])
        return self.out(x).transpose(1, 2).unflatten(-1, (self.config.side, -1)).float()
