"""Finds the files of a pretrained CLIP, and reads untrusted JSON.

The weights must be safetensors. A pickle can run any code when it is loaded, so none is read.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from undiffuse.errors import UserError
from undiffuse.imaging.files import read_bytes

HF_CONFIG, OPEN_CLIP_CONFIG = "config.json", "open_clip_config.json"
LAYOUTS = (
    (HF_CONFIG, "model.safetensors"),
    (OPEN_CLIP_CONFIG, "open_clip_model.safetensors"),
    (OPEN_CLIP_CONFIG, "open_clip_pytorch_model.safetensors"),
)
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
REFUSAL = (
    "is a pickle, which can run any code when it is read: it is not. Convert it where you trust it,"
    " with transformers' save_pretrained(FOLDER, safe_serialization=True)"
)
# The integers in configurations, and their upper limits: no file can ask for a huge network.
LIMITS = {
    "hidden_size": 1 << 14, "intermediate_size": 1 << 17, "num_hidden_layers": 256,
    "num_attention_heads": 1 << 14, "projection_dim": 1 << 14, "vocab_size": 1 << 20,
    "max_position_embeddings": 4096, "eos_token_id": 1 << 20, "image_size": 4096,
    "patch_size": 4096, "embed_dim": 1 << 14, "width": 1 << 14, "layers": 256, "heads": 1 << 14,
    "head_width": 1 << 14, "context_length": 4096,
}  # fmt: skip


def find_clip(folder: Path) -> tuple[Path, Path]:
    """The paths of configuration and weights: Hugging Face layout, else open_clip layout.

    UserError for a folder without such files.
    """
    for config, weights in LAYOUTS:
        if (folder / config).is_file() and (folder / weights).is_file():
            return folder / config, folder / weights
    if (folder / "model.safetensors.index.json").is_file():
        raise UserError(f"{folder} has its weights in several files: save them as one")
    for path in sorted(folder.iterdir()) if folder.is_dir() else [folder]:
        if path.suffix.lower() in PICKLES and path.exists():
            raise UserError(f"{path} {REFUSAL}")
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give one with config.json and model.safetensors")
    pairs = " nor ".join(f"{config} with {weights}" for config, weights in LAYOUTS[:2])
    raise UserError(f"{folder} has no CLIP in it: there is neither {pairs}")


def is_pickle(path: Path) -> bool:
    """Whether a file that is not safetensors is torch.save's zip file, or a plain pickle."""
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5")


def hash_files(paths: Iterable[Path]) -> str:
    """The first 16 hex digits of SHA-256 over the SHA-256 digests of files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


@contextmanager
def user_errors(path: Path) -> Iterator[None]:
    """Raises UserError, with the path and the reason on one line, for any error in its block.

    Libraries raise all kinds of errors for broken files.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise UserError(" ".join(f"{path} can't be used: {reason}".split())[:500]) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. UserError if it is missing, broken or exceeds the limits."""
    data = read_bytes(path)
    with user_errors(path):
        values = json.loads(data)
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        _check_limits(values)
        return values


def _check_limits(values: dict[str, Any]) -> None:
    for key, value in values.items():
        most = LIMITS.get(key)
        if most and value is not None and not (type(value) is int and 0 < value <= most):
            raise ValueError(f"{key}={value!r:.60} is no integer from 1 to {most}")
        if key.endswith(("_config", "_cfg")) and not isinstance(value, dict):
            raise ValueError(f"{key}={value!r:.60} is no object")
        if isinstance(value, dict):
            _check_limits(value)


def check_supported(values: Mapping[str, Any], supported: Mapping[str, Collection[Any]]) -> None:
    """Raise ValueError for a value that is not among the supported ones of its key."""
    for key, some in supported.items():
        if values.get(key) not in some:
            raise ValueError(f"{key}={values.get(key)!r:.60} is not one of {some}")
