"""What the experiments on pictures share: data, conditions, training, sampling and measures."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undiffuse import diffusion
from undiffuse.config import DenoiserConfig
from undiffuse.evaluation.statistics import Metric, mean_metric, ratio_metric
from undiffuse.lab.budget import SAMPLING_STEP, Budget
from undiffuse.lab.charts import image_strip
from undiffuse.lab.claims import group_means, share_metric
from undiffuse.lab.toy_data import (
    CLASSES,
    EXAMPLES,
    LATENT_SHAPE,
    ToyPictures,
    class_variance,
    is_correct,
    patchify,
    unpatchify,
)
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.denoiser import DenoiserRecipe, chain_length
from undiffuse.training.latent_cache import LatentCache
from undiffuse.training.loop import Run, train
from undiffuse.training.model_io import LONG_EMA, ema_model
from undiffuse.training.precision import autocast
from undiffuse.training.torch_denoiser import torch_denoiser

LEARNING_RATE = 3e-3
BATCH = 128  # pictures sampled at once
LINEAR = diffusion.linear_schedule()
Progress = Callable[[float, str], None]  # work since the last call (`lab.budget`), and of what
Loss = Callable[[int, Any], dict[str, Tensor]]


def train_network(
    model: nn.Module, loss: Loss, steps: int, batch: int, seed: int, progress: Progress,
    name: str, after_step: Callable[[Run], None] = lambda run: None, work: float = 1.0,
) -> Any:  # fmt: skip
    """Train with the package's loop; returns the model with averaged weights. `work`: of a step."""
    with tempfile.TemporaryDirectory(prefix="undiffuse-lab-") as folder:
        run = Run(
            Path(folder), model, loss, steps, batch, seed, {}, learning_rate=LEARNING_RATE,
            warmup=max(1, min(100, steps // 10)), decay_from=0.5, save_minutes=1e9,
        )  # fmt: skip
        for _ in train(run):
            progress(work, name)
            after_step(run)
        return ema_model(run, LONG_EMA).requires_grad_(False)


def run_sampler(
    denoiser: Any, source: Callable[[int], Any], cond: Any = None, sampler: str = "ddim",
    steps: int = 20, zero_noise: bool = False, convert: Any = torch.from_numpy, **options: Any,
) -> Iterator[diffusion.Step]:  # fmt: skip
    """Sample in uniform steps on the linear schedule. `source`: index of a step -> its noise.

    `zero_noise`: the sampler gets zeros for fresh noise. `convert`: applied to the noise.
    """
    return diffusion.SAMPLERS[sampler](
        denoiser, convert(source(0)), cond, schedule=LINEAR, times=diffusion.uniform_times(steps),
        fresh=lambda k: convert(source(k)) * (0.0 if zero_noise else 1.0), **options,
    )  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """Pictures `(B, 3, 32, 32)` drawn for the classes `which`, and measures of them.

    `means` `(K, 3, 32, 32)` and `variances` `(K,)`: of real pictures of the same classes, in order.
    """

    name: str
    pixels: Tensor
    which: NDArray[np.int64]
    means: Tensor
    variances: NDArray[np.float64]

    @cached_property
    def correct(self) -> NDArray[np.float64]:
        return is_correct(self.pixels, self.which)

    @cached_property
    def accuracy(self) -> Metric:
        return share_metric(f"prompt accuracy, {self.name}", self.correct, self.which)

    @cached_property
    def diversity(self) -> Metric:
        """Variance among the pictures of a prompt, relative to real pictures."""
        name = f"diversity relative to real, {self.name}"
        variances = class_variance(self.pixels, self.which)
        return ratio_metric(name, variances, self.variances, unit="ratio")

    @cached_property
    def distance_from_mean(self) -> Metric:
        """Squared distance from the mean real picture of the prompt, relative to real pictures."""
        rows = torch.from_numpy(np.searchsorted(np.unique(self.which), self.which))
        distance = (self.pixels - self.means[rows]).square().mean((1, 2, 3)).numpy()
        name = f"distance from the mean picture, {self.name}"
        means = group_means(distance, self.which)
        return ratio_metric(name, means, self.variances, unit="ratio")

    def labeled_strip(self, label: str = "") -> tuple[str, bytes]:
        """A labeled row of the report: one picture of each of the first prompts."""
        each = int((self.which == self.which[0]).sum())
        return label or self.name, image_strip(self.pixels[::each][: len(EXAMPLES)])


def gain_metric(name: str, better: Samples, worse: Samples) -> Metric:
    """The difference in prompt accuracy, paired by prompt."""
    gain = group_means(better.correct - worse.correct, better.which)
    return mean_metric(f"gain in prompt accuracy, {name}", gain)


@dataclass(frozen=True)
class Experiment:
    """Data and conditions. `prompt_vectors`: the toy CLIP's of the 64 prompts, `(64, 512)`;
    `picture_vectors`: of the training pictures.
    """

    budget: Budget
    seed: int
    progress: Progress
    pictures: ToyPictures
    held_out: ToyPictures
    prompt_vectors: Tensor
    picture_vectors: Tensor

    @cached_property
    def which(self) -> NDArray[np.int64]:
        """The classes of the pictures to draw: `prompts` mixed ones, `each` times in a row."""
        return np.repeat(np.arange(self.budget.prompts) * 37 % len(CLASSES), self.budget.each)

    @cached_property
    def cond(self) -> Tensor:
        return self.prompt_vectors[torch.from_numpy(self.which)]

    @cached_property
    def real_statistics(self) -> tuple[Tensor, NDArray[np.float64]]:
        rows = np.isin(self.pictures.which, self.which)
        pixels, which = self.pictures.pixels[torch.from_numpy(rows)], self.pictures.which[rows]
        means = [pixels[torch.from_numpy(which == k)].mean(0) for k in np.unique(which)]
        return torch.stack(means), class_variance(pixels, which)

    def samples(self, name: str, pixels: Tensor) -> Samples:
        """Pictures that were drawn for `which`."""
        return Samples(name, pixels, self.which, *self.real_statistics)

    def sample(
        self, name: str, denoiser: diffusion.Denoiser, steps: int = 20, conditional: bool = True,
        **options: Any,
    ) -> Samples:  # fmt: skip
        """Draw all prompts, always from the same noise; `options`: see `run_sampler`."""
        self.progress(0, name)
        parts = []
        for start in range(0, len(self.which), BATCH):
            cond = self.cond[start : start + BATCH]
            source = diffusion.noise_source(
                self.seed, range(start, start + len(cond)), LATENT_SHAPE
            )
            part = cond if conditional else None
            with autocast():
                *_, last = run_sampler(denoiser, source, part, steps=steps, **options)
            parts.append(last.x_t)
            self.progress(SAMPLING_STEP * steps * len(cond), name)
        return self.samples(name, unpatchify(torch.cat(parts)))

    def new_network(self, target: str, seed: int) -> DenoiserNetwork:
        """An untrained network. All experiments on pictures use the same architecture."""
        torch.manual_seed(seed)
        channels, side, _ = LATENT_SHAPE
        width, depth = self.budget.width, self.budget.depth
        return DenoiserNetwork(
            DenoiserConfig(channels, side, width, depth, heads=4, context=1, target=target)
        )

    def train(self, model: DenoiserNetwork, loss: Loss, seed: int, name: str) -> DenoiserNetwork:
        """Train with the budget of all such networks."""
        steps, batch = self.budget.train_steps, self.budget.batch
        trained: DenoiserNetwork = train_network(
            model, loss, steps, batch, seed, self.progress, name
        )
        return trained

    def train_denoiser(self, target: str, seed: int = 0) -> diffusion.Denoiser:
        """Train a network for a prediction target with the package's recipe."""
        seed = self.seed + seed
        model = self.new_network(target, seed)
        captions = self.prompt_vectors[torch.from_numpy(self.pictures.which)][:, None].half()
        latents = patchify(self.pictures.pixels)[None].half()
        cache = LatentCache(captions, self.picture_vectors.half(), x0=latents)
        pictures, batch = self.pictures.to_picture_set(), self.budget.batch
        recipe = DenoiserRecipe(model, pictures, cache, batch, compiled=False)
        trained = self.train(model, recipe.loss, seed, f"predicting {target}")
        return torch_denoiser(trained, chain_length(target))
