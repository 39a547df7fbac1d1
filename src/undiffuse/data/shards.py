"""Captioned pictures in POSIX tar shards, the format of the WebDataset library.

A sample is two files next to each other in the archive, `KEY.png` and `KEY.json`. Archives are
untrusted: nothing is unpacked to disk or unpickled, and every size has a limit.
"""

import json
import os
import re
import tarfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from undiffuse.data.sources.webdataset import read_samples
from undiffuse.errors import UserError

MAX_SIDE = 1024  # pixels
MAX_RECORD = 1 << 18  # bytes
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,89}")  # KEY.json fits the 100 bytes of a header


@dataclass(frozen=True)
class Sample:
    """A captioned picture: (H, W, 4) uint8 RGBA, and a record that is a JSON object."""

    key: str
    picture: np.ndarray
    record: dict[str, Any]


@dataclass(frozen=True)
class EncodedSample:
    """A captioned picture whose PNG file is made already, by another process for instance."""

    key: str
    png: bytes
    record: dict[str, Any]


def write_shards(
    samples: Iterable[Sample | EncodedSample], folder: Path, *, prefix: str, per_shard: int = 2000
) -> list[Path]:
    """Write `prefix-000000.tar`, ... into `folder`, which is made if missing. Returns the paths.

    The same samples give the same bytes under the same version of Pillow. A shard appears under its
    name when it is complete. Older shards of the prefix are removed. Raises UserError for a sample
    that `read_shards` would refuse.
    """
    if per_shard < 1 or not _KEY.fullmatch(prefix):
        raise UserError(f"prefix {prefix!r}: use letters, digits, - and _; 1 or more per shard")
    folder.mkdir(parents=True, exist_ok=True)
    stream, keys, paths = iter(samples), set[str](), list[Path]()
    for first in stream:
        paths.append(folder / f"{prefix}-{len(paths):06d}.tar")
        _write_shard(chain([first], islice(stream, per_shard - 1)), paths[-1], keys)
    for old in set(folder.glob(f"{prefix}-{'[0-9]' * 6}.tar")) - set(paths):
        old.unlink()
    return paths


def _write_shard(samples: Iterable[Sample | EncodedSample], path: Path, keys: set[str]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in samples:
                for kind, data in _encode(sample, keys).items():
                    info = tarfile.TarInfo(f"{sample.key}.{kind}")  # owner, group and time are 0
                    info.size = len(data)
                    tar.addfile(info, BytesIO(data))
                keys.add(sample.key)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _encode(sample: Sample | EncodedSample, taken: set[str]) -> dict[str, bytes]:
    if not _KEY.fullmatch(sample.key) or sample.key in taken:
        raise UserError(f"key {sample.key!r}: use letters, digits, - and _, and each key only once")
    try:
        return {"png": _encode_picture(sample), "json": _encode_record(sample.record)}
    except (TypeError, ValueError, RecursionError) as err:
        raise UserError(f"{sample.key}: the record is not JSON: {err}") from None


def _encode_picture(sample: Sample | EncodedSample) -> bytes:
    if isinstance(sample, EncodedSample):
        return sample.png
    shape, dtype = sample.picture.shape, sample.picture.dtype
    if dtype != np.uint8 or shape[2:] != (4,) or not 0 < min(shape) <= max(shape) <= MAX_SIDE:
        raise UserError(f"{sample.key} is {dtype} {shape}: use uint8 (H, W, 4) up to {MAX_SIDE}")
    png = BytesIO()
    Image.fromarray(sample.picture).save(png, "PNG", compress_level=6)
    return png.getvalue()


def _encode_record(record: Any) -> bytes:
    data = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    if not isinstance(record, dict) or len(data) > MAX_RECORD:
        raise ValueError(f"it is a {type(record).__name__} of {len(data)} bytes")
    return data


def find_shards(path: Path) -> list[Path]:
    """The shards in a folder by name, or the archive itself. Raises UserError if there is none."""
    found = [path] if path.is_file() else sorted(p for p in path.glob("[!.]*.tar") if p.is_file())
    if not found:
        raise UserError(f"{path} has no *.tar shards: make some with undiffuse data")
    return found


def read_shards(
    paths: Iterable[Path],
    *,
    on_bad: Callable[[str, str], None] | None = None,
    max_bad_share: float = 0.1,
) -> Iterator[Sample]:
    """The samples of the shards in order.

    A bad sample is reported to `on_bad(where, reason)` and skipped. Raises UserError for a bad
    sample without `on_bad`, for a share of bad samples above `max_bad_share` (checked from the 20th
    sample on and at the end), and if there is no sample. The damaged rest of an archive counts as
    one bad sample.
    """
    seen = bad = 0
    groups = ((path, *group) for path in paths for group in _groups(path))
    for seen, (path, key, files, problem) in enumerate(groups, 1):
        try:
            yield Sample(key, *_decode(files, problem))
        except ValueError as err:
            bad, where = bad + 1, f"{path}: {ascii(key)[1:-1]:.100}"
            if on_bad is None:
                raise UserError(f"{where}: {err}") from None
            on_bad(where, str(err))
        if seen >= 20 and bad > max_bad_share * seen:  # a share of fewer says little
            break
    if bad > max_bad_share * seen or not seen:
        raise UserError(f"only {seen - bad} of {seen} samples can be used: rebuild the shards")


def _groups(path: Path) -> Iterator[tuple[str, dict[str, bytes], str]]:
    """(key, files, problem) of each sample in an archive."""
    key = "the archive"
    try:
        with path.open("rb") as raw:
            for key, files, problem, _ in read_samples(raw):
                yield key, files, problem
    except (OSError, ValueError) as err:
        yield key, {}, f"not a plain tar archive, or damaged from here on: {err}"


def _decode(files: dict[str, bytes], problem: str) -> tuple[np.ndarray, dict[str, Any]]:
    if problem or not {"picture", "json"} <= files.keys():
        raise ValueError(problem or f"a picture and a record are needed, only {list(files)} found")
    try:
        record = json.loads(files["json"])
        _encode_record(record)  # refuses NaN, 1e999 and lone surrogates, which json.loads accepts
    except (ValueError, RecursionError) as err:
        raise ValueError(f"the record is not a JSON object: {err}") from None
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            image = Image.open(BytesIO(files["picture"]), formats=("PNG", "JPEG", "WEBP"))
        if (
            max(image.size) <= MAX_SIDE and image.mode[0] not in "IF"
        ):  # Pillow would cut 16 bits to 8
            return np.array(image.convert("RGBA")), record
    except Exception as err:  # of any kind, from the decoder
        raise ValueError(f"not a readable PNG, JPEG or WebP: {type(err).__name__}") from None
    raise ValueError(f"it is {image.size}, {image.mode}: use up to {MAX_SIDE} pixels and 8 bits")
