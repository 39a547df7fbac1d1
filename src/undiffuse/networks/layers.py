"""The layers that the encoders, the codec and the denoiser are made of (torch).

Attention is written out as two batched products and a softmax: at the 16 to 70 tokens used here
the fused CPU kernel's backward pass is slower (LOG.md).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPS = 1e-6


class RMSNorm(nn.Module):
    """x / rms(x) * gain over the last axis (Zhang & Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, *, gain: bool = True) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width)) if gain else None

    def forward(self, x: Tensor) -> Tensor:
        # In float32: a mean of squares in bfloat16 keeps two digits.
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + NORM_EPS)
        return (scaled if self.gain is None else scaled * self.gain).to(x.dtype)


class ChannelNorm(nn.Module):
    """RMSNorm over the channels of `(B, C, H, W)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.square().mean(1, keepdim=True) + NORM_EPS)
        return (scaled * self.gain).to(x.dtype)


def rope_table(positions: Tensor, size: int, *, base: float = 100.0) -> Tensor:
    """Rotary position angles (RoFormer, arXiv 2104.09864), axes sharing the channels evenly.

    `positions`: `(N, axes)` -> `(2, N, size)`: cosines and sines for heads of `size` channels.
    """
    axes = positions.shape[1]
    pairs = size // (2 * axes)
    rates = base ** (-torch.arange(pairs, dtype=torch.float32) / pairs)
    angles = (positions.float()[:, :, None] * rates).flatten(1)  # (N, size / 2)
    rest = size // 2 - angles.shape[1]
    angles = F.pad(angles, (0, rest))
    return torch.stack([angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)])


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn `(B, heads, N, size)` by `rope_table`'s angles."""
    first, second = x.chunk(2, dim=-1)
    return x * table[0] + torch.cat([-second, first], dim=-1) * table[1]


class Attention(nn.Module):
    """Self-attention with normalised queries and keys (arXiv 2302.05442) and rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.q_norm = RMSNorm(width // heads)
        self.k_norm = RMSNorm(width // heads)

    def forward(self, x: Tensor, rope: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(B, N, width)`; `mask` is added to the logits, `(B, 1, 1, N)`."""
        batch, length, width = x.shape
        size = width // self.heads
        qkv = self.qkv(x).view(batch, length, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        q = rotate(self.q_norm(qkv[0]), rope.to(x.dtype))
        k = rotate(self.k_norm(qkv[1]), rope.to(x.dtype))
        logits = (q / math.sqrt(size)) @ k.transpose(-1, -2)  # (B, heads, N, N)
        if mask is not None:
            logits = logits + mask
        mixed = logits.softmax(-1).to(qkv.dtype) @ qkv[2]
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class SwiGLU(nn.Module):
    """down(silu(gate x) * up x) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # Two products: halves of one lie apart in memory, and gating them takes twice as long.
        gate, up = (F.linear(x, weight) for weight in self.gate_up.weight.chunk(2))
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    """A transformer block, norms first."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = SwiGLU(width, hidden)

    def forward(self, x: Tensor, rope: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), rope, mask)
        return x + self.mlp(self.norm2(x))


class ResBlock(nn.Module):
    """x + conv(silu(conv(silu(norm x)))), 3x3, channels kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class Down(nn.Module):
    """Half the side: 2x2 pixels become channels, mixed by a 1x1 convolution."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pixel_unshuffle(x, 2))


class Up(nn.Module):
    """Twice the side: a 1x1 convolution, then channels become 2x2 pixels."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, 4 * channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


def flattened(pixels: Tensor, tone: float, radius: int = 2) -> Tensor:
    """Each pixel becomes the mean of those near it in place and in colour; twice.

    What differs by little against `tone`, in units of the pixels, becomes one colour, and edges
    stay: the bilateral filter (Tomasi & Manduchi 1998, ICCV), a Gaussian of 0.75 `radius` in place.
    """
    side = 2 * radius + 1
    line = torch.arange(side, device=pixels.device) - float(radius)
    near = torch.exp((line[:, None] ** 2 + line**2) / (-2 * (0.75 * radius) ** 2))
    shifts = torch.eye(side**2, device=pixels.device).view(-1, 1, side, side).repeat(3, 1, 1, 1)
    for _ in range(2):
        padded = F.pad(pixels, (radius,) * 4, mode="replicate")
        around = F.conv2d(padded, shifts, groups=3).unflatten(1, (3, side**2))
        apart = (around - pixels[:, :, None]).square().sum(1, keepdim=True)  # (B, 1, side^2, H, W)
        weight = near.view(1, 1, -1, 1, 1) * torch.exp(apart / (-2 * tone**2))
        pixels = (weight * around).sum(2) / weight.sum(2)
    return pixels


def grid_positions(side: int) -> Tensor:
    """Row and column of each token of a `side` x `side` grid: `(side * side, 2)`."""
    line = torch.arange(side)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).view(-1, 2)
