"""Training in several processes, which torchrun or `accelerate launch` starts.

Every process draws the random numbers of the whole batch and computes its part of the rows, so that
N processes train as one does. Without a process group, all functions are for one process.
"""

import atexit
import copy
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.rendezvous import rendezvous

from undiffuse.errors import LostProcess, UserError
from undiffuse.training.devices import choose_device

STEP_TIMEOUT = timedelta(minutes=30)  # for a step of the others
WAIT_TIMEOUT = timedelta(days=7)  # for long work of the main process, such as data preparation
LEAVE_SECONDS = 10.0  # for the end of the others
LOST = ("gloo", "nccl", "connection", "timed out", "timeout", "peer", "socket", "aborted")
Losses = Callable[[Any], dict[str, Tensor]]
# Set by `start`: the Accelerator, and a group on the CPU for messages between the processes.
_accelerator: Any = None
_messages: Any = None
_alone = False


def count() -> int:
    """The number of processes."""
    initialized = dist.is_available() and dist.is_initialized() and not _alone
    return dist.get_world_size() if initialized else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if count() > 1 else 0


def is_main() -> bool:
    """Whether this process writes files and prints."""
    return not dist.is_available() or not dist.is_initialized() or dist.get_rank() == 0


def start(device: str | None = None) -> torch.device:
    """Join the other processes, if there are any; returns the device of this one.

    UserError for a device that this machine lacks.
    """
    global _accelerator, _messages
    chosen = choose_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return chosen
    if chosen.type == "mps":
        raise UserError("--device mps: several processes train on cuda or cpu; start one process")
    if chosen.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise UserError(f"process {local} of this machine has no GPU: start at most "
                            f"{torch.cuda.device_count()} processes")  # fmt: skip
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    if _accelerator is None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
        store, number, size = next(rendezvous("env://"))
        dist.init_process_group(
            backend, timeout=STEP_TIMEOUT, store=store, rank=number, world_size=size
        )
        atexit.register(_leave_together, store, size)
        _messages = dist.new_group(backend="gloo", timeout=WAIT_TIMEOUT)
        # About 1x1 convolutions: their gradients have other strides, but the same order in memory.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        keywords = DistributedDataParallelKwargs(broadcast_buffers=False)
        # Mixed precision is `precision.autocast`'s, whatever Accelerate's configuration says.
        _accelerator = Accelerator(
            cpu=chosen.type == "cpu", mixed_precision="no", kwargs_handlers=[keywords]
        )
    return chosen


def _leave_together(store: dist.Store, size: int) -> None:
    """Wait for the others before the program ends, because they take a closed connection for a
    failure.
    """
    end = time.monotonic() + LEAVE_SECONDS
    with suppress(RuntimeError):  # the store is gone with the launcher
        left = store.add("undiffuse/left", 1)
        while left < size and time.monotonic() < end:
            time.sleep(0.05)
            left = store.add("undiffuse/left", 0)


def check_batch(batch: int) -> None:
    """UserError if the processes cannot have equal parts of a batch."""
    if batch % count():
        near = max(1, batch // count()) * count()
        raise UserError(f"--batch {batch} is not divisible by {count()} processes: use {near}")


def part(rows: Any) -> Any:
    """This process's rows of an array, a tensor or a list over the whole batch."""
    if count() == 1:
        return rows
    return rows[rank() * len(rows) // count() : (rank() + 1) * len(rows) // count()]


def weight(rows: int, batch: int) -> float:
    """The factor of a mean over this process's rows, so that the mean over processes is the mean
    over the batch.
    """
    return rows * count() / batch


def mean(values: Tensor) -> Tensor:
    """The mean of a tensor over the processes; no gradient flows through it."""
    if count() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / count()


class _Gather(torch.autograd.Function):
    """All processes' rows. The gradient of a row is the sum of those in all processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(count())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return part(total)


def gather(rows: Tensor) -> Tensor:
    """The rows of all processes, in their order; differentiable."""
    if count() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


class _Losses(nn.Module):
    """A recipe's losses as a module, because DDP and FSDP wrap the forward pass of a module."""

    def __init__(self, model: nn.Module, losses: Losses) -> None:
        super().__init__()
        self.model, self.losses = model, losses

    def forward(self, batch: Any) -> dict[str, Tensor]:
        return self.losses(batch)


def wrap(model: nn.Module, losses: Losses) -> tuple[Losses, nn.Module | None]:
    """`losses(batch)`, whose backward pass averages the gradients over the processes.

    Where Accelerate's configuration asks for FSDP the parameters of `model` become shards, and a
    copy of the model as it was is returned too.
    """
    if count() == 1:
        return losses, None
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        template = copy.deepcopy(model)
        sharded = _shard(_Losses(model, losses))
        return lambda batch: sharded(batch), template
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about names of DDP's options
        wrapped: Any = _accelerator.prepare(_Losses(model, losses))
    return lambda batch: wrapped(batch), None


def _shard(module: _Losses) -> nn.Module:
    """Shard all parameters, and with them gradients, optimizer state and averages (FSDP2).

    Accelerate's own FSDP needs a GPU, and wraps the optimizer. Blocks are not sharded one by one:
    torch.compile skips the hooks of modules inside a compiled function.
    """
    scalars = {parameter for parameter in module.parameters() if parameter.ndim == 0}
    for parameter in scalars:  # which FSDP cannot shard
        parameter.register_post_accumulate_grad_hook(_average_gradient)
    mesh = init_device_mesh(next(module.parameters()).device.type, (count(),))
    fully_shard(module, mesh=mesh, ignored_params=scalars)
    return module


def _average_gradient(parameter: Tensor) -> None:
    assert parameter.grad is not None
    parameter.grad.copy_(mean(parameter.grad))


def any_of(flags: Sequence[bool], number: int = 0) -> tuple[list[bool], int]:
    """Each flag, true if it is in any process; and the main process's number."""
    if count() == 1:
        return list(flags), number
    values = torch.tensor([*flags, number if is_main() else -1], dtype=torch.int64)
    dist.all_reduce(values, dist.ReduceOp.MAX, group=_messages)
    *found, agreed = values.tolist()
    return [bool(flag) for flag in found], agreed


def from_main(compute: Callable[[], Any]) -> Any:
    """JSON data that the main process computes while the others wait.

    Its UserError ends all processes.
    """
    if count() == 1:
        return compute()
    message: list[Any] = [None]
    error: UserError | None = None
    if is_main():
        try:
            message = [json.dumps({"value": compute()})]
        except UserError as caught:
            error, message = caught, [json.dumps({"error": str(caught)})]
    with lost_processes_explained():
        dist.broadcast_object_list(message, 0, group=_messages)
    if error is not None:
        raise error
    found = json.loads(message[0])
    if "error" in found:
        raise UserError(found["error"])
    return found["value"]


@contextmanager
def main_first() -> Iterator[None]:
    """The main process executes the block before the others do, which find the files it wrote.

    The block runs as if in one process, so that it may hold other such blocks.
    """
    several = count() > 1
    if is_main() or not several:
        with alone():
            yield
    if several:
        with lost_processes_explained():
            dist.barrier(group=_messages)
    if several and not is_main():
        with alone():
            yield


@contextmanager
def alone() -> Iterator[None]:
    """In the block this process computes as if there were no others."""
    global _alone
    _alone, before = True, _alone
    try:
        yield
    finally:
        _alone = before


@contextmanager
def lost_processes_explained() -> Iterator[None]:
    """Raises LostProcess instead of an error of the communication between processes."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except RuntimeError as error:
        text = str(error).lower()
        if count() > 1 and any(word in text for word in LOST):
            raise LostProcess(
                f"process {rank()} lost another process of this run, which ended or does not "
                "answer: run the same command to continue from the last checkpoint"
            ) from error
        raise
