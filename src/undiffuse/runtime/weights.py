"""Weight files: float16 safetensors with the configuration in the metadata; computed in float32.

Reading needs NumPy alone. The hash of its tensors and metadata identifies a file, so that a
denoiser can refuse a CLIP that it was not trained with.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

FORMAT = 1
HALF = np.dtype(np.float16)
DECODER_SETTINGS = {"flat"}  # settings of a codec that do not change its latents


@dataclass(frozen=True)
class Weights:
    """Tensors in float32 by name, the metadata of the file, and its hash.

    `encoder` is the hash of a codec's encoder and its settings, which define the latents: a new
    decoder leaves it unchanged, and the denoiser stays valid.
    """

    tensors: dict[str, NDArray[np.float32]]
    meta: dict[str, Any]
    hash: str
    encoder: str


def write_weights(path: Path, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> str:
    """Write tensors as float16, whole or not at all; return the file's hash.

    `meta` has "kind" and "config". UserError for a value that float16 can't hold, and for a file
    that can't be written.
    """
    halves = {}
    for name, tensor in sorted(tensors.items()):
        half = np.asarray(tensor, np.float32, order="C").astype(np.float16)
        if not np.isfinite(half).all():
            raise UserError(f"weight {name} is not finite in float16: was training unstable?")
        halves[name] = half
    text = json.dumps({"format": FORMAT, **meta}, sort_keys=True, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, save(halves, metadata={"undiffuse": text}))
    return hash_tensors(halves, text)


def hash_tensors(halves: dict[str, np.ndarray], text: str) -> str:
    """The first 16 hex digits of SHA-256 over a text and all tensors in order of name."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(halves):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(halves[name]).data)
    return digest.hexdigest()[:16]


def read_weights(path: Path, kind: str, part: str = "") -> Weights:
    """Read a weight file of a kind: "clip", "codec" or "denoiser".

    `tensors` are those whose names begin with `part`; the hash is of the whole file. UserError for
    a file that is missing, broken, of another kind, or of a newer format.
    """
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {})["undiffuse"]
            halves = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        meta = json.loads(text)
        found, version = meta["kind"], int(meta["format"])
        if not isinstance(meta["config"], dict) or any(h.dtype != HALF for h in halves.values()):
            raise ValueError("expected a configuration and float16 tensors")
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
    settings = {k: v for k, v in meta["config"].items() if k not in DECODER_SETTINGS}
    encoder_hash = hash_tensors(encoder, json.dumps(settings, sort_keys=True))
    return Weights(tensors, meta, hash_tensors(halves, text), encoder_hash)
