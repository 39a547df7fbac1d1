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
    rates = torch.exp(torch.linspace(0.0, math.log(1000.0), FREQUENCIES, device=t.device))
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

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(B, N, width)` -> `(B, N, width)`; `mask` `(B, 1, 1, N)` is added to the logits."""
        q, k, v = (F.linear(x, weight) for weight in self.qkv.weight.chunk(3))
        parts = (self.q_norm(q), self.k_norm(k), v)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        logits = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)  # (B, heads, N, N)
        if mask is not None:
            logits = logits + mask
        mixed = logits.softmax(-1).to(v.dtype) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Attention from the positions of the picture to the tokens of the text.

    A learned null token is always present, so that a text without tokens has something to attend
    to; its value is zero.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)
        self.q_norm, self.k_norm = RMSNorm(width), RMSNorm(width)
        self.null_key = nn.Parameter(torch.randn(1, 1, width))

    def forward(self, x: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """`x` `(B, N, width)`, `text` `(B, L, width)`, `mask` `(B, 1, 1, 1 + L)`, added to the
        logits -> `(B, N, width)`.
        """
        k, v = (F.linear(text, weight) for weight in self.kv.weight.chunk(2))
        null = self.null_key.to(k.dtype) + 0.0 * k[:, :1]  # (B, 1, width), also when traced
        k = torch.cat([null, k], dim=1)
        v = F.pad(v, (0, 0, 1, 0))
        parts = (self.q_norm(self.q(x)), self.k_norm(k), v)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        logits = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2) + mask
        mixed = logits.softmax(-1).to(v.dtype) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


class ConditionedBlock(nn.Module):
    """A transformer block with adaptive layer norm (adaLN-zero, DiT, arXiv 2212.09748).

    All blocks share one projection of the condition, and each adds its own offset (adaLN-single,
    PixArt-alpha, arXiv 2310.00426). Separate projections would be half of all weights.
    """

    def __init__(self, width: int, heads: int, reads_text: bool = False) -> None:
        super().__init__()
        self.norm = RMSNorm(width, gain=False)
        self.attention = SelfAttention(width, heads)
        self.cross = CrossAttention(width, heads) if reads_text else None
        self.mlp = SwiGLU(width)
        self.offset = nn.Parameter(torch.zeros(6, width))

    def forward(
        self, x: Tensor, modulation: Tensor, text: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """`x`: `(B, N, width)`; `modulation`: `(B, 6, width)`; `text`: tokens and their mask."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            (modulation + self.offset).to(x.dtype)[:, :, None].unbind(1)
        )  # each (B, 1, width)
        x = x + gate1 * self.attention(self.norm(x) * (1 + scale1) + shift1)
        if self.cross is not None and text is not None:
            x = x + self.cross(self.norm(x), *text)
        return x + gate2 * self.mlp(self.norm(x) * (1 + scale2) + shift2)


class TextBlock(nn.Module):
    """A transformer block over the tokens of the text.

    The states of CLIP hardly tell which color belongs to which thing, and which thing comes first,
    because CLIP's loss does not need it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.attention = SelfAttention(width, heads)
        self.mlp = SwiGLU(width)

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """`text` `(B, L, width)`, `mask` `(B, 1, 1, L)` -> `(B, L, width)`."""
        text = text + self.attention(self.norm1(text), mask)
        return text + self.mlp(self.norm2(text))


class DenoiserNetwork(nn.Module):
    """A diffusion transformer. Its tokens are the positions of the latents and, in front of them,
    `config.context` projections of the CLIP vector. Every second block also attends to the tokens
    of the text (PixArt-alpha, arXiv 2310.00426), if `config.text_tokens` is not 0.
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
        reads = [config.text_tokens > 0 and k % 2 == 1 for k in range(config.depth)]
        self.blocks = nn.ModuleList(ConditionedBlock(width, heads, text) for text in reads)
        self.text_in = nn.Linear(config.text_channels, width) if config.text_tokens else None
        self.text_blocks = nn.ModuleList(
            TextBlock(width, heads) for _ in range(config.text_depth if config.text_tokens else 0)
        )
        if self.text_blocks:
            self.text_places = nn.Parameter(0.2 * torch.randn(config.text_tokens, width))
        self.norm = RMSNorm(width)
        self.places = nn.Parameter(0.02 * torch.randn(config.side**2, width))

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """`x_t` `(B, C, S, S)`, `t` `(B,)`, `cond` `(B, D)` -> the prediction of `config.target`,
        `(B, C, S, S)`. A row of `cond` is a CLIP vector and, behind it, the states of the text's
        tokens; D = `config.cond_size`. States of zeros are absent tokens.
        """
        cond, text = self._split(cond)
        cond = cond * math.sqrt(self.config.embed)  # from unit length to unit RMS
        level = self.level(sinusoidal_embedding(t))
        modulation = self.steer(F.silu(level + self.cond_in(cond))).unflatten(-1, (6, -1))
        context = self.cond_tokens(cond).unflatten(-1, (self.config.context, -1))
        x = self.into(x_t.flatten(2).transpose(1, 2))
        x = torch.cat([context.to(x.dtype), x + self.places.to(x.dtype)], dim=1)
        for block in self.blocks:
            x = block(x, modulation, text)
        x = self.norm(x[:, self.config.context :])
        return self.out(x).transpose(1, 2).unflatten(-1, (self.config.side, -1)).float()

    def _split(self, cond: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        if self.text_in is None:
            return cond, None
        vector, flat = cond[:, : self.config.embed], cond[:, self.config.embed :]
        tokens = flat.unflatten(-1, (self.config.text_tokens, -1))  # (B, L, text_channels)
        absent = (tokens.abs().sum(-1) == 0).float()[:, None, None] * -1e4  # (B, 1, 1, L)
        text = self.text_in(tokens)
        if self.text_blocks:
            text = text + self.text_places.to(text.dtype)
        for block in self.text_blocks:
            text = block(text, absent)
        return vector, (text, F.pad(absent, (1, 0)))
