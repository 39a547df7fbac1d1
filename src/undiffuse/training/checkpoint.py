"""Checkpoint files: tensors by name and JSON metadata in one safetensors file, without pickle."""

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


def save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write the file atomically: after a crash it is either the old or the new one.

    Raises UserError if it can't be written, on a full disk for example.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A constant name, so that crashes leave at most one partial file.
    partial = path.with_name(f".{path.name}.part")
    try:
        save_file(
            {name: tensor.detach().contiguous() for name, tensor in tensors.items()},
            partial,
            metadata={"undiffuse": json.dumps(meta)},
        )
        os.replace(partial, path)
    except SafetensorError as error:
        raise UserError(f"{path} can't be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


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
                tensors[f"optimizer.{which}.{index}.{key}"] = torch.as_tensor(value)
    return tensors


def restore_optimizers(optimizers: Iterable[Optimizer], tensors: dict[str, Tensor]) -> None:
    """The inverse of `flatten_optimizers`; does not change learning rates."""
    for which, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            head, *rest = name.split(".", 3)
            if head == "optimizer" and int(rest[0]) == which:
                state.setdefault(int(rest[1]), {})[rest[2]] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
