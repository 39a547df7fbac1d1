"""`open_source`: a data set of any form as one stream, and its bad samples counted and named."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol, cast

from undiffuse.data.sources.arrow import parquet_dataset, saved_dataset
from undiffuse.data.sources.decode import decode
from undiffuse.data.sources.folder import FolderReader
from undiffuse.data.sources.item import (
    Entry,
    FileFacts,
    Item,
    Part,
    clean_text,
    default_split,
)
from undiffuse.data.sources.table import ENDINGS as TABLES
from undiffuse.data.sources.table import TableReader, find_tables
from undiffuse.data.sources.tree import FolderTree, Tree, ZipTree
from undiffuse.data.sources.webdataset import ARCHIVES, ShardReader, find_shards, is_remote
from undiffuse.errors import UserError

MAX_NAMED = 1000  # bad samples that are kept by name
MAX_REASON = 300  # characters
FEW_BAD = 20  # so many are never too many
BUFFER_BYTES = 512 << 20  # the most that waits in the shuffle buffer


class Reader(Protocol):
    """One form of data sets."""

    @property
    def format(self) -> str: ...

    def describe(self) -> str: ...

    def entries(self, part: Part) -> Iterator[Entry]: ...


class FileReader(Reader, Protocol):
    """A form whose files can be compared with those of an earlier time."""

    def file_facts(self) -> Iterator[FileFacts]: ...


@dataclass
class Source:
    """A data set. Each `for item in source` reads it once from the start, in the same order.

    While it is read: `seen` counts samples, `bad_count` those left out, `progress` is the share
    read. `bad` names the first ones left out: (origin, reason).
    """

    address: str
    reader: Reader
    part: Part
    side: int = 0
    shuffle: int = 0
    max_bad_share: float = 0.1
    bad: list[tuple[str, str]] = field(default_factory=list)
    bad_count: int = 0
    seen: int = 0
    progress: float = 0.0

    @property
    def format(self) -> str:
        """What the data set was recognized as."""
        return self.reader.format

    def describe(self) -> str:
        """The address, the format and what was found, in one line."""
        return f"{self.address}: {self.reader.describe()}"

    def file_facts(self) -> Iterator[FileFacts]:
        """What is known of every file without reading it; tells whether the data set has changed.

        UserError if a file can't be reached.
        """
        try:
            yield from cast(FileReader, self.reader).file_facts()
        except OSError as error:
            raise UserError(f"{self.address} can't be read: {error.strerror}") from error

    def __iter__(self) -> Iterator[Item]:
        """The items. UserError when too many samples are bad, or none is good."""
        self.bad, self.bad_count, self.seen, self.progress = [], 0, 0, 0.0
        entries = self.reader.entries(self.part)
        if self.shuffle:
            entries = shuffled(
                entries, self.shuffle, Random(f"{self.part.seed} {self.part.worker}")
            )
        for entry in entries:
            self.seen += 1
            self.progress = entry.progress
            try:
                yield self._item(entry)
            except (ValueError, OSError, MemoryError) as error:
                self._leave_out(entry, error)
        if self.bad_count == self.seen and (self.seen or self.part.workers == 1):
            raise UserError(f"{self.describe()}: none can be used{self._reasons()}")

    def _item(self, entry: Entry) -> Item:
        data, words = entry.load()
        image = decode(data, self.side)
        split = words.split or default_split(entry.key)
        return Item(
            entry.key, image, words.captions, words.label, words.style, split, entry.origin,
            words.record,
        )  # fmt: skip

    def _leave_out(self, entry: Entry, error: Exception) -> None:
        self.bad_count += 1
        if len(self.bad) < MAX_NAMED:
            reason = clean_text(str(error))[:MAX_REASON] or type(error).__name__
            self.bad.append((entry.origin, reason))
        if self.bad_count > max(FEW_BAD, self.max_bad_share * self.seen):
            raise UserError(
                f"{self.bad_count} of the first {self.seen} samples can't be used"
                f"{self._reasons()}: mend them, or see `undiffuse data check`"
            )

    def _reasons(self) -> str:
        return "".join(f"; {origin}: {reason}" for origin, reason in self.bad[:2])


def open_source(
    address: str | Path,
    *,
    side: int = 0,
    shuffle: int = 0,
    seed: int = 0,
    worker: int = 0,
    workers: int = 1,
    max_bad_share: float = 0.1,
) -> Source:
    """The data set at a path or an address, in whatever form it is; nothing is decoded yet.

    side: pixels of a side that are needed, see `decode`; `fit` brings items to one size.
    shuffle: how many samples wait in the buffer that shuffles them, 0 for the data set's own order;
        `seed` fixes the order. Files of a folder and shards are shuffled as a whole before.
    worker, workers: read one of so many disjoint parts.
    max_bad_share: the share of samples that may be bad; the first 20 always may.

    UserError when there is nothing there, or nothing that is known.
    """
    if not 0 <= worker < workers:
        raise UserError(f"worker {worker} of {workers}: workers are numbered from 0")
    part = Part(worker, workers, seed if shuffle else None)
    return Source(str(address), find_reader(str(address)), part, side, shuffle, max_bad_share)


def find_reader(address: str) -> FileReader:
    """The reader of the form that the data set has. UserError if it has none that is known."""
    path = Path(address)
    if is_remote(address) or address.endswith(ARCHIVES):
        return ShardReader(find_shards(address))
    if not path.exists():
        if any(mark in address for mark in "{*"):
            return ShardReader(find_shards(address))
        raise UserError(f"{address} does not exist: give a folder, a file or an address of shards")
    if path.is_dir():
        return _in_folder(path)
    if path.suffix.lower() == ".zip":
        return _in_tree(ZipTree(path), address)
    if path.suffix.lower() == ".parquet" and (reader := parquet_dataset(path.parent, [path])):
        return reader
    if path.suffix.lower() in TABLES:
        return TableReader(FolderTree(path.parent), [path.name])
    raise UserError(
        f"{address} is no data set: give a folder, .tar, .zip, .csv, .jsonl or .parquet"
    )


def _in_folder(path: Path) -> FileReader:
    if saved := saved_dataset(path):
        return saved
    tree = FolderTree(path)
    try:
        names = tree.names
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    if any(name.endswith(ARCHIVES) and name.count("/") < 2 for name in names):
        return ShardReader(find_shards(str(path)))
    tables = [path / name for name in names if name.endswith(".parquet")]
    if tables and (reader := parquet_dataset(path, tables)):
        return reader
    return _in_tree(tree, str(path))


def _in_tree(tree: Tree, address: str) -> FileReader:
    if tables := find_tables(tree):
        return TableReader(tree, tables)
    reader = FolderReader(tree)
    if not reader.pictures:
        raise UserError(
            f"{address} holds no pictures: {len(tree.names)} files, and none is a picture, a "
            ".tar shard or a table of file names"
        )
    return reader


def shuffled(entries: Iterator[Entry], count: int, random: Random) -> Iterator[Entry]:
    """The entries in an order by `random`, of which about `count` wait in memory at a time."""
    buffer: list[Entry] = []
    held = 0
    for entry in entries:
        buffer.append(entry)
        held += entry.size
        while len(buffer) > count or held > BUFFER_BYTES:
            taken = _take_any(buffer, random)
            held -= taken.size
            yield taken
    while buffer:
        yield _take_any(buffer, random)


def _take_any(buffer: list[Entry], random: Random) -> Entry:
    place = int(random.random() * len(buffer))
    buffer[place], buffer[-1] = buffer[-1], buffer[place]
    return buffer.pop()
