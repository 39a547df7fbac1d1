"""Latents sampled by the denoiser, on which the decoder is fine-tuned.

Sampled latents differ a little from encoded ones, and a decoder that was trained on encoded ones
alone gives soft edges and blotchy colors. Training on both corrects a part of this. To know which
picture a sampled latent belongs to, the latents of a real picture are noised and denoised again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse import diffusion
from undiffuse.data.captions import random_caption
from undiffuse.data.picture_set import PictureSet
from undiffuse.errors import UserError
from undiffuse.training.augment import to_float
from undiffuse.training.batches import MixedSampler
from undiffuse.training.latent_cache import FrozenModels, cached
from undiffuse.training.model_io import load_module
from undiffuse.training.precision import autocast
from undiffuse.training.torch_denoiser import sample

COUNT = 24576
NOISE_LEVELS = (0.3, 0.45, 0.6, 0.75)  # at higher ones the result is another picture
GUIDANCE = 4.0
BATCH = 256


@dataclass(frozen=True)
class SampledLatents:
    """Latents `x0` `(N, C, S, S)` sampled from the pictures `rows` `(N,)` by the denoiser with the
    hash `denoiser`.
    """

    rows: Tensor
    x0: Tensor
    denoiser: str

    def choose(self, count: int, rng: Generator) -> tuple[np.ndarray, Tensor]:
        """`count` random rows and their latents in float32."""
        which = torch.from_numpy(rng.integers(len(self.rows), size=count))
        return self.rows[which].numpy(), self.x0[which].float()


def sample_latents(
    pictures: PictureSet, model: Path, cache: Path, count: int, say: Callable[[str], None]
) -> SampledLatents:
    """Noise and denoise `count` pictures with the networks in the folder `model`.

    The result is stored in the folder `cache`, because this takes minutes. Raises UserError when a
    file is missing or broken, or the networks were not trained together.
    """
    frozen = FrozenModels.load(model / "clip.safetensors", model / "codec.safetensors")
    network, weights = load_module(model / "denoiser.safetensors", "denoiser")
    for name, expected in frozen.hashes.items():
        if weights.meta.get(name) != expected:
            raise UserError(f"the denoiser in {model} was trained with another {name}")
    if weights.meta.get("chain"):
        raise UserError(f"the denoiser in {model} predicts the previous step: use one for x0")
    say(f"sampling the latents of {count} pictures")
    path = cache / f"drawn-{count}-{weights.hash}-{pictures.digest}.safetensors"
    tensors = cached(path, lambda: _noise_and_denoise(pictures, frozen, network, count))
    return SampledLatents(tensors["rows"], tensors["x0"], weights.hash)


@torch.inference_mode()
def _noise_and_denoise(
    pictures: PictureSet, frozen: FrozenModels, network: Any, count: int
) -> dict[str, Tensor]:
    rng = Generator(Philox(key=[0, count]))
    rows = rng.permutation(MixedSampler(pictures).draw(count, rng))
    schedule, parts = diffusion.SCHEDULES[network.config.schedule], []
    for start in range(0, count, BATCH):
        batch = rows[start : start + BATCH]
        texts = [random_caption(pictures.records[row], rng, 1.0).text for row in batch]
        x0 = frozen.codec.encode(to_float(pictures.pictures[batch]))
        noise = torch.from_numpy(rng.standard_normal(tuple(x0.shape), dtype=np.float32))
        t = NOISE_LEVELS[start // BATCH % len(NOISE_LEVELS)]
        alpha, sigma = schedule.alpha_sigma(t)
        cond, noise = frozen.embed_texts(texts), noise + (alpha / sigma) * x0
        with autocast():
            parts.append(sample(network, cond, GUIDANCE, noise, t).half())
    return {"rows": torch.from_numpy(rows), "x0": torch.cat(parts)}
