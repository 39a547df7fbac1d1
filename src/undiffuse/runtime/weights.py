"""Weight files: safetensors with the configuration in the metadata; computed in float32.

Tensors are float16. In a file of format 2, matrices and convolutions are int8 with a scale for
each output row: weight = int8 * scale.

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

from undiffuse.config import IMPLIED
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

FORMAT, INT8_FORMAT = 1, 2  # a version that does not know int8 refuses format 2
HALF, INT8, SCALE = np.dtype(np.float16), np.dtype(np.int8), np.dtype(np.float32)
SCALES = "/scale"  # the scales of "x.weight" are "x.weight/scale"
INT8_LIMIT = 127
MIN_INT8_SIZE = 4096  # a smaller tensor stays float16
# Settings of a codec that do not change its latents, and those whose value the encoder may replace.
DECODER_SETTINGS = {"flat", "decoder_widths"}
ENCODER_SETTINGS = {"input_size": "image_size", "input_channels": "image_channels"}


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


def write_weights(
    path: Path, tensors: dict[str, np.ndarray], meta: dict[str, Any], *, int8: bool = False
) -> str:
    """Write tensors as float16 or int8, whole or not at all; return the file's hash.

    `meta` has "kind" and "config". UserError for a value that float16 can't hold, and for a file
    that can't be written.
    """
    stored: dict[str, NDArray[Any]] = {}
    for name, tensor in sorted(tensors.items()):
        full = np.asarray(tensor, np.float32, order="C")
        half = full.astype(np.float16)
        if not np.isfinite(half).all():
            raise UserError(f"weight {name} is not finite in float16: was training unstable?")
        if int8 and full.ndim > 1 and full.size >= MIN_INT8_SIZE:
            stored[name], stored[name + SCALES] = quantize(full)
        else:
            stored[name] = half
    meta = {"format": INT8_FORMAT if int8 else FORMAT, **meta}
    text = json.dumps(meta, sort_keys=True, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, save(stored, metadata={"undiffuse": text}))
    return hash_tensors(stored, text)


def average_weights(one: Weights, other: Weights, share: float) -> dict[str, NDArray[np.float32]]:
    """(1 - share) one + share other, per tensor. ValueError for two networks that differ in their
    configuration, or were trained with another CLIP or codec.
    """
    for name in ("config", "clip", "codec"):
        if one.meta.get(name) != other.meta.get(name):
            raise ValueError(f"they differ in their {name}")
    rest = np.float32(1 - share)
    return {
        name: rest * tensor + np.float32(share) * other.tensors[name]
        for name, tensor in one.tensors.items()
    }


def quantize(tensor: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """`(rows, ...)` -> int8 of that shape, and scales `(rows,)`: the largest weight of a row is
    127 times its scale.
    """
    flat = tensor.reshape(len(tensor), -1)
    scales = (np.abs(flat).max(1) / INT8_LIMIT).astype(np.float32)
    divisor = np.where(scales > 0, scales, 1.0)[:, None]
    rounded = np.clip(np.rint(flat / divisor), -INT8_LIMIT, INT8_LIMIT)
    return rounded.astype(np.int8).reshape(tensor.shape), scales


def hash_tensors(stored: dict[str, np.ndarray], text: str) -> str:
    """The first 16 hex digits of SHA-256 over a text and all tensors in order of name."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(stored):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(stored[name]).data)
    return digest.hexdigest()[:16]


def read_weights(path: Path, kind: str, part: str = "") -> Weights:
    """Read a weight file of a kind: "clip", "codec" or "denoiser".

    `tensors` are those whose names begin with `part`; the hash is of the whole file. UserError for
    a file that is missing, broken, of another kind, or of a newer format.
    """
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {})["undiffuse"]
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        meta = json.loads(text)
        found, version = meta["kind"], int(meta["format"])
        if not isinstance(meta["config"], dict) or not _known_types(stored):
            raise ValueError("expected a configuration, and float16 or int8 tensors")
    except FileNotFoundError as error:
        raise UserError(f"there is no weight file {path}") from error
    except (SafetensorError, LookupError, TypeError, ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} is not a weight file of undiffuse, or is broken") from error
    if version > INT8_FORMAT:
        raise UserError(
            f"{path} has format {version}; this version of undiffuse reads {INT8_FORMAT}"
        )
    if found != kind:
        raise UserError(f"{path} holds a {found}, not a {kind}")
    tensors = {
        name: _to_float(stored, name, path)
        for name in stored
        if name.startswith(part) and not name.endswith(SCALES)
    }
    encoder = {name: tensor for name, tensor in stored.items() if name.startswith("encoder.")}
    settings = json.dumps(_encoder_settings(meta["config"]), sort_keys=True)
    return Weights(tensors, meta, hash_tensors(stored, text), hash_tensors(encoder, settings))


def _encoder_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Those settings of a codec on which its latents depend: equal for codecs that differ in their
    decoders only.
    """
    settings = {name: value for name, value in config.items() if name not in DECODER_SETTINGS}
    for own, other in ENCODER_SETTINGS.items():
        if value := settings.pop(own, 0):
            settings[other] = value
    return {name: value for name, value in settings.items() if IMPLIED.get(name) != value}


def _known_types(stored: dict[str, np.ndarray]) -> bool:
    """Whether scales are float32 and belong to a tensor, and all others are float16 or int8."""
    return all(
        tensor.dtype == SCALE and name.removesuffix(SCALES) in stored
        if name.endswith(SCALES)
        else tensor.dtype in (HALF, INT8)
        for name, tensor in stored.items()
    )


def _to_float(stored: dict[str, np.ndarray], name: str, path: Path) -> NDArray[np.float32]:
    """A stored tensor in float32. UserError for scales that are missing or impossible."""
    tensor = stored[name]
    if tensor.dtype == HALF:
        return tensor.astype(np.float32)
    scales = stored.get(name + SCALES)
    largest = float(np.finfo(np.float16).max) / INT8_LIMIT
    if (
        scales is None
        or tensor.ndim < 2
        or scales.shape != tensor.shape[:1]
        or not ((scales >= 0) & (scales <= largest)).all()
    ):
        raise UserError(f"{path} is broken: the int8 scales of {name} are missing or not finite; "
                        "export it again with `undiffuse train export-int8`")  # fmt: skip
    floats: NDArray[np.float32] = tensor.astype(np.float32)
    floats *= scales.reshape(-1, *(1,) * (tensor.ndim - 1))
    return floats
