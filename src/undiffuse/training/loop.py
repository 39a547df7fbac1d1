"""The training loop: a generator of step records. The caller shows progress and validates.

Step k uses a random generator keyed by (seed, k) and no other random state, so that a resumed run
gives the same weights as an uninterrupted one.

A GPU computes while the processor prepares the next step, unless the processor waits for a result.
Therefore the values of a step are read after the next one has been enqueued, and the device itself
decides whether a step is skipped.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from undiffuse.errors import UserError
from undiffuse.training import checkpoint
from undiffuse.training.devices import CPU, Batch, BatchLoader, HostCopy, Sample
from undiffuse.training.distributed import any_of, is_main, lost_processes_explained
from undiffuse.training.ema import PowerEma
from undiffuse.training.optimizers import make_optimizers, update_weights
from undiffuse.training.precision import dtype_name
from undiffuse.training.sharding import is_sharded, sharded_like, whole

CHECKPOINT = "checkpoint.safetensors"
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

    `sample(step, rng)` returns the batch of a step in the processor's memory; by default it is rng
    itself. `loss(step, batch)`, with the batch on the device, returns losses by name; "loss" is
    minimized. `settings` and `data_digest` must be the same on resuming.
    """

    folder: Path
    model: nn.Module
    loss: Callable[[int, Batch], dict[str, Tensor]]
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
    resume_note: str = ""  # what the user should know of the checkpoint
    sample: Sample = lambda step, rng: rng
    device: torch.device = CPU
    template: nn.Module | None = None  # of the model, where FSDP has sharded it
    stop_requested: Callable[[], bool] = lambda: False  # asked before each step
    validation_due: Callable[[], bool] = lambda: False  # asked before each step
    stopped: bool = False  # by stop_requested in any process
    validate_now: bool = False  # after this step: all processes agree
    step: int = field(init=False)
    optimizers: list[Optimizer] = field(init=False)
    ema: PowerEma = field(init=False)

    def __post_init__(self) -> None:
        self.step = self.start_step
        # The device decides about skipping; FSDP's tensors are not made for that.
        self.deferred = self.device.type == "cuda" and not any(
            is_sharded(parameter) for parameter in self.model.parameters()
        )
        self.optimizers = make_optimizers(self.model, self.learning_rate, self.weight_decay)
        self.ema = PowerEma(self.model)

    @property
    def path(self) -> Path:
        """The checkpoint file."""
        return self.folder / CHECKPOINT

    def save(self) -> None:
        """Write the checkpoint. Every process calls this, and the main one writes."""
        tensors = {f"model.{name}": whole(p.detach()) for name, p in self.model.named_parameters()}
        tensors |= checkpoint.flatten_optimizers(self.optimizers) | self.ema.tensors()
        tensors |= {f"extra.{name}": tensor for name, tensor in self.extra_tensors().items()}
        meta = {
            "step": self.step,
            "seconds": self.seconds,
            "config": self.settings,
            "data": self.data_digest,
            "dtype": dtype_name(self.device.type),
        }
        if is_main():
            checkpoint.save(self.path, tensors, meta, keep=True)

    def resume(self) -> bool:
        """Restore the checkpoint if there is one, or the one before it if it is broken;
        `resume_note` says so.

        Raises UserError when both are broken, or the settings or pictures differ.
        """
        if not self.path.exists() and not checkpoint.previous_path(self.path).exists():
            return False
        tensors, meta, self.resume_note = checkpoint.load_last(self.path)
        try:
            self._check(meta["config"], meta.get("data", self.data_digest))
            parameters = dict(self.model.named_parameters())
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(sharded_like(tensors[f"model.{name}"], parameter))
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


def learning_rate_factor(step: int, run: Run) -> float:
    """Linear warm-up to 1, then constant, then linear decay to 0.02 at the last step.

    The warm-up takes `run.warmup` steps, but at most a tenth of the run.
    """
    longest = max(1, min(run.warmup, (run.steps - run.start_step) // 10))
    warmup = min(1.0, (step - run.start_step + 1) / longest)
    start = run.decay_from * run.steps
    decay = 1.0 if step < start else 1.0 - 0.98 * (step - start) / max(run.steps - start, 1.0)
    return warmup * decay


def train(run: Run) -> Iterator[StepRecord]:
    """Train from `run.step` to `run.steps`; saves every `run.save_minutes` and at the end.

    A step whose loss or gradient is not finite is skipped. After `MAX_SKIPPED` of them in a row the
    last good state is saved and UserError is raised. When `run.stop_requested()` is true the state
    is saved and `run.stopped` set. LostProcess if another process of the run ended.
    """
    loader = BatchLoader(run.sample, run.seed, run.device)
    try:
        with lost_processes_explained():
            yield from _train(run, loader)
    finally:
        loader.close()


@dataclass(frozen=True)
class _Computed:
    """A step whose values may still be on their way from the device."""

    step: int
    names: list[str]
    values: HostCopy  # of the losses and of the gradient norm
    lr_factor: float
    pictures_per_second: float

    def record(self) -> StepRecord:
        *losses, grad_norm = self.values.read()
        named = dict(zip(self.names, losses, strict=True))
        skipped = not (math.isfinite(grad_norm) and math.isfinite(named["loss"]))
        speed = self.pictures_per_second
        return StepRecord(self.step, named, grad_norm, self.lr_factor, speed, skipped)


def _train(run: Run, load: BatchLoader) -> Iterator[StepRecord]:
    skipped_in_a_row = 0
    fastest = math.inf
    now = saved = time.monotonic()
    waiting: deque[_Computed] = deque()
    while True:
        save_due = now - saved > 60.0 * run.save_minutes
        if _agree(run, save_due):
            run.save()
            saved = now
        if run.stopped or run.step >= run.steps:
            return
        started = time.monotonic()
        lr_factor = learning_rate_factor(run.step, run)
        for optimizer in run.optimizers:
            optimizer.param_groups[0]["lr"] = run.learning_rate * lr_factor
        losses = run.loss(run.step, load(run.step))
        losses["loss"].backward()
        values = update_weights(run, losses)
        now = time.monotonic()
        fastest = min(fastest, now - started)
        run.seconds += min(now - started, PAUSE_FACTOR * fastest)
        if run.step == run.steps:
            run.save()
            saved = now
        speed = run.batch / (now - started)
        waiting.append(_Computed(run.step, list(losses), values, lr_factor, speed))
        while waiting and (not run.deferred or len(waiting) > 1 or run.step == run.steps):
            record = waiting.popleft().record()
            skipped_in_a_row = skipped_in_a_row + 1 if record.skipped else 0
            yield record
            if skipped_in_a_row >= MAX_SKIPPED:
                run.save()  # the weights are those of the last good step
                raise UserError(
                    "the loss or the gradient was not finite after step "
                    f"{record.step - MAX_SKIPPED}; the weights of that step are in {run.path}: "
                    "train in another folder with a lower learning rate"
                )


def _agree(run: Run, save_due: bool) -> bool:
    """What all processes must do alike before a step; returns whether to save.

    Any process can stop the run. The clock and `steps` are those of the main process.
    """
    main = is_main()
    flags = (run.stop_requested(), main and save_due, main and run.validation_due())
    (run.stopped, save, run.validate_now), run.steps = any_of(flags, run.steps)
    return save or run.stopped
