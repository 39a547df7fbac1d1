"""Captioned pictures in plain POSIX tar shards, which the WebDataset library reads as they are.

A sample is two neighbours in the archive, `KEY.png` and `KEY.json`. What is read is hostile until
checked: nothing is unpacked to disk, nothing unpickled, everything has a bound.
"""

import json
import os
import re
import tarfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO, FileIO
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from undiffuse.errors import UserError

MAX_SIDE = 1024  # pixels
_BOUNDS = {"picture": 5 << 20, "record": 1 << 18}  # bytes; pure noise of MAX_SIDE is a PNG of 4 MiB
_SLOTS = {"json": "record"} | dict.fromkeys(("png", "jpg", "jpeg", "webp"), "picture")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,89}")  # KEY.json fits a plain header's 100 bytes
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)  # WebDataset's cut: the first dot


@dataclass(frozen=True)
class Sample:
    """A captioned picture: (H, W, 4) uint8 RGBA, and a record that is a JSON object."""

    key: str
    picture: np.ndarray
    record: dict[str, Any]


def write_shards(
    samples: Iterable[Sample], folder: Path, *, prefix: str, per_shard: int = 2000
) -> list[Path]:
    """Write `prefix-000000.tar`, ... into `folder` (made if missing); returns the paths in order.

    The same samples give the same bytes under the same version of Pillow. A shard appears under its
    name only when complete. Older shards of this prefix beyond the last one are removed. UserError
    for a sample that `read_shards` would not take back.
    """
    if per_shard < 1 or not _KEY.fullmatch(prefix):
        raise UserError(f"shards {prefix!r} by {per_shard}: give a plain word, and 1 or more")
    folder.mkdir(parents=True, exist_ok=True)
    stream, keys, paths = iter(samples), set[str](), list[Path]()
    for first in stream:
        paths.append(folder / f"{prefix}-{len(paths):06d}.tar")
        _write_shard(chain([first], islice(stream, per_shard - 1)), paths[-1], keys)
    for old in set(folder.glob(f"{prefix}-{'[0-9]' * 6}.tar")) - set(paths):
        old.unlink()
    return paths


def _write_shard(samples: Iterable[Sample], path: Path, keys: set[str]) -> None:
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


def _encode(sample: Sample, taken: set[str]) -> dict[str, bytes]:
    if not _KEY.fullmatch(sample.key) or sample.key in taken:
        raise UserError(f"key {sample.key!r}: use letters, digits, - and _, and each key once")
    shape, dtype = sample.picture.shape, sample.picture.dtype
    if dtype != np.uint8 or shape[2:] != (4,) or not 0 < min(shape) <= max(shape) <= MAX_SIDE:
        raise UserError(f"{sample.key}: {dtype} {shape}, not uint8 (H, W, 4) up to {MAX_SIDE}")
    png = BytesIO()
    Image.fromarray(sample.picture).save(png, "PNG", compress_level=6)
    try:
        return {"png": png.getvalue(), "json": _encode_record(sample.record)}
    except (TypeError, ValueError, RecursionError) as err:
        raise UserError(f"{sample.key}: the record is no JSON: {err}") from None


def _encode_record(record: Any) -> bytes:
    data = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    if not isinstance(record, dict) or len(data) > _BOUNDS["record"]:
        raise ValueError(f"a {type(record).__name__} of {len(data)} bytes")
    return data


def find_shards(path: Path) -> list[Path]:
    """The shards in a folder, by name, or the one archive given. UserError where there is none."""
    found = [path] if path.is_file() else sorted(p for p in path.glob("[!.]*.tar") if p.is_file())
    if not found:
        raise UserError(f"no *.tar shard in {path}: give another, or make some by undiffuse data")
    return found


def read_shards(
    paths: Iterable[Path],
    *,
    on_bad: Callable[[str, str], None] | None = None,
    max_bad_share: float = 0.1,
) -> Iterator[Sample]:
    """The samples of the shards in order, each picture (H, W, 4) uint8 RGBA.

    A sample that cannot be used is told to `on_bad(where, reason)` and skipped; without `on_bad` it
    raises UserError. So do a share of bad ones above `max_bad_share`, judged from the 20th sample
    on and at the end, and no sample at all. The damaged rest of an archive counts as one.
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
        raise UserError(f"{seen - bad} of {seen} samples can be used: mend or rebuild the shards")


class _Headers(FileIO):
    """An archive of which tarfile can read headers only: it bounds them neither way itself."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= 8192:
            raise ValueError("a header too long")
        return super().read(size)


def _groups(path: Path) -> Iterator[tuple[str, dict[str, bytes], str]]:
    """Neighbours that share a key, as WebDataset groups them, and what is wrong with each group."""
    key = "the archive"
    try:
        with path.open("rb") as data, _Headers(path) as headers:
            for key, members in groupby(_members(headers), lambda member: member[0]):
                files, problem = dict[str, bytes](), ""
                for _, kind, info in members:
                    problem = _take(files, kind, info, data) or problem
                yield key, files, problem
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as err:
        yield key, {}, f"no plain tar archive, or damaged from here on: {err}"


def _members(headers: _Headers) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Key, kind and header of each member that has both, up to the mark of the archive's end."""
    total = os.fstat(headers.fileno()).st_size
    with tarfile.open(fileobj=headers, mode="r:", errors="replace") as tar:
        while info := tar.next():
            if not 0 <= info.size <= total - info.offset_data:
                raise ValueError(f"{info.size} bytes declared, {total - info.offset_data} left")
            if (match := _NAME.fullmatch(info.name)) and not info.isdir():
                yield match[1], match[2].lower(), info
            tar.members = []  # type: ignore[attr-defined]  # or it grows with the archive
        headers.seek(tar.offset)  # tarfile takes a damaged header for the end, without a word
        if headers.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ValueError("the end is missing")


def _take(files: dict[str, bytes], kind: str, info: tarfile.TarInfo, data: BinaryIO) -> str:
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        return f".{kind} is a link or a device, not a file"
    if not info.name.isprintable() or re.search(r"^[/\\]|(^|[/\\])\.\.[/\\]", info.name):
        return "the name is no plain relative path"
    if slot := _SLOTS.get(kind):
        if slot in files or info.size > _BOUNDS[slot]:
            return f".{kind} is a second {slot}, or over {_BOUNDS[slot]} bytes: {info.size}"
        data.seek(info.offset_data)
        files[slot] = data.read(info.size)
    return ""


def _decode(files: dict[str, bytes], problem: str) -> tuple[np.ndarray, dict[str, Any]]:
    if problem or len(files) < len(_BOUNDS):
        raise ValueError(problem or f"picture and record are due, only {list(files)} found")
    try:
        record = json.loads(files["record"])
        _encode_record(record)  # Python reads NaN, 1e999 and halves of surrogate pairs
    except (ValueError, RecursionError) as err:
        raise ValueError(f"the record is no JSON object: {err}") from None
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            image = Image.open(BytesIO(files["picture"]), formats=("PNG", "JPEG", "WEBP"))
        if max(image.size) <= MAX_SIDE and image.mode[0] not in "IF":  # 16 bits: cut unsaid to 8
            return np.array(image.convert("RGBA")), record
    except Exception as err:  # whatever a decoder's parser ran into
        raise ValueError(f"no PNG, JPEG or WebP that can be read: {type(err).__name__}") from None
    raise ValueError(f"picture {image.size}, {image.mode}: up to {MAX_SIDE}, 8 bits are read")
