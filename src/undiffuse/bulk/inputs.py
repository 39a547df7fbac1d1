"""The input of a bulk job: any data set that `data.sources` reads, cut into parts.

Shards and Parquet files are a part each; pictures in folders and rows of tables are dealt out.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from undiffuse.data.sources.arrow import ArrowReader
from undiffuse.data.sources.folder import FolderReader
from undiffuse.data.sources.item import Entry, Part
from undiffuse.data.sources.source import Reader, find_reader
from undiffuse.data.sources.table import TableReader, find_tables
from undiffuse.data.sources.webdataset import ARCHIVES, ShardReader, is_remote
from undiffuse.errors import UserError
from undiffuse.imaging.storage import StorageFolder

MAX_TABLE_PARTS = 32  # each part reads the whole table


@dataclass(frozen=True)
class Inputs:
    """A data set: how it is read, into how many parts it is cut, and its files' names and sizes."""

    reader: Reader
    parts: int
    files: list[Any]


@dataclass(frozen=True)
class FilePerPart:
    """Parquet or Arrow files, each a part of its own."""

    whole: ArrowReader

    format = "Parquet"

    def describe(self) -> str:
        """The format and what was found, in one line."""
        return self.whole.describe()

    def entries(self, part: Part) -> Iterator[Entry]:
        """The rows of one file."""
        return replace(self.whole, files=[self.whole.files[part.worker]]).entries(Part())


@dataclass(frozen=True)
class RemoteParquet:
    """Parquet files at an address, each a part of its own, copied here while it is read."""

    folder: StorageFolder
    names: list[str]

    format = "Parquet"

    def describe(self) -> str:
        """The format and what was found, in one line."""
        return f"{self.format}: {len(self.names)} files at {self.folder.address}"

    def entries(self, part: Part) -> Iterator[Entry]:
        """The rows of one file."""
        name = self.names[part.worker]
        with TemporaryDirectory(prefix="undiffuse-") as folder:
            copy = Path(folder, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            self.folder.copy_to(name, copy)
            yield from ArrowReader(self.format, Path(folder), [("", copy)]).entries(Part())


def open_inputs(address: str, per_part: int) -> Inputs:
    """The data set at a path or an address; pictures in folders are `per_part` to a part.

    UserError when there is none that is known.
    """
    reader = _remote_reader(address) if is_remote(address) else find_reader(address)
    if isinstance(reader, ArrowReader):
        files = [[str(path.relative_to(reader.root)), path.stat().st_size]
                 for _, path in reader.files]  # fmt: skip
        return Inputs(FilePerPart(reader), len(files), files)
    if isinstance(reader, RemoteParquet):
        return Inputs(reader, len(reader.names), reader.names)
    if isinstance(reader, ShardReader):
        sizes = [0 if is_remote(s) else os.path.getsize(s) for s in _existing(reader.shards)]
        names = [shard.rpartition("/")[2] for shard in reader.shards]
        return Inputs(reader, len(names), [list(pair) for pair in zip(names, sizes, strict=True)])
    if isinstance(reader, FolderReader):
        return Inputs(reader, -(-len(reader.pictures) // per_part), reader.pictures)
    names = [entry.key for entry in reader.entries(Part())]
    return Inputs(reader, max(1, min(MAX_TABLE_PARTS, -(-len(names) // per_part))), names)


def _existing(shards: list[str]) -> list[str]:
    for shard in shards:
        if not is_remote(shard) and not os.path.isfile(shard):
            raise UserError(f"there is no shard {shard}")
    return shards


def _remote_reader(address: str) -> Reader:
    if "{" in address or "*" in address or address.endswith(ARCHIVES):
        return find_reader(address)
    if address.endswith(".parquet"):
        parent, _, name = address.rpartition("/")
        return RemoteParquet(StorageFolder(parent), [name])
    folder = StorageFolder(address)
    names = folder.names
    if any(name.endswith(".tar") for name in names):
        return find_reader(address)
    if tables := find_tables(folder):
        return TableReader(folder, tables)
    if parquet := [name for name in names if name.endswith(".parquet")]:
        return RemoteParquet(folder, parquet)
    reader = FolderReader(folder)
    if not reader.pictures:
        raise UserError(f"{address} holds no pictures: give shards, Parquet files or pictures")
    return reader
