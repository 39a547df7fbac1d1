"""CLIP's two encoders (Radford et al. 2021, arXiv 2103.00020), small enough for two cores."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.config import EMBED, SIDE, ClipConfig
from undiffuse.networks.layers import Block, Down, ResBlock, RMSNorm, grid_positions, rope_table

LOGIT_SCALE_MAX = 100.0


class ImageEncoder(nn.Module):
    """Pictures `(B, 3, 64, 64)` in [-1, 1] -> unit vectors `(B, 512)`.

    A convolutional stem brings 64x64 pixels to 4x4 places; a transformer or more convolutions
    go on from there.
    """

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.image_width
        self.stem = nn.Sequential(
            nn.Conv2d(12, 32, 3, padding=1),  # after the first 2x2 fold: 32x32
            nn.SiLU(),
            Down(32, 64),
            ResBlock(64),
            Down(64, 128),
            ResBlock(128),
            Down(128, width),
        )
        self.convolutions = nn.Sequential()
        self.blocks = nn.ModuleList()
        if config.tower == "conv":
            self.convolutions.extend(ResBlock(width) for _ in range(config.image_depth))
        else:
            hidden = width * 8 // 3 // 32 * 32
            self.blocks.extend(
                Block(width, config.image_heads, hidden) for _ in range(config.image_depth)
            )
        self.norm = RMSNorm(width)
        self.out = nn.Linear(width, EMBED, bias=False)
        rope = rope_table(grid_positions(SIDE // 16), width // config.image_heads)
        self.register_buffer("rope", rope, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(pictures, 2))  # (B, width, 4, 4)
        x = self.convolutions(x).flatten(2).transpose(1, 2)  # (B, 16, width)
        for block in self.blocks:
            x = block(x, self.rope)
        return F.normalize(self.out(self.norm(x).mean(1)).float(), dim=-1)


class TextEncoder(nn.Module):
    """Token ids `(B, N)` and lengths `(B,)` -> unit vectors `(B, 512)`.

    Attention runs both ways and stops at each text's own end; the vector is read off its last
    token, the end of text, found by the length and never guessed from the ids.
    """

    rope: Tensor

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.text_width
        self.tokens = nn.Embedding(config.vocabulary, config.token_width)
        self.widen = nn.Linear(config.token_width, width, bias=False)
        hidden = width * 8 // 3 // 32 * 32
        self.blocks = nn.ModuleList(
            Block(width, config.text_heads, hidden) for _ in range(config.text_depth)
        )
        self.norm = RMSNorm(width)
        self.out = nn.Linear(width, EMBED, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.5)
        rope = rope_table(torch.arange(config.context)[:, None], width // config.text_heads)
        self.register_buffer("rope", rope, persistent=False)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        length = ids.shape[1]
        places = torch.arange(length, device=ids.device)
        mask = (places[None, :] >= lengths[:, None]).float() * -1e4  # (B, N)
        x = self.widen(self.tokens(ids))
        rope = self.rope[:, :length]
        for block in self.blocks:
            x = block(x, rope, mask[:, None, None, :])
        last = x.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, x.shape[2]))[:, 0]
        return F.normalize(self.out(self.norm(last)).float(), dim=-1)


class Clip(nn.Module):
    """Both encoders and the learned inverse temperature, clamped at 100 as in the paper."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.image = ImageEncoder(config)
        self.text = TextEncoder(config)
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def logit_scale(self) -> Tensor:
        return self.log_logit_scale.exp().clamp(max=LOGIT_SCALE_MAX)

    def encode_image(self, pictures: Tensor) -> Tensor:
        """`(B, 3, 64, 64)` in [-1, 1] -> unit vectors `(B, 512)`."""
        return self.image(pictures)

    def encode_text(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Ids `(B, N)` and lengths `(B,)` -> unit vectors `(B, 512)`."""
        return self.text(ids, lengths)
