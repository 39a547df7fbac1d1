"""The recipe of the denoiser: noised pictures, vectors that steer, and the weighted square error.

Vectors: 70% of captions, 20% of the pictures themselves with a little noise (LAFITE, arXiv
2111.13792), 10% none; so that words, pictures and nothing all work when drawing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from undiffuse import diffusion
from undiffuse.config import EMBED
from undiffuse.data.picture_set import EvenSampler, PictureSet
from undiffuse.errors import UserError
from undiffuse.networks.denoiser import DenoiserNetwork

NONE_SHARE, PICTURE_SHARE = 0.1, 0.2
PICTURE_NOISE = 0.3  # length of the noise on a picture's vector, before it is made unit again
CHAIN = 20  # steps of the old way, in which a network predicts the step before
LEVEL_MEAN, LEVEL_SPREAD, UNIFORM_SHARE = 0.4, 1.0, 0.1


@dataclass(frozen=True)
class Cache:
    """What the frozen networks say of every picture, computed once.

    `x0`: `(variants, N, C, S, S)` float16, each variant moved a little otherwise, the first not at
    all; `captions`: `(N, K, 512)` float16; `pictures`: `(N, 512)` float16.
    """

    x0: Tensor
    captions: Tensor
    pictures: Tensor


def draw_levels(count: int, rng: Generator, mean: float = LEVEL_MEAN) -> np.ndarray:
    """Noise levels `(B,)`: nine in ten sigmoid(normal), one in ten even (arXiv 2511.13720)."""
    normal = 1.0 / (1.0 + np.exp(-(mean + LEVEL_SPREAD * rng.standard_normal(count))))
    return np.where(rng.random(count) < UNIFORM_SHARE, rng.random(count), normal)


def chain_of(target: str) -> int:
    """Steps of the chain that a network of this target is trained on; 0: any level will do."""
    return CHAIN if target == "previous" else 0


def draw_cond(cache: Cache, rows: np.ndarray, rng: Generator) -> Tensor:
    """The vectors that steer a batch, `(B, 512)`; rows of zeros are unsteered."""
    count = len(rows)
    which = torch.from_numpy(rng.integers(cache.captions.shape[1], size=count))
    index = torch.from_numpy(rows)
    cond = cache.captions[index, which].float()
    noise = torch.from_numpy(rng.standard_normal((count, cond.shape[1]), dtype=np.float32))
    blurred = cache.pictures[index].float() + PICTURE_NOISE / cond.shape[1] ** 0.5 * noise
    blurred = torch.nn.functional.normalize(blurred, dim=-1)
    roll = torch.from_numpy(rng.random(count))[:, None]
    cond = torch.where(roll < NONE_SHARE + PICTURE_SHARE, blurred, cond)
    return torch.where(roll < NONE_SHARE, torch.zeros(()), cond)


class DenoiserRecipe:
    """Makes batches and computes the loss of step k."""

    def __init__(
        self,
        model: DenoiserNetwork,
        pictures: PictureSet,
        cache: Cache,
        batch: int = 128,
        compiled: bool = True,
        level_mean: float = LEVEL_MEAN,
    ) -> None:
        self.model, self.cache, self.batch, self.level_mean = model, cache, batch, level_mean
        self.even = EvenSampler(pictures, pictures.rows(lambda r: not r.get("composite")))
        self.composites = pictures.rows(lambda r: bool(r.get("composite")))
        self.network: Any = torch.compile(model) if compiled else model
        config = model.config
        shape = config.channels, config.side, config.side
        if cache.x0.shape[2:] != shape:
            raise UserError(
                f"the network draws in {shape}, and the codec gives {tuple(cache.x0.shape[2:])}: "
                "choose another codec"
            )
        self.schedule = diffusion.SCHEDULES[model.config.schedule]

    def example(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs of the network, one row: `x_t`, `t`, `cond`."""
        return self.cache.x0[0, :1].float(), torch.ones(1), torch.zeros(1, EMBED)

    def chance(self) -> dict[str, float]:
        """The error of a network that says the same whatever it is shown, where that is known."""
        spread = float(self.cache.x0[0, :2048].float().var(0, correction=0).mean())
        known = {"x0": spread, "eps": 1.0}
        target = self.model.config.target
        return {"error": known[target]} if target in known else {}

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        made = self.batch // 4 if len(self.composites) else 0
        rows = np.concatenate(
            [
                self.even.draw(self.batch - made, rng),
                *([rng.choice(self.composites, made)] * bool(made)),
            ]
        )
        variant = torch.from_numpy(rng.integers(len(self.cache.x0), size=len(rows)))
        x0 = self.cache.x0[variant, torch.from_numpy(rows)].float()
        levels = draw_levels(len(rows), rng, self.level_mean)
        noise = torch.from_numpy(rng.standard_normal(tuple(x0.shape), dtype=np.float32))
        name = self.model.config.target
        fresh = None
        if name == "previous":
            levels = np.ceil(levels * CHAIN) / CHAIN
            fresh = torch.from_numpy(rng.standard_normal(tuple(x0.shape), dtype=np.float32))
        t = torch.from_numpy(levels)
        x_t = diffusion.add_noise(self.schedule, x0, noise, t)
        wanted = diffusion.target(
            name, self.schedule, x0, noise, t, chain=chain_of(name), fresh=fresh
        )
        weight = torch.as_tensor(diffusion.loss_weight(name, self.schedule, t)).float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            said = self.network(x_t, t.float(), draw_cond(self.cache, rows, rng))
        error = (said - wanted).square().mean((1, 2, 3))
        return {"loss": (weight * error).mean(), "error": error.detach().mean()}
