"""CLIP: an image encoder and a text encoder (Radford et al. 2021, arXiv 2103.00020)."""

import math
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.config import EMBED_DIM, IMAGE_SIZE, ClipConfig
from undiffuse.networks.layers import (
    NORM_EPS,
    Downsample,
    ResBlock,
    RMSNorm,
    TransformerBlock,
    grid_positions,
    rope_table,
)

LOGIT_SCALE_MAX = 100.0


class ImageEncoder(nn.Module):
    """Pictures `(B, 3, 64, 64)` in [-1, 1] -> unit vectors `(B, 512)`.

    A convolutional stem reduces 64x64 pixels to 4x4 positions. A transformer or more convolutions
    follow, then the mean over positions and a projection.
    """

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.image_width
        self.stem = nn.Sequential(
            nn.Conv2d(12, 32, 3, padding=1),  # on 32x32, after pixel_unshuffle(2)
            nn.SiLU(),
            Downsample(32, 64),
            ResBlock(64),
            Downsample(64, 128),
            ResBlock(128),
            Downsample(128, width),
        )
        self.convolutions = nn.Sequential()
        self.blocks = nn.ModuleList()
        if config.tower == "conv":
            self.convolutions.extend(ResBlock(width) for _ in range(config.image_depth))
        else:
            self.blocks.extend(
                TransformerBlock(width, config.image_heads) for _ in range(config.image_depth)
            )
        self.norm = RMSNorm(width)
        self.out = nn.Linear(width, EMBED_DIM, bias=False)
        rope = rope_table(grid_positions(IMAGE_SIZE // 16), width // config.image_heads)
        self.register_buffer("rope", rope, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(pictures, 2))  # (B, width, 4, 4)
        x = self.convolutions(x).flatten(2).transpose(1, 2)  # (B, 16, width)
        for block in self.blocks:
            x = block(x, self.rope)
        return F.normalize(self.out(self.norm(x).mean(1)).float(), dim=-1)


class TextEncoder(nn.Module):
    """Token ids `(B, N)` and lengths `(B,)` -> unit vectors `(B, 512)`.

    A transformer with bidirectional attention; padding is masked. The vector is a projection of
    the last token, the end of text, which is found by the length.
    """

    rope: Tensor

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.text_width
        self.tokens = nn.Embedding(config.vocabulary, config.token_width)
        self.widen = nn.Linear(config.token_width, width, bias=False)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, config.text_heads) for _ in range(config.text_depth)
        )
        self.norm = RMSNorm(width)
        self.out = nn.Linear(width, EMBED_DIM, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.5)
        rope = rope_table(torch.arange(config.context)[:, None], width // config.text_heads)
        self.register_buffer("rope", rope, persistent=False)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        x, rope, mask = self._before_last(ids, lengths)
        x = self.blocks[-1](x, rope, mask)
        last = x.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, x.shape[2]))[:, 0]
        return F.normalize(self.out(self.norm(last)).float(), dim=-1)

    def states(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The inputs of the last block, each of RMS 1, `(B, N, text_width)`; padding is zeros.

        The loss trains the last block's output at the last token only, but its input at all tokens.
        """
        x, _, _ = self._before_last(ids, lengths)
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS)
        present = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        return x * present[:, :, None]

    def _before_last(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        length = ids.shape[1]
        positions = torch.arange(length, device=ids.device)
        mask = (positions[None, :] >= lengths[:, None]).float() * -1e4  # (B, N)
        x = self.widen(self.tokens(ids))
        rope = self.rope[:, :length]
        mask = mask[:, None, None, :]
        for block in self.blocks[:-1]:
            x = block(x, rope, mask)
        return x, rope, mask


class Clip(nn.Module):
    """Both encoders and the learned logit scale, at most 100 as in the paper."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.image = ImageEncoder(config)
        self.text = TextEncoder(config)
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @torch.no_grad()
    def skip_new_blocks(self, image_depth: int, text_depth: int) -> None:
        """Make the blocks after the first so many the identity, until they are trained."""
        image = [*self.image.convolutions, *self.image.blocks][image_depth:]
        for block in (*image, *[*self.text.blocks][text_depth:]):
            last = (
                [block.conv2] if isinstance(block, ResBlock)
                else [block.attention.out, block.mlp.down]
            )  # fmt: skip
            for parameter in chain(*(layer.parameters() for layer in last)):
                parameter.zero_()

    @property
    def logit_scale(self) -> Tensor:
        """The inverse temperature of the contrastive loss."""
        return self.log_logit_scale.exp().clamp(max=LOGIT_SCALE_MAX)

    def encode_image(self, pictures: Tensor) -> Tensor:
        """`(B, 3, 64, 64)` in [-1, 1] -> unit vectors `(B, 512)`."""
        return self.image(pictures)

    def encode_text(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Ids `(B, N)` and lengths `(B,)` -> unit vectors `(B, 512)`."""
        return self.text(ids, lengths)

    def encode_cond(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Ids `(B, N)` and lengths `(B,)` -> unit vectors and behind them `TextEncoder.states`,
        `(B, 512 + N * text_width)`.
        """
        states = self.text.states(ids, lengths).flatten(1)
        return torch.cat([self.text(ids, lengths), states.float()], dim=1)
