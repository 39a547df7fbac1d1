"""The device that a run trains on, and the way of batches to it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse.errors import UserError

DEVICES = ("cuda", "mps", "cpu")  # in the order of preference
CPU = torch.device("cpu")
CACHE_SHARE = 0.25  # of the device's free memory, for the pictures of the training set
Batch = Any  # a tensor, or a dictionary of tensors and of other values
Sample = Callable[[int, Generator], Batch]


def available_devices() -> list[str]:
    """The kinds of devices of this machine, the preferred one first."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name in DEVICES if present.get(name, True)]


def choose_device(name: str | None = None) -> torch.device:
    """The device of a name, or the preferred one. UserError if this machine lacks it."""
    available = available_devices()
    name = name or available[0]
    if name not in available:
        raise UserError(f"--device {name}: torch {torch.__version__} finds no {name} device on "
                        f"this machine: use one of {', '.join(available)}")  # fmt: skip
    if name == "cuda":  # what autocast leaves in float32 may use TF32
        torch.set_float32_matmul_precision("high")
    return torch.device(name)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The tensors of a batch on the device; from pinned memory without waiting."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=device.type == "cuda")
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    return batch


def pin(batch: Batch) -> Batch:
    """The tensors of a batch in pinned memory, from which a GPU copies asynchronously."""
    if isinstance(batch, Tensor):
        return batch.pin_memory()
    if isinstance(batch, dict):
        return {name: pin(value) for name, value in batch.items()}
    return batch


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


class HostCopy:
    """Values on their way from the device; `read` waits for them alone, not for later work."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.arrived = values, None
        if values.is_cuda:
            self.values = torch.empty_like(values, device="cpu", pin_memory=True)
            self.values.copy_(values, non_blocking=True)
            self.arrived = torch.cuda.Event()
            self.arrived.record()

    def read(self) -> list[float]:
        """The values, in a list."""
        if self.arrived is not None:
            self.arrived.synchronize()
        numbers: list[float] = self.values.tolist()
        return numbers


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU; 0 for devices that share the memory of the processor."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


class PictureTable:
    """The pictures of a training set, `(N, C, H, W)` uint8: on the GPU if they take at most
    `CACHE_SHARE` of its free memory, otherwise where they are.
    """

    def __init__(self, pictures: np.ndarray, device: torch.device = CPU) -> None:
        self.pictures = pictures
        self.cached: Tensor | None = None
        if pictures.nbytes <= CACHE_SHARE * free_memory(device):
            self.cached = torch.from_numpy(np.array(pictures)).to(device)

    def take(self, rows: np.ndarray) -> Tensor:
        """What `load` needs of the given rows: their pictures, or their numbers."""
        return torch.from_numpy(self.pictures[rows] if self.cached is None else rows)

    def load(self, taken: Tensor) -> Tensor:
        """The pictures `(B, C, H, W)` uint8, on the device of `taken`."""
        return taken if self.cached is None else self.cached[taken]


class BatchLoader:
    """Samples the batch of step k with a generator keyed by (seed, k), and moves it to the device.

    For a GPU the next batch is sampled in a thread, into pinned memory.
    """

    def __init__(self, sample: Sample, seed: int, device: torch.device = CPU) -> None:
        self.sample, self.seed, self.device = sample, seed, device
        self.pool = ThreadPoolExecutor(1, "batches") if device.type == "cuda" else None
        self.waiting: dict[int, Future[Batch]] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        if self.pool is None:
            return to_device(self._make(step), self.device)
        current = self.waiting.pop(step, None) or self.pool.submit(self._make_pinned, step)
        self.waiting = {step + 1: self.pool.submit(self._make_pinned, step + 1)}
        return to_device(current.result(), self.device)

    def close(self) -> None:
        """End the thread."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, step: int) -> Batch:
        return self.sample(step, Generator(Philox(key=[self.seed, step])))

    def _make_pinned(self, step: int) -> Batch:
        return pin(self._make(step))
