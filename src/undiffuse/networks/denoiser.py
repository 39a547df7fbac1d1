"""The denoising network: a transformer over the latents, conditioned on a CLIP vector (torch)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.config import DenoiserConfig
from undiffuse.networks.layers import RMSNorm, SwiGLU

FREQUENCIES = 64


def sinusoidal_embedding(t: Tensor) -> Tensor:
    """Sines and cosines of the noise level at 64 frequencies: `(B,)` -> `(B, 128)`."""
    rates = torch.exp(torch.linspace(0.0, math.log(1000.0), FREQUENCIES))
    angles = t.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class SelfAttention(nn.Module):
    """Self-attention with queries and keys normalized over the whole width (OLMo 2, arXiv
    2501.00656).

    It has no rotary positions; the network adds learned positions to the tokens instead. Norms and
    rotations per head made training 1.4 times slower (docs/log).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.q_norm, self.k_norm = RMSNorm(width), RMSNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, N, width)` -> `(B, N, width)`."""
        q, k, v = (F.linear(x, weight) for weight in self.qkv.weight.chunk(3))
        parts = (self.q_norm(q), self.k_norm(k), v)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        logits = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)  # (B, heads, N, N)
        mixed = logits.softmax(-1).to(v.dtype) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


class ConditionedBlock(nn.Module):
    """A transformer block with adaptive layer norm (adaLN-zero, DiT, arXiv 2212.09748).

    All blocks share one projection of the condition, and each adds its own offset (adaLN-single,
    PixArt-alpha, arXiv 2310.00426). Separate projections would be half of all weights.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width, gain=False)
        self.attention = SelfAttention(width, heads)
        self.mlp = SwiGLU(width)
        self.offset = nn.Parameter(torch.zeros(6, width))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """`x`: `(B, N, width)`; `modulation`: `(B, 6, width)`."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            (modulation + self.offset).to(x.dtype)[:, :, None].unbind(1)
        )  # each (B, 1, width)
        x = x + gate1 * self.attention(self.norm(x) * (1 + scale1) + shift1)
        return x + gate2 * self.mlp(self.norm(x) * (1 + scale2) + shift2)


class DenoiserNetwork(nn.Module):
    """A diffusion transformer. Its tokens are the positions of the latents and, in front of them,
    `config.context` projections of the CLIP vector.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width, heads = config.width, config.heads
        self.into = nn.Linear(config.channels, width)
        self.out = nn.Linear(width, config.channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.level = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.cond_in = nn.Linear(config.embed, width)
        self.cond_tokens = nn.Linear(config.embed, config.context * width)
        self.steer = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)
        self.blocks = nn.ModuleList(ConditionedBlock(width, heads) for _ in range(config.depth))
        self.norm = RMSNorm(width)
        self.places = nn.Parameter(0.02 * torch.randn(config.side**2, width))

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """`x_t` `(B, C, S, S)`, `t` `(B,)`, `cond` `(B, 512)` -> the prediction of
        `config.target`, `(B, C, S, S)`.
        """
        cond = cond * math.sqrt(self.config.embed)  # from unit length to unit RMS
        level = self.level(sinusoidal_embedding(t))
        modulation = self.steer(F.silu(level + self.cond_in(cond))).unflatten(-1, (6, -1))
        context = self.cond_tokens(cond).unflatten(-1, (self.config.context, -1))
        x = self.into(x_t.flatten(2).transpose(1, 2))
        x = torch.cat([context.to(x.dtype), x + self.places.to(x.dtype)], dim=1)
        for block in self.blocks:
            x = block(x, modulation)
        x = self.norm(x[:, self.config.context :])
        return self.out(x).transpose(1, 2).unflatten(-1, (self.config.side, -1)).float()
