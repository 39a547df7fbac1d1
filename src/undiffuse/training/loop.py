"""The training loop: a generator of records. The caller shows, samples and stops.

Nothing random lives between steps: step k draws from a generator keyed by (seed, k), so that a
resumed run goes on with the very numbers it would have had.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.random import Generator, Philox
from torch import Tensor, nn
from torch.optim import Optimizer

from undiffuse.errors import UserError
from undiffuse.training import checkpoint
from undiffuse.training.ema import PowerEma

CHECKPOINT = "checkpoint.safetensors"
CLIP_NORM = 1.0
MAX_SKIPPED = 20  # steps in a row that were not finite
PAUSED = 30.0  # times as long as the quickest step: the process was stopped, or the lid closed


@dataclass(frozen=True)
class Record:
    """One step as it went. `speed`: pictures a second since the last record."""

    step: int
    losses: dict[str, float]
    gradient: float
    rate: float
    speed: float
    skipped: bool


@dataclass
class Run:
    """What is being trained, and where its checkpoint lies."""

    folder: Path
    model: nn.Module
    loss: Callable[[int, Generator], dict[str, Tensor]]  # "loss" is the one that is minimised
    steps: int
    batch: int
    seed: int
    config: dict[str, Any]
    rate: float = 1e-3
    muon_rate: float = 1e-3
    warmup: int = 200
    decay_from: float = 0.75
    save_minutes: float = 5.0
    weight_decay: float = 0.01
    extra: Callable[[], dict[str, Tensor]] = dict  # more tensors for the checkpoint
    restore_extra: Callable[[dict[str, Tensor]], None] = lambda tensors: None
    data: str = ""  # digest of the pictures
    begun: int = 0  # the first step, where the weights are those of a file
    step: int = field(init=False)
    seconds: float = 0.0  # spent training, over all the pieces the run was cut into
    optimizers: list[Optimizer] = field(init=False)
    ema: PowerEma = field(init=False)

    def __post_init__(self) -> None:
        self.step = self.begun
        self.optimizers = make_optimizers(self.model, self.muon_rate, self.rate, self.weight_decay)
        self.ema = PowerEma(self.model)

    @property
    def path(self) -> Path:
        return self.folder / CHECKPOINT

    def save(self) -> None:
        tensors = {f"model.{name}": p.detach() for name, p in self.model.named_parameters()}
        tensors |= checkpoint.flatten_optimizers(self.optimizers) | self.ema.tensors()
        tensors |= {f"extra.{name}": tensor for name, tensor in self.extra().items()}
        meta = {
            "step": self.step,
            "seconds": self.seconds,
            "config": self.config,
            "data": self.data,
        }
        checkpoint.save(self.path, tensors, meta)

    def resume(self) -> bool:
        """Go on from the checkpoint if there is one. Raises UserError when it is another run's."""
        if not self.path.exists():
            return False
        tensors, meta = checkpoint.load(self.path)
        try:
            self._check(meta["config"], meta.get("data", self.data))
            parameters = dict(self.model.named_parameters())
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(tensors[f"model.{name}"])
            checkpoint.restore_optimizers(self.optimizers, tensors)
            self.ema.restore(tensors)
            self.restore_extra({k[6:]: v for k, v in tensors.items() if k.startswith("extra.")})
            self.step, self.seconds = meta["step"], meta["seconds"]
        except KeyError as error:
            raise UserError(f"{self.path} is not a checkpoint: it has no {error}") from error
        return True

    def _check(self, config: dict[str, Any], data: str) -> None:
        unset = object()
        for name in sorted(config.keys() | self.config.keys()):
            theirs, ours = config.get(name, unset), self.config.get(name, unset)
            if theirs != ours:
                said = "without it" if theirs is unset else f"with {theirs}"
                raise UserError(
                    f"{self.path} was trained with another {name}, {said}: "
                    "use the same settings, or another folder"
                )
        if data != self.data:
            raise UserError(
                f"{self.path} was trained on other pictures: use the same, or another folder"
            )


def make_optimizers(
    model: nn.Module, muon_rate: float, rate: float, weight_decay: float
) -> list[Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices inside transformer blocks, AdamW for the rest.

    Muon's step is brought to AdamW's size (arXiv 2502.16982), so that one rate suits both.
    """
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if "blocks." in name and parameter.ndim == 2 else rest).append(parameter)
    optimizers: list[Optimizer] = [
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=weight_decay)
    ]
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices,
                lr=muon_rate,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return optimizers


def rate_at(step: int, run: Run) -> float:
    """Share of the full learning rate: warm up, hold, fall linearly to 2% at the end."""
    warm = min(1.0, (step - run.begun + 1) / run.warmup)
    start = run.decay_from * run.steps
    fall = 1.0 if step < start else 1.0 - 0.98 * (step - start) / max(run.steps - start, 1.0)
    return warm * fall


def train(run: Run) -> Iterator[Record]:
    """Train from `run.step` to `run.steps`, a record a step; saves by the clock and at the end.

    A step whose loss or gradient is not finite is not applied. Raises UserError, with the last
    good state saved, after `MAX_SKIPPED` such steps in a row.
    """
    skipped_in_a_row = 0
    quickest = math.inf
    saved = time.monotonic()
    while run.step < run.steps:
        started = time.monotonic()
        rng = Generator(Philox(key=[run.seed, run.step]))
        share = rate_at(run.step, run)
        for optimizer, rate in zip(run.optimizers, (run.rate, run.muon_rate), strict=False):
            optimizer.param_groups[0]["lr"] = rate * share
        losses = run.loss(run.step, rng)
        losses["loss"].backward()
        gradient = float(nn.utils.clip_grad_norm_(run.model.parameters(), CLIP_NORM))
        good = math.isfinite(gradient) and math.isfinite(losses["loss"].item())
        if good:
            for optimizer in run.optimizers:
                optimizer.step()
        for optimizer in run.optimizers:
            optimizer.zero_grad(set_to_none=True)
        run.step += 1
        if good:
            run.ema.update(run.model, run.step)
        skipped_in_a_row = 0 if good else skipped_in_a_row + 1
        now = time.monotonic()
        quickest = min(quickest, now - started)
        run.seconds += min(now - started, PAUSED * quickest)
        if now - saved > 60.0 * run.save_minutes or run.step == run.steps:
            run.save()
            saved = now
        values = {name: value.item() for name, value in losses.items()}
        speed = run.batch / (now - started)
        yield Record(run.step, values, gradient, share, speed, not good)
        if skipped_in_a_row >= MAX_SKIPPED:
            run.save()  # the weights are those of the last good step
            raise UserError(
                f"neither loss nor gradient was finite after step {run.step - MAX_SKIPPED}; the "
                f"weights of that step are in {run.path}: train in another folder at a lower rate"
            )
