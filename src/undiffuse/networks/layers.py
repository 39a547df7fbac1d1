"""Layers shared by the encoders, the codec and the denoiser (torch).

Attention is written as two batched matrix products and a softmax. At 16 to 70 tokens the backward
pass of torch's fused CPU kernel is slower (docs/log).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.networks.small_conv import SmallConv2d

NORM_EPS = 1e-6


class RMSNorm(nn.Module):
    """x / rms(x) * gain over an axis (Zhang & Sennrich 2019, arXiv 1910.07467).

    The axis is the last one, or with `channels_first` the one of C in `(B, C, H, W)`.
    """

    def __init__(self, width: int, *, gain: bool = True, channels_first: bool = False) -> None:
        super().__init__()
        self.dim, shape = (1, (width, 1, 1)) if channels_first else (-1, (width,))
        self.gain = nn.Parameter(torch.ones(shape)) if gain else None

    def forward(self, x: Tensor) -> Tensor:
        # In float32, because bfloat16 keeps only two to three digits of a mean of squares.
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.square().mean(self.dim, keepdim=True) + NORM_EPS)
        return (scaled if self.gain is None else scaled * self.gain).to(x.dtype)


def rope_table(positions: Tensor, size: int, *, base: float = 100.0) -> Tensor:
    """Cosines and sines for rotary positions (RoFormer, arXiv 2104.09864).

    `positions`: `(N, axes)` -> `(2, N, size)` for heads of `size` channels. Each axis gets an equal
    share of the channels.
    """
    axes = positions.shape[1]
    pairs = size // (2 * axes)
    rates = base ** (-torch.arange(pairs, dtype=torch.float32) / pairs)
    angles = (positions.float()[:, :, None] * rates).flatten(1)  # (N, size / 2)
    rest = size // 2 - angles.shape[1]
    angles = F.pad(angles, (0, rest))
    return torch.stack([angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)])


def apply_rope(x: Tensor, table: Tensor) -> Tensor:
    """Rotate `(B, heads, N, size)` by the angles of `rope_table`.

    Compiled in bfloat16, x * cos + cat([-second, first]) * sin has gradients that are not finite at
    32 positions (torch 2.13, docs/log).
    """
    first, second = x.chunk(2, dim=-1)
    (cos, _), (sin, _) = (one.chunk(2, dim=-1) for one in table)  # both halves are equal
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class RotaryAttention(nn.Module):
    """Self-attention with rotary positions and queries and keys normalized per head (arXiv
    2302.05442).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.q_norm = RMSNorm(width // heads)
        self.k_norm = RMSNorm(width // heads)

    def forward(self, x: Tensor, rope: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(B, N, width)` -> `(B, N, width)`; `mask` `(B, 1, 1, N)` is added to the logits."""
        batch, length, width = x.shape
        size = width // self.heads
        qkv = self.qkv(x).view(batch, length, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        q = apply_rope(self.q_norm(qkv[0]), rope.to(x.dtype))
        k = apply_rope(self.k_norm(qkv[1]), rope.to(x.dtype))
        logits = (q / math.sqrt(size)) @ k.transpose(-1, -2)  # (B, heads, N, N)
        if mask is not None:
            logits = logits + mask
        mixed = logits.softmax(-1).to(qkv.dtype) @ qkv[2]
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = width * 8 // 3 // 32 * 32  # as many weights as a plain MLP of 4 * width
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # Two products are faster than one: the halves of one product are not contiguous, and
        # multiplying them takes twice as long.
        gate, up = (F.linear(x, weight) for weight in self.gate_up.weight.chunk(2))
        return self.down(F.silu(gate) * up)


class TransformerBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.attention = RotaryAttention(width, heads)
        self.mlp = SwiGLU(width)

    def forward(self, x: Tensor, rope: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), rope, mask)
        return x + self.mlp(self.norm2(x))


class ResBlock(nn.Module):
    """x + conv(silu(conv(silu(norm(x))))) with 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = RMSNorm(channels, channels_first=True)
        self.conv1, self.conv2 = SmallConv2d(channels), SmallConv2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class Downsample(nn.Module):
    """Halves height and width: pixel unshuffle and a 1x1 convolution."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pixel_unshuffle(x, 2))


class Upsample(nn.Module):
    """Doubles height and width: a 1x1 convolution and pixel shuffle."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, 4 * channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class Resample(nn.Module):
    """Height and width from `side_in` to `side_out` by one learned matrix for both axes, which
    begins as linear interpolation.
    """

    def __init__(self, side_in: int, side_out: int) -> None:
        super().__init__()
        lines = torch.eye(side_in)[None, None]
        linear = F.interpolate(lines, (side_out, side_in), mode="bilinear", antialias=True)
        self.weight = nn.Parameter(linear[0, 0])  # (side_out, side_in)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight @ x @ self.weight.T


def bilateral_filter(pixels: Tensor, tone: float, radius: int = 2) -> Tensor:
    """Smooth `(B, C, H, W)` without blurring edges (Tomasi & Manduchi 1998, ICCV); two passes.

    `tone`: standard deviation of the Gaussian over color distance, in units of the pixels. The one
    over position has 0.75 `radius`.
    """
    side, channels = 2 * radius + 1, int(pixels.shape[1])
    line = torch.arange(side, device=pixels.device) - float(radius)
    spatial = torch.exp((line[:, None] ** 2 + line**2) / (-2 * (0.75 * radius) ** 2))
    shifts = torch.eye(side**2, device=pixels.device).view(-1, 1, side, side)
    shifts = shifts.repeat(channels, 1, 1, 1)
    for _ in range(2):
        padded = F.pad(pixels, (radius,) * 4, mode="replicate")
        neighbors = F.conv2d(padded, shifts, groups=channels).unflatten(1, (channels, side**2))
        distance = (
            (neighbors - pixels[:, :, None]).square().sum(1, keepdim=True)
        )  # (B, 1, side^2, H, W)
        weight = spatial.view(1, 1, -1, 1, 1) * torch.exp(distance / (-2 * tone**2))
        pixels = (weight * neighbors).sum(2) / weight.sum(2)
    return pixels


def grid_positions(side: int) -> Tensor:
    """Row and column of each position of a `side` x `side` grid: `(side * side, 2)`."""
    line = torch.arange(side)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).view(-1, 2)
