"""Checkpoint files: tensors by name and JSON metadata in one safetensors file, without pickle."""

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from undiffuse.errors import UserError
from undiffuse.training.sharding import sharded_like, whole


def save(
    path: Path, tensors: dict[str, Tensor], meta: dict[str, Any], *, keep: bool = False
) -> None:
    """Write the file atomically: after a crash it is either the old or the new one.

    `keep`: the file that is replaced stays as `previous_path`. Raises UserError if it can't be
    written, on a full disk for example; then the old file is there as before.
    """
    # A constant name, so that crashes leave at most one partial file.
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            partial,
            metadata={"undiffuse": json.dumps(meta)},
        )
        if keep and path.exists():
            _keep(path)
        os.replace(partial, path)
    except (SafetensorError, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        kept = ": what was saved before is kept, and the same command continues from it"
        raise UserError(f"{path} can't be written: {reason}{kept if keep else ''}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def previous_path(path: Path) -> Path:
    """Where the checkpoint before the last one is kept: checkpoint.previous.safetensors."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _keep(path: Path) -> None:
    """Give the file its second name, so that at each moment one of both names a whole file."""
    link = path.with_name(f".{path.name}.link")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        os.replace(link, previous_path(path))
    except OSError:  # a file system without hard links
        os.replace(path, previous_path(path))


def load_last(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """The checkpoint, or the one before it if it is broken or missing; and a note which says so.

    Raises UserError if there is no other one.
    """
    try:
        return *load(path), ""
    except UserError as error:
        previous = previous_path(path)
        if not previous.exists():
            raise
        tensors, meta = load(previous)
        step = meta.get("step", "unknown")
        return tensors, meta, f"{error}: continuing from the checkpoint before it, of step {step}"


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata. Raises UserError for a missing, broken or foreign file."""
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})["undiffuse"])
            return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise UserError(f"{path} is not a weight file of undiffuse, or is broken") from error


def flatten_optimizers(optimizers: Iterable[Optimizer]) -> dict[str, Tensor]:
    """The optimizers' state as named tensors, "optimizer.<which>.<parameter>.<key>"."""
    tensors = {}
    for which, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{which}.{index}.{key}"] = whole(torch.as_tensor(value))
    return tensors


def restore_optimizers(optimizers: Iterable[Optimizer], tensors: dict[str, Tensor]) -> None:
    """The inverse of `flatten_optimizers`; does not change learning rates."""
    for which, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for name, tensor in tensors.items():
            head, *rest = name.split(".", 3)
            if head == "optimizer" and int(rest[0]) == which:
                parameter = parameters[int(rest[1])]
                if tensor.shape == parameter.shape:
                    tensor = sharded_like(tensor, parameter)
                state.setdefault(int(rest[1]), {})[rest[2]] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
