"""Latents sampled by the denoiser, on which the decoder is fine-tuned.

Sampled latents differ a little from encoded ones, and a decoder that was trained on encoded ones
alone gives soft edges and blotchy colors. Training on both corrects a part of this. To know which
picture a sampled latent belongs to, the latents of a real picture are noised and denoised again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse import diffusion
from undiffuse.config import STYLES
from undiffuse.data.captions import random_caption
from undiffuse.data.picture_set import PictureSet
from undiffuse.errors import UserError
from undiffuse.training.augment import to_float
from undiffuse.training.batches import MixedSampler
from undiffuse.training.devices import CPU
from undiffuse.training.distributed import from_main
from undiffuse.training.embedder import find_clip_of
from undiffuse.training.latent_cache import FrozenModels, cached
from undiffuse.training.model_io import load_module
from undiffuse.training.precision import autocast
from undiffuse.training.torch_denoiser import sample

NOISE_LEVELS = (0.3, 0.45, 0.6, 0.75)  # at higher ones the result is another picture
GUIDANCE = 4.0
BATCH = 256
TRIAL = 16  # pictures whose sampling is timed
Follow = Callable[[str, float], None]


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
    pictures: PictureSet, model: Path, cache: Path, count: int, say: Callable[[str], None],
    device: torch.device = CPU, seconds: float | None = None,
    follow: Follow = lambda what, share: None, clip: Path | None = None,
) -> SampledLatents:  # fmt: skip
    """Noise and denoise `count` pictures with the networks in the folder `model`; fewer, if these
    take more than `seconds`. `follow` gets what is done and the share of it that is done.

    The result is stored in the folder `cache`, because this takes minutes. Raises UserError when a
    file is missing or broken, or the networks were not trained together.
    """
    frozen = FrozenModels.load(find_clip_of(model, clip), model / "codec.safetensors", device)
    found, wanted = pictures.pictures.shape[1:], frozen.codec.config.picture_shape
    if tuple(found) != wanted:
        raise UserError(f"the pictures have shape {tuple(found)}, and the codec in {model} needs "
                        f"{wanted}: give a model with a codec of that shape")  # fmt: skip
    network, weights = load_module(model / "denoiser.safetensors", "denoiser", device)
    for name, expected in frozen.hashes.items():
        if weights.meta.get(name) != expected:
            raise UserError(f"the denoiser in {model} was trained with another {name}")
    if weights.meta.get("chain"):
        raise UserError(f"the denoiser in {model} predicts the previous step: use one for x0")

    styles = set(weights.meta.get("styles", STYLES))
    known = pictures.rows(lambda record: record["family"] in styles)

    def compute(count: int, follow: Follow = lambda what, share: None) -> dict[str, Tensor]:
        return _noise_and_denoise(pictures, frozen, network, count, follow, known)

    def path(number: object) -> Path:
        return cache / f"drawn-{number}-{weights.hash}-{pictures.digest}.safetensors"

    def affordable() -> int:
        if seconds is None:
            return count
        if finished := sorted(cache.glob(path("*").name)):  # of this run before an interruption
            return int(finished[0].name.split("-")[1])
        started = time.monotonic()
        compute(TRIAL)
        fitting = int(TRIAL * seconds / (time.monotonic() - started))
        return min(count, max(TRIAL, fitting - fitting % TRIAL))

    chosen = from_main(affordable)
    say(f"sampling the latents of {chosen} pictures")
    tensors = cached(path(chosen), lambda: compute(chosen, follow))
    return SampledLatents(tensors["rows"], tensors["x0"], weights.hash)


@torch.inference_mode()
def _noise_and_denoise(
    pictures: PictureSet, frozen: FrozenModels, network: Any, count: int, follow: Follow,
    known: np.ndarray,
) -> dict[str, Tensor]:  # fmt: skip
    """`known`: the rows in styles of the denoiser, which draws others as something else."""
    rng = Generator(Philox(key=[0, count]))
    size = min(BATCH, -(-count // len(NOISE_LEVELS)))  # all levels occur in a small set too
    some = 0 < len(known) < len(pictures.records)
    drawn = rng.choice(known, count) if some else MixedSampler(pictures).draw(count, rng)
    rows = rng.permutation(drawn)
    schedule, parts, device = diffusion.SCHEDULES[network.config.schedule], [], frozen.device
    for start in range(0, count, size):
        follow("sampling latents", start / count)
        batch = rows[start : start + size]
        texts = [random_caption(pictures.records[row], rng, 1.0).text for row in batch]
        pixels = to_float(torch.from_numpy(pictures.pictures[batch]).to(device))
        x0 = frozen.codec.encode(pixels)
        noise = torch.from_numpy(rng.standard_normal(tuple(x0.shape), dtype=np.float32)).to(device)
        t = NOISE_LEVELS[start // size % len(NOISE_LEVELS)]
        alpha, sigma = schedule.alpha_sigma(t)
        cond = frozen.embed_texts.cond(texts, network.config.text_tokens)
        noise = noise + (alpha / sigma) * x0
        with autocast(device.type):
            parts.append(sample(network, cond, GUIDANCE, noise, t).half().cpu())
    return {"rows": torch.from_numpy(rows), "x0": torch.cat(parts)}
