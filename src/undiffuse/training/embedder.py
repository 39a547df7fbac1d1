"""The CLIP that gives the denoiser its conditions: one of this package, or a pretrained one."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import EMBED_DIM
from undiffuse.errors import UserError
from undiffuse.pretrained.config import build_network
from undiffuse.pretrained.encoder import PretrainedClip
from undiffuse.pretrained.files import find_clip
from undiffuse.runtime.session import PRETRAINED, weight_file
from undiffuse.training.augment import to_clip_input, to_rgb
from undiffuse.training.devices import CPU
from undiffuse.training.model_io import load_module, load_tokenizer

BATCH = 512
TEXT_DEPTH = 2  # blocks of a new denoiser over the tokens of the text
MAX_COPY = 2 * 10**9  # bytes of a pretrained CLIP that is copied into the model's folder


class Embedder(Protocol):
    """Unit vectors of texts and of pictures `(B, C, H, W)` in [-1, 1], both `(B, dim)`."""

    @property
    def dim(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, texts: list[str]) -> Tensor: ...

    def cond(self, texts: list[str], tokens: int) -> Tensor:
        """`cond` of a denoiser that reads this many tokens of a text."""
        ...

    def embed_pixels(self, pixels: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class TextEmbedder:
    """A CLIP model and its tokenizer."""

    model: Clip
    tokenizer: Tokenizer
    dim: int = EMBED_DIM

    @classmethod
    def load(cls, path: Path, device: torch.device = CPU) -> "TextEmbedder":
        """From a weight file. Raises UserError when it is not one of a CLIP."""
        model, weights = load_module(path, "clip", device)
        return cls(model, load_tokenizer(weights))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.log_logit_scale.device

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Unit vectors `(N, 512)` on the model's device. Texts of like length share a batch to save
        padding.
        """
        tokens = self.tokenizer(texts)
        order = np.argsort(tokens.lengths, kind="stable")
        out = torch.empty(len(texts), EMBED_DIM, device=self.device)
        for start in range(0, len(texts), BATCH):
            rows = order[start : start + BATCH]
            lengths = torch.from_numpy(tokens.lengths[rows])
            ids = torch.from_numpy(tokens.ids[rows, : int(lengths.max())])
            vectors = self.model.encode_text(ids.to(self.device), lengths.to(self.device))
            out[torch.from_numpy(rows).to(self.device)] = vectors
        return out

    @torch.no_grad()
    def cond(self, texts: list[str], tokens: int) -> Tensor:
        """The unit vectors, and behind them the states of the first `tokens` tokens:
        `(N, 512 + tokens * text_width)`.
        """
        vectors = self(texts)
        if not tokens:
            return vectors
        found = self.tokenizer(texts)
        ids, lengths = torch.from_numpy(found.ids), torch.from_numpy(found.lengths)
        states = self.states(ids.to(self.device), lengths.to(self.device), tokens)
        return torch.cat([vectors, states], dim=1)

    @torch.no_grad()
    def states(self, ids: Tensor, lengths: Tensor, tokens: int) -> Tensor:
        """`TextEncoder.states` of the first `tokens` tokens, `(B, tokens * text_width)`."""
        states = self.model.text.states(ids, lengths)[:, :tokens].float()
        return F.pad(states, (0, 0, 0, tokens - states.shape[1])).flatten(1)

    def embed_pixels(self, pixels: Tensor) -> Tensor:
        """Unit vectors `(B, 512)` of pictures of any size, RGB or premultiplied RGBA."""
        return self.model.encode_image(to_clip_input(pixels))


@dataclass(frozen=True)
class PretrainedEmbedder:
    """A pretrained CLIP, as `TextEmbedder`."""

    clip: PretrainedClip
    device: torch.device = CPU

    @classmethod
    def load(cls, folder: Path, device: torch.device = CPU) -> "PretrainedEmbedder":
        """From a folder. Raises UserError as `PretrainedClip` does."""
        clip = PretrainedClip(folder)
        network: torch.nn.Module = clip.network
        network.requires_grad_(False).to(device)
        return cls(clip, device)

    @property
    def dim(self) -> int:
        """Dimensions of the vectors."""
        return self.clip.dim

    def __call__(self, texts: list[str]) -> Tensor:
        return torch.from_numpy(self.clip.encode_text(texts)).to(self.device)

    def cond(self, texts: list[str], tokens: int) -> Tensor:
        """The vectors alone: a denoiser with a pretrained CLIP reads no tokens."""
        assert tokens == 0
        return self(texts)

    def embed_pixels(self, pixels: Tensor) -> Tensor:
        """Unit vectors of pictures, which the CLIP's own preprocessing resizes."""
        rgb = ((to_rgb(pixels).clamp(-1, 1) + 1) * 127.5).round().byte()
        return torch.from_numpy(self.clip.encode_image(rgb.cpu().numpy())).to(self.device)


def load_embedder(path: Path, device: torch.device = CPU) -> tuple[Embedder, str]:
    """The CLIP of a weight file, or a pretrained one of a folder, and its hash.

    UserError for a path that is neither.
    """
    if path.is_dir():
        pretrained = PretrainedEmbedder.load(path, device)
        return pretrained, pretrained.clip.hash
    model, weights = load_module(path, "clip", device)
    return TextEmbedder(model, load_tokenizer(weights)), weights.hash


def find_clip_of(folder: Path, given: Path | None = None) -> Path:
    """The CLIP of a model folder, for `load_embedder`: its weight file, the pretrained CLIP that
    was copied into it, or `given`, which was too large for that.
    """
    if (folder / PRETRAINED).is_dir():
        return folder / PRETRAINED
    own = weight_file(folder, "clip")
    return given if is_pretrained(given) and given and not own.exists() else own


def vector_size(path: Path) -> int:
    """Dimensions of the vectors of `find_clip_of`'s result."""
    if not path.is_dir():
        return EMBED_DIM
    config: Any = build_network(find_clip(path)[0]).config
    return int(config.projection_dim)


def text_input(embedder: Embedder, tokens: int) -> dict[str, int]:
    """The settings of a denoiser that reads `tokens` tokens of a text. UserError for a pretrained
    CLIP, whose tokens are not read.
    """
    if not isinstance(embedder, TextEmbedder):
        raise UserError("--text-tokens needs a CLIP of undiffuse: the tokens of a pretrained one "
                        "are not read")  # fmt: skip
    width = embedder.model.config.text_width
    return {"text_tokens": tokens, "text_channels": width, "text_depth": TEXT_DEPTH}


def copy_pretrained(source: Path, folder: Path) -> bool:
    """Copy the files of a pretrained CLIP into a model folder; False if they are too large.

    UserError for a folder without a CLIP that can be read. Other files of it are left out.
    """
    paths = PretrainedClip(source).paths
    target = folder / PRETRAINED
    if target.is_dir() or sum(path.stat().st_size for path in paths) > MAX_COPY:
        return target.is_dir()
    partial = folder / f".{PRETRAINED}.part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for path in paths:
        shutil.copyfile(path, partial / path.relative_to(source))
    partial.rename(target)
    return True


def is_pretrained(folder: Path | None) -> bool:
    """Whether a folder for `--clip` holds a pretrained CLIP. UserError if it holds no CLIP."""
    if folder is None or weight_file(folder, "clip").exists():
        return False
    if not folder.is_dir():
        raise UserError(f"--clip {folder}: there is no such folder")
    return True
