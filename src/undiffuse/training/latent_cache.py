"""Precomputed latents and CLIP embeddings of the training set, for training the denoiser."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import EMBED_DIM
from undiffuse.data.captions import random_caption
from undiffuse.data.picture_set import PictureSet
from undiffuse.networks.codec import Codec
from undiffuse.training import checkpoint
from undiffuse.training.augment import float_batches, random_affine, to_clip_input
from undiffuse.training.model_io import load_module, load_tokenizer
from undiffuse.training.precision import autocast

CAPTIONS, VARIANTS = 8, 4  # of each picture
STYLED_SHARE = 0.6  # of captions that name the style, because drawing adds one to most prompts
AUGMENTATION = 0.3  # of CLIP's: prevents memorization without visible changes
BATCH = 512


@dataclass(frozen=True)
class LatentCache:
    """What the frozen networks compute for N pictures, in float16.

    `x0`: latents `(VARIANTS, N, C, S, S)`; the first variant is not augmented. `captions`: CLIP
    vectors of captions `(N, CAPTIONS, 512)`; `pictures`: of the pictures `(N, 512)`.
    """

    x0: Tensor
    captions: Tensor
    pictures: Tensor


@dataclass(frozen=True)
class TextEmbedder:
    """A CLIP model and its tokenizer."""

    model: Clip
    tokenizer: Tokenizer

    @classmethod
    def load(cls, path: Path) -> "TextEmbedder":
        """From a weight file. Raises UserError when it is not one of a CLIP."""
        model, weights = load_module(path, "clip")
        return cls(model, load_tokenizer(weights))

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Unit vectors `(N, 512)`. Texts of like length share a batch to save padding."""
        tokens = self.tokenizer(texts)
        order = np.argsort(tokens.lengths, kind="stable")
        out = torch.empty(len(texts), EMBED_DIM)
        for start in range(0, len(texts), BATCH):
            rows = order[start : start + BATCH]
            lengths = torch.from_numpy(tokens.lengths[rows])
            ids = torch.from_numpy(tokens.ids[rows, : int(lengths.max())])
            out[torch.from_numpy(rows)] = self.model.encode_text(ids, lengths)
        return out


@dataclass(frozen=True)
class FrozenModels:
    """The CLIP and the codec that a denoiser is trained with. `hashes`: of their weights."""

    embed_texts: TextEmbedder
    codec: Codec
    hashes: dict[str, str]

    @classmethod
    def load(cls, clip: Path, codec: Path) -> "FrozenModels":
        """From weight files. Raises UserError for a file that is missing, broken or another."""
        model, weights = load_module(clip, "clip")
        autoencoder, codec_weights = load_module(codec, "codec")
        hashes = {"clip": weights.hash, "codec": codec_weights.encoder}
        return cls(TextEmbedder(model, load_tokenizer(weights)), autoencoder, hashes)

    def cache(self, pictures: PictureSet, folder: Path, say: Callable[[str], None]) -> LatentCache:
        """The latents and embeddings of a training set, read from `folder` if they are there.

        The file names hold the hashes of the networks and of the pictures. Raises UserError for a
        broken file.
        """
        say(f"encoding {len(pictures.records)} pictures {VARIANTS} times, {CAPTIONS} captions each")
        clip, data = self.hashes["clip"], pictures.digest[:16]
        embeddings = cached(
            folder / f"vectors-{clip}-{data}.safetensors",
            lambda: embed_dataset(pictures, self.embed_texts),
        )
        latents = cached(
            folder / f"latents-{self.hashes['codec']}-{data}.safetensors",
            lambda: encode_dataset(pictures, self.codec.encode),
        )
        return LatentCache(**latents, **embeddings)


def cached(path: Path, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors in a file, computed and written first if there is no file."""
    if not path.exists():
        checkpoint.save(path, compute(), {})
    return checkpoint.load(path)[0]


@torch.inference_mode()
def encode_dataset(pictures: PictureSet, encode: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """`LatentCache.x0` of a training set."""
    variants = []
    for variant in range(VARIANTS):
        rng = Generator(Philox(key=[variant, len(pictures.records)]))
        parts = []
        for pixels in float_batches(pictures.pictures, BATCH):
            pixels = random_affine(pixels, rng, AUGMENTATION) if variant else pixels
            with autocast():  # half the time in bfloat16, with an error of 0.3%
                latents = encode(pixels.contiguous(memory_format=torch.channels_last))
            parts.append(latents.half().contiguous())
        variants.append(torch.cat(parts))
    return {"x0": torch.stack(variants)}


@torch.inference_mode()
def embed_dataset(pictures: PictureSet, embed_texts: TextEmbedder) -> dict[str, Tensor]:
    """`LatentCache.captions` and `LatentCache.pictures` of a training set."""
    captions = []
    for which in range(CAPTIONS):
        rng = Generator(Philox(key=[1000 + which, len(pictures.records)]))
        texts = [random_caption(record, rng, STYLED_SHARE).text for record in pictures.records]
        captions.append(embed_texts(texts).half())
    encode = embed_texts.model.encode_image
    vectors = [
        encode(to_clip_input(pixels)).half() for pixels in float_batches(pictures.pictures, BATCH)
    ]
    return {"captions": torch.stack(captions, 1), "pictures": torch.cat(vectors)}
