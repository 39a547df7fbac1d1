"""What every experiment in pixels shares: pictures, the CLIP that steers, training and drawing."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undiffuse import diffusion
from undiffuse.config import EMBED, DenoiserConfig
from undiffuse.evaluation.statistics import Figure, mean_figure, ratio_figure
from undiffuse.lab.budget import Budget
from undiffuse.lab.claims import by_group, row_of, share_figure
from undiffuse.lab.toy_data import (
    CHANNELS,
    LOOKS,
    PLACES,
    Pictures,
    agreement,
    fold,
    spread,
    unfold,
)
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.denoiser import Cache, DenoiserRecipe, chain_of
from undiffuse.training.loop import Run, train
from undiffuse.training.weight_export import averaged

EMA, RATE = 0.10, 3e-3
BATCH = 128  # pictures drawn at once
SHOWN = 12  # of the prompts, on the page
LINEAR = diffusion.linear_schedule()
Bar = Callable[[int, str], None]  # steps done, at what
Loss = Callable[[int, Any], dict[str, Tensor]]


def fit(
    model: nn.Module, loss: Loss, steps: int, batch: int, seed: int, bar: Bar, what: str,
    each: Callable[[Run], None] = lambda run: None,
) -> Any:  # fmt: skip
    """Train by the project's loop, a tick of the bar and `each` a step: the averaged weights."""
    with tempfile.TemporaryDirectory(prefix="undiffuse-lab-") as folder:
        run = Run(
            Path(folder), model, loss, steps, batch, seed, {}, rate=RATE, muon_rate=RATE,
            warmup=max(1, min(100, steps // 10)), decay_from=0.5, save_minutes=1e9,
        )  # fmt: skip
        for _ in train(run):
            bar(1, what)
            each(run)
        return averaged(run, EMA).requires_grad_(False)


@dataclass(frozen=True)
class Network:
    """A trained network and what it predicts."""

    model: Any
    target: str

    def said(self, x_t: Tensor, t: float, cond: Tensor | None) -> Tensor:
        """What the network itself predicts, whatever that is."""
        cond = x_t.new_zeros(len(x_t), EMBED) if cond is None else cond
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            result: Tensor = self.model(x_t, torch.full((len(x_t),), t), cond)
        return result

    @property
    def denoiser(self) -> diffusion.Denoiser:
        chain = chain_of(self.target)
        return diffusion.as_denoiser(self.target, LINEAR, self.said, chain=chain)


@dataclass(frozen=True)
class Real:
    """Of real pictures of K prompts, in order: the mean `(K, 3, 32, 32)` and the spread `(K,)`."""

    means: Tensor
    spread: NDArray[np.float64]


@dataclass(frozen=True)
class Drawings:
    """Pictures `(B, 3, 32, 32)` of the prompts `which`; beside real ones."""

    name: str
    pixels: Tensor
    which: NDArray[np.int64]
    real: "Real"

    @cached_property
    def hits(self) -> NDArray[np.float64]:
        return agreement(self.pixels, self.which)

    @cached_property
    def agreement(self) -> Figure:
        return share_figure(f"agreement, {self.name}", self.hits, self.which)

    @cached_property
    def spread(self) -> Figure:
        differ = spread(self.pixels, self.which)
        name = f"spread against real, {self.name}"
        return ratio_figure(name, differ, self.real.spread, unit="ratio")

    @cached_property
    def from_mean(self) -> Figure:
        """Square distance from the mean of real pictures of the prompt, as a share of theirs."""
        rows = torch.from_numpy(np.searchsorted(np.unique(self.which), self.which))
        away = (self.pixels - self.real.means[rows]).square().mean((1, 2, 3)).numpy()
        name = f"distance from the mean picture, {self.name}"
        return ratio_figure(name, by_group(away, self.which), self.real.spread, unit="ratio")

    def row(self, label: str = "") -> tuple[str, bytes]:
        """A drawing of each of the first prompts, to be shown."""
        each = int((self.which == self.which[0]).sum())
        return label or self.name, row_of(self.pixels[::each][:SHOWN])


def gain_figure(name: str, more: Drawings, less: Drawings) -> Figure:
    """The difference in agreement, prompt by prompt."""
    return mean_figure(f"gain in agreement, {name}", by_group(more.hits - less.hits, more.which))


@dataclass(frozen=True)
class Bench:
    """`vectors`: the lab's CLIP on the 64 prompts, `(64, 512)`; `own`: on the pictures."""

    budget: Budget
    seed: int
    bar: Bar
    pictures: Pictures
    held_out: Pictures
    vectors: Tensor
    own: Tensor

    @cached_property
    def asked(self) -> NDArray[np.int64]:
        """The prompts of every measurement, a mix of colours and shapes, `each` in a row."""
        return np.repeat(np.arange(self.budget.prompts) * 37 % len(LOOKS), self.budget.each)

    @cached_property
    def cond(self) -> Tensor:
        return self.vectors[torch.from_numpy(self.asked)]

    @cached_property
    def real(self) -> Real:
        rows = np.isin(self.pictures.which, self.asked)
        pixels, which = self.pictures.pixels[torch.from_numpy(rows)], self.pictures.which[rows]
        means = [pixels[torch.from_numpy(which == k)].mean(0) for k in np.unique(which)]
        return Real(torch.stack(means), spread(pixels, which))

    def drawings(self, name: str, pixels: Tensor) -> Drawings:
        return Drawings(name, pixels, self.asked, self.real)

    def draw(
        self, name: str, denoiser: diffusion.Denoiser, sampler: str = "ddim", steps: int = 20,
        still: bool = False, steered: bool = True, **options: Any,
    ) -> Drawings:  # fmt: skip
        """The prompts drawn in even steps on the linear schedule, from the same noise whatever
        the rest. `still`: zeros where the sampler asks for fresh noise.
        """
        self.bar(0, name)
        done = []
        for start in range(0, len(self.asked), BATCH):
            part = self.cond[start : start + BATCH]
            rows = range(start, start + len(part))
            source = diffusion.noise_source(self.seed, rows, (CHANNELS, PLACES, PLACES))

            def fresh(index: int, source: Any = source) -> Tensor:
                return torch.from_numpy(source(index)) * (0.0 if still else 1.0)

            *_, last = diffusion.SAMPLERS[sampler](
                denoiser, torch.from_numpy(source(0)), part if steered else None,
                schedule=LINEAR, times=diffusion.uniform_times(steps), fresh=fresh, **options,
            )  # fmt: skip
            done.append(last.x_t)
        return self.drawings(name, unfold(torch.cat(done)))

    def network(self, target: str, seed: int) -> DenoiserNetwork:
        """The one small network that every experiment in pixels trains, untrained."""
        torch.manual_seed(seed)
        width, depth = self.budget.width, self.budget.depth
        return DenoiserNetwork(
            DenoiserConfig(CHANNELS, PLACES, width, depth, heads=4, context=1, target=target)
        )

    def train(self, model: DenoiserNetwork, loss: Loss, seed: int, what: str) -> Network:
        """With the budget that every such network has."""
        budget = self.budget
        done = fit(model, loss, budget.train_steps, budget.batch, seed, self.bar, what)
        return Network(done, model.config.target)

    def denoiser(self, target: str, seed: int = 0) -> Network:
        """A network trained to predict `target` by the project's own recipe."""
        seed = self.seed + seed
        model = self.network(target, seed)
        captions = self.vectors[torch.from_numpy(self.pictures.which)][:, None].half()
        cache = Cache(fold(self.pictures.pixels)[None].half(), captions, self.own.half())
        recipe = DenoiserRecipe(
            model, self.pictures.as_set(), cache, self.budget.batch, compiled=False
        )
        return self.train(model, recipe.loss, seed, f"predicting {target}")
