"""WebDataset: tar shards, local or at any address that fsspec knows, read forward only.

A sample is some neighbors in an archive that share a key: `KEY.png`, `KEY.txt`, `KEY.json`. This
project's own shards are such archives.
"""

import glob
import gzip
import itertools
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, cast

from undiffuse.data.sources.columns import parse_object, read_words
from undiffuse.data.sources.decode import ENDINGS
from undiffuse.data.sources.file_names import captions_from_label
from undiffuse.data.sources.folder import lines
from undiffuse.data.sources.item import (
    MAX_TEXT,
    Entry,
    FileFacts,
    Part,
    Words,
    clean_text,
    decode_text,
    failing,
    printable,
)
from undiffuse.data.sources.tree import is_hidden
from undiffuse.errors import UserError
from undiffuse.imaging.read import MAX_FILE

ARCHIVES = (".tar", ".tar.gz", ".tgz")
MAX_SHARDS = 1_000_000
_HEADER = 8192  # the most bytes that the headers of a member may ask for at once
_CUT = re.compile(r"((?:.*/)?[^/.][^/.]*)\.([^/]+)")  # WebDataset's: key, and what it is
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_SLOTS = {ending[1:]: "picture" for ending in ENDINGS} | {
    "txt": "text", "text": "text", "caption": "text", "json": "json", "cls": "class",
}  # fmt: skip
_BOUNDS = {"picture": MAX_FILE, "text": MAX_TEXT, "json": MAX_TEXT, "class": 1000}
Files = dict[str, bytes]  # slot -> what the member holds


def is_remote(address: str) -> bool:
    """Whether it names a protocol, as in s3://bucket/x.tar."""
    return "://" in address


def expand_braces(address: str) -> list[str]:
    """ "x-{000..002}.tar" and "{a,b}.tar" written out. UserError for more than `MAX_SHARDS`."""
    literal, *pieces = re.split(r"\{([^{}]*)\}", address)
    choices: list[list[str]] = []
    total = 1
    for inner, after in zip(pieces[::2], pieces[1::2], strict=True):
        if span := _RANGE.fullmatch(inner):
            first, last = int(span[1]), int(span[2])
            total *= abs(last - first) + 1
            step = 1 if first <= last else -1
            numbers = range(first, last + step, step) if total <= MAX_SHARDS else ()
            options = [f"{number:0{len(span[1])}d}" for number in numbers]
        else:
            options = inner.split(",")
            total *= len(options)
        if total > MAX_SHARDS:
            raise UserError(f"{address} names more than {MAX_SHARDS} shards: give fewer at a time")
        choices.append([option + after for option in options])
    return [literal + "".join(chosen) for chosen in itertools.product(*choices)]


def find_shards(address: str) -> list[str]:
    """The shards that an address names: braces and * are written out, a folder is listed.

    UserError when there is none, or the place can't be listed.
    """
    written = [address] if os.path.exists(address) else expand_braces(address)
    found = [shard for one in written for shard in (_find_remote if is_remote(one) else _find)(one)]
    if not found:
        raise UserError(f"no .tar shards at {address}: name them, as in shards-{{000..010}}.tar")
    return found


def _find(path: str) -> list[str]:
    if os.path.isdir(path):
        inside = (one for pattern in ("*", "*/*") for one in Path(path).glob(pattern))
        return sorted(str(one) for one in inside if one.name.endswith(ARCHIVES) and one.is_file())
    return sorted(glob.glob(path)) if "*" in path else [path]


def _find_remote(address: str) -> list[str]:
    if address.endswith(ARCHIVES) and "*" not in address:
        return [address]
    pattern = address if "*" in address else f"{address.rstrip('/')}/*.tar"
    try:
        files, path = _fsspec().core.url_to_fs(pattern)
        return sorted(files.unstrip_protocol(name) for name in files.glob(path))
    except UserError:
        raise
    except Exception as error:  # each protocol has its own
        raise UserError(f"{address} can't be listed: {_said(error)}") from error


def _fsspec() -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise UserError("remote shards need fsspec: pip install 'undiffuse[data]'") from error
    return fsspec


def _said(error: Exception) -> str:
    if isinstance(error, ValueError) and str(error):
        return str(error)
    return getattr(error, "strerror", "") or f"{type(error).__name__}: {error}"


def open_shard(address: str) -> tuple[BinaryIO, int]:
    """The archive, decompressed as it is read, and its bytes on the disk or server if known.

    UserError for a protocol that needs another package; else whatever the protocol raises.
    """
    if is_remote(address):
        try:
            raw = cast(BinaryIO, _fsspec().open(address, "rb").open())
        except ImportError as error:
            raise UserError(f"{address} can't be read: {error}") from error
        size = int(getattr(raw, "size", 0) or 0)
    else:
        size = os.path.getsize(address)
        raw = Path(address).open("rb")  # noqa: SIM115
    return (raw if address.endswith(".tar") else cast(BinaryIO, gzip.GzipFile(fileobj=raw))), size


class _Forward:
    """An archive for tarfile, which itself bounds the headers that it reads neither way.

    Seeks forward only, so that any stream will do. `last`: what was read last.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._at, self.last = raw, 0, b""

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER:
            raise ValueError("a header is too long")
        self.last = self.take(size)
        return self.last

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or those that are left."""
        data = self._raw.read(size)
        while len(data) < size and (more := self._raw.read(size - len(data))):
            data += more
        self._at += len(data)
        return data

    def seek(self, to: int) -> None:
        if to < self._at:
            raise ValueError("a member overlaps the one before it")
        if self._raw.seekable():
            self._raw.seek(to)
            self._at = to
        while self._at < to and self.take(min(to - self._at, 1 << 20)):
            pass


def read_samples(raw: BinaryIO) -> Iterator[tuple[str, Files, str, int]]:
    """Key, files, what is wrong ("" for nothing) and the place in the archive of each sample.

    ValueError for an archive that is damaged from there on.
    """
    stream = _Forward(raw)
    try:
        for key, members in groupby(_members(stream), lambda member: member[0]):
            files, problem = Files(), ""
            for _, slot, info in members:
                problem = problem or _take(files, slot, info, stream)
            if problem or files:
                yield key, files, problem, stream.tell()
    except (tarfile.TarError, zlib.error, EOFError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _members(stream: _Forward) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Key, slot ("" for what is not wanted) and header of each member that has a key."""
    with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:", errors="replace") as tar:
        while info := tar.next():
            if not 0 <= info.size < 1 << 40:
                raise ValueError(f"a member declares {info.size} bytes")
            name = info.name.removeprefix("./")
            if (cut := _CUT.fullmatch(name)) and not info.isdir() and not is_hidden(name):
                yield cut[1], _SLOTS.get(cut[2].lower(), ""), info
            tar.members = []  # type: ignore[attr-defined]  # or it grows with the archive
    if stream.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end
        raise ValueError("the end is missing")


def _take(files: Files, slot: str, info: tarfile.TarInfo, stream: _Forward) -> str:
    """Read a member that is wanted; returns what is wrong with it."""
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
        return "a member is a link or a device, not a file"
    absolute = info.name.startswith(("/", "\\"))
    if not info.name.isprintable() or absolute or ".." in info.name.split("/"):
        return "a member's name is no plain relative path"
    if not slot:
        return ""
    if slot in files or info.size > _BOUNDS[slot]:
        return f"a second {slot}, or one above {_BOUNDS[slot]} bytes: {info.size}"
    stream.seek(info.offset_data)
    files[slot] = stream.take(info.size)
    return "" if len(files[slot]) == info.size else "the archive ends within it"


@dataclass(frozen=True)
class ShardReader:
    """Tar shards. Workers divide the shards, or the samples where there are fewer shards."""

    shards: list[str]

    format = "WebDataset"

    def describe(self) -> str:
        """The format and what was found, in one line."""
        return f"{self.format}: {len(self.shards)} shards, {self.shards[0]} the first"

    def file_facts(self) -> Iterator[FileFacts]:
        """Of the shards; remote ones have no time."""
        for shard in self.shards:
            try:
                if is_remote(shard):
                    files, path = _fsspec().core.url_to_fs(shard)
                    yield shard, int(files.size(path) or 0), 0
                else:
                    yield shard, (found := os.stat(shard)).st_size, found.st_mtime_ns
            except Exception as error:  # each protocol has its own
                raise UserError(f"{shard} can't be reached: {_said(error)}") from error

    def entries(self, part: Part) -> Iterator[Entry]:
        """The part's samples: shard after shard, which a seed shuffles."""
        shards = self.shards.copy()
        if part.seed is not None:
            Random(part.seed).shuffle(shards)
        if len(shards) >= part.workers:
            return self._samples(list(part.share(shards)))
        return part.share(self._samples(shards))

    def _samples(self, shards: list[str]) -> Iterator[Entry]:
        # Of letters, not of folders: "//" in an address is part of it.
        root = os.path.commonprefix(self.shards).rpartition("/")[0]  # noqa: RUF071
        for number, shard in enumerate(shards):
            name = printable(_stem(shard[len(root) :].lstrip("/")))
            seen, at = set[str](), 0
            try:
                raw, size = open_shard(shard)
                with raw:
                    for key, files, problem, at in read_samples(raw):
                        if key in seen:
                            problem = "the key occurs twice in the shard"
                        seen.add(key)
                        progress = (number + (min(1.0, at / size) if size else 0.0)) / len(shards)
                        load = failing(problem) if problem else partial(_load, files)
                        held = sum(map(len, files.values()))
                        key = printable(key)
                        yield Entry(
                            f"{name}/{key}", f"{printable(shard)}: {key}", load, progress, held
                        )
            except UserError:
                raise
            except Exception as error:  # each protocol has its own
                what = f"the archive is damaged from byte {at} on" if at else "no archive to read"
                reason = f"{what}: {_said(error)}"
                yield Entry(name, printable(shard), failing(reason), (number + 1) / len(shards))


def _stem(name: str) -> str:
    return next(name.removesuffix(ending) for ending in (*ARCHIVES, "") if name.endswith(ending))


def _load(files: Files) -> tuple[bytes, Words]:
    if "picture" not in files:
        raise ValueError(f"only {', '.join(files)}, and no picture beside it in the archive")
    words = read_words(parse_object(files["json"])) if "json" in files else Words([])
    if "text" in files:
        words = words._replace(captions=lines(decode_text(files["text"])) or words.captions)
    if "class" in files:
        label = clean_text(decode_text(files["class"])) or words.label
        said = words.captions or ([] if "text" in files else captions_from_label(label))
        words = words._replace(label=label, captions=said)
    return files["picture"], words
