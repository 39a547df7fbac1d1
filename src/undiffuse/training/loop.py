"""The training loop: a generator of step records. The caller shows progress, validates and stops.

Step k uses a random generator keyed by (seed, k) and no other random state, so that a resumed run
gives the same weights as an uninterrupted one.
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
from undiffuse.training.muon import Muon
from undiffuse.training.precision import dtype_name

CHECKPOINT = "checkpoint.safetensors"
MAX_GRAD_NORM = 1.0
MAX_SKIPPED = 20  # steps in a row whose loss or gradient is not finite
PAUSE_FACTOR = 30.0  # a step that takes longer than this times the fastest was suspended
# Settings of checkpoints of version 0.1 -> their names today.
RENAMED_SETTINGS = {
    "rate": "learning_rate",
    "level_mean": "noise_level_mean",
    "composites": "composite_share",
    "decoder_of": "start_decoder",
    "sharp": "sharpness_weight",
    "drawn_by": "sampled_by",
}


@dataclass(frozen=True)
class StepRecord:
    """One training step. `lr_factor`: share of the full learning rate; `skipped`: the loss or the
    gradient was not finite, and the weights did not change.
    """

    step: int
    losses: dict[str, float]
    grad_norm: float
    lr_factor: float
    pictures_per_second: float
    skipped: bool


@dataclass
class Run:
    """A training run: model, optimizers and averages, settings, and the folder of its checkpoint.

    `loss(step, rng)` returns losses by name; "loss" is minimized. `settings` and `data_digest` must
    be the same on resuming.
    """

    folder: Path
    model: nn.Module
    loss: Callable[[int, Generator], dict[str, Tensor]]
    steps: int
    batch: int
    seed: int
    settings: dict[str, Any]
    learning_rate: float = 1e-3  # of both AdamW and Muon
    warmup: int = 200  # steps
    decay_from: float = 0.75  # share of the steps
    save_minutes: float = 5.0
    weight_decay: float = 0.01
    extra_tensors: Callable[[], dict[str, Tensor]] = dict  # more tensors for the checkpoint
    restore_extra: Callable[[dict[str, Tensor]], None] = lambda tensors: None
    data_digest: str = ""
    start_step: int = 0  # above 0 when the weights come from a file
    seconds: float = 0.0  # of training, over all interruptions
    checkpoint_dtype: str = ""  # autocast's dtype before the last interruption
    step: int = field(init=False)
    optimizers: list[Optimizer] = field(init=False)
    ema: PowerEma = field(init=False)

    def __post_init__(self) -> None:
        self.step = self.start_step
        self.optimizers = make_optimizers(self.model, self.learning_rate, self.weight_decay)
        self.ema = PowerEma(self.model)

    @property
    def path(self) -> Path:
        """The checkpoint file."""
        return self.folder / CHECKPOINT

    def save(self) -> None:
        """Write the checkpoint."""
        tensors = {f"model.{name}": p.detach() for name, p in self.model.named_parameters()}
        tensors |= checkpoint.flatten_optimizers(self.optimizers) | self.ema.tensors()
        tensors |= {f"extra.{name}": tensor for name, tensor in self.extra_tensors().items()}
        meta = {
            "step": self.step,
            "seconds": self.seconds,
            "config": self.settings,
            "data": self.data_digest,
            "dtype": dtype_name(),
        }
        checkpoint.save(self.path, tensors, meta)

    def resume(self) -> bool:
        """Restore the checkpoint if there is one.

        Raises UserError when it is broken or its settings or pictures differ.
        """
        if not self.path.exists():
            return False
        tensors, meta = checkpoint.load(self.path)
        try:
            self._check(meta["config"], meta.get("data", self.data_digest))
            parameters = dict(self.model.named_parameters())
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(tensors[f"model.{name}"])
            checkpoint.restore_optimizers(self.optimizers, tensors)
            self.ema.restore(tensors)
            self.restore_extra({k[6:]: v for k, v in tensors.items() if k.startswith("extra.")})
            self.step, self.seconds = meta["step"], meta["seconds"]
            self.checkpoint_dtype = meta.get("dtype", "bfloat16")  # version 0.1 had no other
        except KeyError as error:
            raise UserError(f"{self.path} is not a checkpoint: it has no {error}") from error
        return True

    def _check(self, settings: dict[str, Any], data_digest: str) -> None:
        theirs = {RENAMED_SETTINGS.get(name, name): value for name, value in settings.items()}
        for name in sorted(theirs.keys() | self.settings.keys()):
            if name not in theirs or theirs[name] != self.settings.get(name, ...):
                found = f"with {theirs[name]}" if name in theirs else "without it"
                raise UserError(
                    f"{self.path} was trained with another {name}, {found}: "
                    "use the same settings, or another folder"
                )
        if data_digest != self.data_digest:
            raise UserError(
                f"{self.path} was trained on other pictures: use the same, or another folder"
            )


def make_optimizers(model: nn.Module, learning_rate: float, weight_decay: float) -> list[Optimizer]:
    """AdamW, and Muon (Jordan et al. 2024) for the matrices in transformer blocks.

    Muon's updates are scaled to the size of AdamW's (arXiv 2502.16982), so that one learning rate
    suits both.
    """
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        in_block = "blocks." in name and "parametrizations" not in name  # LoRA is no such matrix
        (matrices if in_block and parameter.ndim == 2 else rest).append(parameter)
    shared: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
    optimizers: list[Optimizer] = [torch.optim.AdamW(rest, betas=(0.9, 0.95), **shared)]
    if matrices:
        optimizers.append(Muon(matrices, **shared))
    return optimizers


def learning_rate_factor(step: int, run: Run) -> float:
    """Linear warm-up to 1, then constant, then linear decay to 0.02 at the last step."""
    warmup = min(1.0, (step - run.start_step + 1) / run.warmup)
    start = run.decay_from * run.steps
    decay = 1.0 if step < start else 1.0 - 0.98 * (step - start) / max(run.steps - start, 1.0)
    return warmup * decay


def train(run: Run) -> Iterator[StepRecord]:
    """Train from `run.step` to `run.steps`; saves every `run.save_minutes` and at the end.

    A step whose loss or gradient is not finite is skipped. After `MAX_SKIPPED` of them in a row the
    last good state is saved and UserError is raised.
    """
    skipped_in_a_row = 0
    fastest = math.inf
    saved = time.monotonic()
    while run.step < run.steps:
        started = time.monotonic()
        rng = Generator(Philox(key=[run.seed, run.step]))
        lr_factor = learning_rate_factor(run.step, run)
        for optimizer in run.optimizers:
            optimizer.param_groups[0]["lr"] = run.learning_rate * lr_factor
        losses = run.loss(run.step, rng)
        losses["loss"].backward()
        grad_norm = float(nn.utils.clip_grad_norm_(run.model.parameters(), MAX_GRAD_NORM))
        skipped = not (math.isfinite(grad_norm) and math.isfinite(losses["loss"].item()))
        for optimizer in run.optimizers:
            if not skipped:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        run.step += 1
        if not skipped:
            run.ema.update(run.model, run.step)
        skipped_in_a_row = skipped_in_a_row + 1 if skipped else 0
        now = time.monotonic()
        fastest = min(fastest, now - started)
        run.seconds += min(now - started, PAUSE_FACTOR * fastest)
        if now - saved > 60.0 * run.save_minutes or run.step == run.steps:
            run.save()
            saved = now
        values = {name: value.item() for name, value in losses.items()}
        speed = run.batch / (now - started)
        yield StepRecord(run.step, values, grad_norm, lr_factor, speed, skipped)
        if skipped_in_a_row >= MAX_SKIPPED:
            run.save()  # the weights are those of the last good step
            raise UserError(
                f"the loss or the gradient was not finite after step {run.step - MAX_SKIPPED}; the "
                f"weights of that step are in {run.path}: train in another folder with a lower "
                "learning rate"
            )
