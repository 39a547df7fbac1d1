"""Precomputed latents and CLIP embeddings of the training set, for training the denoiser."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse.data.captions import random_caption
from undiffuse.data.picture_set import PictureSet
from undiffuse.networks.codec import Codec
from undiffuse.training import checkpoint
from undiffuse.training.augment import float_batches, random_affine
from undiffuse.training.devices import CPU
from undiffuse.training.distributed import main_first
from undiffuse.training.embedder import Embedder, TextEmbedder, load_embedder
from undiffuse.training.model_io import load_module
from undiffuse.training.precision import autocast

CAPTIONS, VARIANTS = 8, 4  # of each picture
STYLED_SHARE = 0.6  # of captions that name the style, because drawing adds one to most prompts
AUGMENTATION = 0.3  # of CLIP's: prevents memorization without visible changes
BATCH = 512
Follow = Callable[[str, float], None]


@dataclass(frozen=True)
class Embeddings:
    """What CLIP computes for N pictures, in float16.

    `captions`: vectors of captions `(N, CAPTIONS, D)`; `pictures`: of the pictures `(N, D)`. D is
    512, or that of a pretrained CLIP. `ids` and `lengths`: the captions' tokens,
    `(N, CAPTIONS, L)` and `(N, CAPTIONS)`; a pretrained CLIP has none.
    """

    captions: Tensor
    pictures: Tensor
    ids: Tensor | None = None
    lengths: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class LatentCache(Embeddings):
    """What the frozen networks compute for N pictures, in float16.

    `x0`: latents `(V, N, C, S, S)` of up to `VARIANTS`; the first variant is not augmented.
    """

    x0: Tensor


@dataclass(frozen=True)
class FrozenModels:
    """The CLIP and the codec that a denoiser is trained with. `hashes`: of their weights."""

    embed_texts: Embedder
    codec: Codec
    hashes: dict[str, str]

    @classmethod
    def load(cls, clip: Path, codec: Path, device: torch.device = CPU) -> "FrozenModels":
        """From weight files; `clip` may be the folder of a pretrained CLIP. Raises UserError for a
        file that is missing, broken or another.
        """
        embedder, clip_hash = load_embedder(clip, device)
        autoencoder, codec_weights = load_module(codec, "codec", device)
        hashes = {"clip": clip_hash, "codec": codec_weights.encoder}
        return cls(embedder, autoencoder, hashes)

    @property
    def device(self) -> torch.device:
        """Where both networks are."""
        return next(self.codec.parameters()).device

    def cache(
        self, pictures: PictureSet, folder: Path, say: Callable[[str], None],
        follow: Follow = lambda what, share: None, seconds: float = math.inf,
    ) -> LatentCache:  # fmt: skip
        """The latents and embeddings of a training set, read from `folder` if they are there.
        `follow` gets what is computed and the share of it that is done. `seconds`: how long
        encoding may take; then there are fewer variants.

        The file names hold the hashes of the networks and of the pictures. Raises UserError for a
        broken file.
        """
        say(f"encoding {len(pictures.records)} pictures and {CAPTIONS} captions of each")
        embeddings = self.embeddings(pictures, folder, follow)
        latents = cached(
            folder / f"latents-{self.hashes['codec']}-{pictures.digest[:16]}.safetensors",
            lambda: encode_dataset(pictures, self.codec.encode, self.device, follow, seconds),
        )
        return LatentCache(**latents, **vars(embeddings))

    def embeddings(
        self, pictures: PictureSet, folder: Path, follow: Follow = lambda what, share: None
    ) -> Embeddings:
        """The embeddings alone, read from `folder` as in `cache`."""
        path = embeddings_file(folder, self.hashes["clip"], pictures)
        return Embeddings(**cached(path, lambda: embed_dataset(pictures, self.embed_texts, follow)))


def embeddings_file(folder: Path, clip: str, pictures: PictureSet) -> Path:
    """Where `FrozenModels.embeddings` stores those of a CLIP, given its hash."""
    return folder / f"captions-{clip}-{pictures.digest[:16]}.safetensors"


def cached(path: Path, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors in a file, computed and written first if there is no file."""
    with main_first():
        if not path.exists():
            checkpoint.save(path, compute(), {})
    return checkpoint.load(path)[0]


@torch.inference_mode()
def encode_dataset(
    pictures: PictureSet, encode: Callable[[Tensor], Tensor], device: torch.device = CPU,
    follow: Follow = lambda what, share: None, seconds: float = math.inf,
) -> dict[str, Tensor]:  # fmt: skip
    """`LatentCache.x0` of a training set, computed on a device: as many variants as fit in
    `seconds`, at least one.
    """
    variants: list[Tensor] = []
    start = time.monotonic()
    for variant in range(VARIANTS):
        if variant and (time.monotonic() - start) * (variant + 1) / variant > seconds:
            break
        rng = Generator(Philox(key=[variant, len(pictures.records)]))
        parts = []
        for pixels in float_batches(pictures.pictures, BATCH, device):
            pixels = random_affine(pixels, rng, AUGMENTATION) if variant else pixels
            with autocast(device.type):  # half the time in bfloat16, with an error of 0.3%
                latents = encode(pixels.contiguous(memory_format=torch.channels_last))
            parts.append(latents.half().contiguous().cpu())
            done = variant + len(parts) * BATCH / len(pictures.records)
            follow("encoding pictures", min(1.0, done / VARIANTS))
        variants.append(torch.cat(parts))
    return {"x0": torch.stack(variants)}


@torch.inference_mode()
def embed_dataset(
    pictures: PictureSet, embed_texts: Embedder, follow: Follow = lambda what, share: None
) -> dict[str, Tensor]:
    """The tensors of `Embeddings` of a training set."""
    captions, tokens = [], []
    follow("embedding captions", 0.0)
    for which in range(CAPTIONS):
        rng = Generator(Philox(key=[1000 + which, len(pictures.records)]))
        texts = [random_caption(record, rng, STYLED_SHARE).text for record in pictures.records]
        captions.append(embed_texts(texts).half().cpu())
        if isinstance(embed_texts, TextEmbedder):
            tokens.append(embed_texts.tokenizer(texts))
        follow("embedding captions", (which + 1) / CAPTIONS)
    vectors = [
        embed_texts.embed_pixels(pixels).half().cpu()
        for pixels in float_batches(pictures.pictures, BATCH, embed_texts.device)
    ]
    found = {"captions": torch.stack(captions, 1), "pictures": torch.cat(vectors)}
    if tokens:
        found["ids"] = torch.from_numpy(np.stack([each.ids for each in tokens], 1)).int()
        found["lengths"] = torch.from_numpy(np.stack([each.lengths for each in tokens], 1))
    return found
