"""Weight files: float16 safetensors that carry their own configuration; computed in float32.

Reading needs NumPy alone. A file is known by the hash of its tensors and configuration, so that
what was trained against one CLIP can refuse another.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from undiffuse.errors import UserError

FORMAT = 1
HALF = np.dtype(np.float16)
AFTER_DECODING = {"flat"}  # settings of a codec that leave the meaning of its latents alone


@dataclass(frozen=True)
class Weights:
    """Tensors in float32 by name, what the file says of itself, and its hash.

    `encoder` is the hash of a codec's encoder and what configures it alone: it says what latents
    mean, so that a decoder may be bettered and the denoiser stays.
    """

    tensors: dict[str, NDArray[np.float32]]
    meta: dict[str, Any]
    hash: str
    encoder: str


def write_weights(path: Path, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> str:
    """Write tensors as float16, whole or not at all; returns the file's hash.

    `meta` must hold "kind" and "config". Raises UserError for a value float16 can't hold.
    """
    halves = {}
    for name, tensor in sorted(tensors.items()):
        half = np.asarray(tensor, np.float32, order="C").astype(np.float16)
        if not np.isfinite(half).all():
            raise UserError(f"weight {name} is not finite in float16: was training unstable?")
        halves[name] = half
    text = json.dumps({"format": FORMAT, **meta}, sort_keys=True, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(save(halves, metadata={"undiffuse": text}))  # readable to others
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return hash_of(halves, text)


def hash_of(halves: dict[str, np.ndarray], text: str) -> str:
    """The first 16 hex digits of SHA-256 over the metadata and every tensor in order of name."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(halves):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(halves[name]).data)
    return digest.hexdigest()[:16]


def read_weights(path: Path, kind: str, part: str = "") -> Weights:
    """Read a weight file of a kind ("clip", "codec", "denoiser").

    Of `tensors`, those whose names begin with `part`; the hash is of the whole file.
    Raises UserError when it is missing, broken, of another kind, or of a newer format.
    """
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {})["undiffuse"]
            halves = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        meta = json.loads(text)
        found, version = meta["kind"], int(meta["format"])
        if not isinstance(meta["config"], dict) or any(h.dtype != HALF for h in halves.values()):
            raise ValueError("a configuration and float16 tensors were expected")
    except FileNotFoundError as error:
        raise UserError(f"there is no weight file {path}") from error
    except (SafetensorError, LookupError, TypeError, ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} is not a weight file of undiffuse, or is broken") from error
    if version > FORMAT:
        raise UserError(f"{path} has format {version}; this version of undiffuse reads {FORMAT}")
    if found != kind:
        raise UserError(f"{path} holds a {found}, not a {kind}")
    tensors = {k: half.astype(np.float32) for k, half in halves.items() if k.startswith(part)}
    encoder = {name: half for name, half in halves.items() if name.startswith("encoder.")}
    meant = {name: value for name, value in meta["config"].items() if name not in AFTER_DECODING}
    config = json.dumps(meant, sort_keys=True)
    return Weights(tensors, meta, hash_of(halves, text), hash_of(encoder, config))
