"""Hugging Face's ImageFolder: file names and captions in CSV, JSON Lines or Parquet."""

import csv
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from io import TextIOWrapper
from itertools import groupby, islice
from typing import Any, BinaryIO

from undiffuse.data.sources.arrow import open_parquet
from undiffuse.data.sources.columns import (
    MAX_CAPTIONS,
    column,
    known,
    parse_object,
    read_words,
)
from undiffuse.data.sources.decode import ENDINGS as PICTURES
from undiffuse.data.sources.item import MAX_TEXT, SPLITS, Entry, FileFacts, Part, Words, printable
from undiffuse.data.sources.tree import Tree, file_facts, read_file
from undiffuse.errors import UserError
from undiffuse.imaging.read import MAX_FILE

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
Row = tuple[int, dict[str, Any] | str]  # the line, and its fields or what is wrong with it


def read_rows(tree: Tree, name: str) -> Iterator[Row]:
    """The rows of a table, one after another. ValueError or OSError when it can't be opened."""
    with tree.open(name) as file:
        if name.lower().endswith(".parquet"):
            yield from _parquet_rows(file)
        elif name.lower().endswith(("jsonl", "ndjson")):
            yield from _json_rows(file)
        else:
            yield from _csv_rows(file, "\t" if name.lower().endswith(".tsv") else "")


def _lines(file: BinaryIO) -> Iterator[str]:
    """Lines of bounded length, whatever the encoding is."""
    start = file.read(MAX_TEXT)
    file.seek(0)
    encoding = "utf-8-sig"
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif "\ufffd" in start[:-4].decode("utf-8", "replace"):
        encoding = "cp1252"
    with TextIOWrapper(file, encoding, errors="replace", newline="") as text:
        yield from iter(lambda: text.readline(MAX_TEXT), "")


def _json_rows(file: BinaryIO) -> Iterator[Row]:
    number, whole = 0, True
    for line in _lines(file):
        starts, whole = whole, line.endswith(("\n", "\r"))
        number += starts
        if not starts or not line.strip():
            continue
        try:
            yield number, parse_object(line)
        except ValueError as error:
            yield number, str(error)


def _csv_rows(file: BinaryIO, delimiter: str) -> Iterator[Row]:
    stream = _lines(file)
    header = next(stream, "")
    delimiter = delimiter or max(",;\t|", key=header.count)
    reader = csv.reader(stream, delimiter=delimiter)
    (names,) = [*csv.reader([header], delimiter=delimiter)] or [[]]
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield reader.line_num + 1, f"no CSV: {error}"
            continue
        if cells is None:
            return
        if any(cells):
            yield reader.line_num + 1, dict(zip(names, cells, strict=False))


def _parquet_rows(file: BinaryIO) -> Iterator[Row]:
    table = open_parquet(file)
    number = 0
    for batch in table.iter_batches(batch_size=256, columns=known(table.schema_arrow.names)):
        for record in batch.to_pylist():
            number += 1
            yield number, record


def find_tables(tree: Tree) -> list[str]:
    """The tables that name pictures: metadata.* at the root and in its folders, else the only one.

    Only tables with a column of file names count.
    """
    shallow = [name for name in tree.names if name.count("/") < 2]
    tables = [name for name in shallow if name.lower().endswith(ENDINGS)]
    named = [name for name in tables if posixpath.basename(name).lower().startswith("metadata.")]
    if not named and len(at_root := [name for name in tables if "/" not in name]) == 1:
        named = at_root
    return [name for name in named if _names_files(tree, name)]


def _names_files(tree: Tree, name: str) -> bool:
    try:
        first = next((row for _, row in read_rows(tree, name) if isinstance(row, dict)), {})
    except UserError:
        raise
    except (ValueError, OSError):
        return False
    cell = first.get(column(list(first), "file"))
    return isinstance(cell, str)


@dataclass(frozen=True)
class TableReader:
    """Pictures that tables name, each relative to the table's folder."""

    tree: Tree
    tables: list[str]

    format = "ImageFolder"

    def describe(self) -> str:
        """The format and what was found, in one line."""
        return f"{self.format}: pictures named by {', '.join(self.tables)}"

    @cached_property
    def _split_of(self) -> dict[str, str]:
        """The table -> the split that its folder names, if there are different ones."""
        found = {table: SPLITS.get(table.partition("/")[0].lower(), "") for table in self.tables}
        return found if len(set(found.values())) > 1 else {}

    def file_facts(self) -> Iterator[FileFacts]:
        """Of the tables, and of all pictures in the folder."""
        pictures = (name for name in self.tree.names if name.lower().endswith(tuple(PICTURES)))
        return file_facts(self.tree, sorted({*self.tables, *pictures}))

    def entries(self, part: Part) -> Iterator[Entry]:
        """The part's pictures in the order of the tables; neighboring rows of one file are one."""
        return part.share(self._entries())

    def _entries(self) -> Iterator[Entry]:
        total = len(self.tree.names)
        seen = set[int]()
        for number, (table, place, rows) in enumerate(self._groups(), 1):
            line = rows[0][0]
            key = printable(place) if place else f"{table}:{line}"
            if hash(key) in seen:
                key = f"{key}:{line}"
            seen.add(hash(key))
            load = partial(self._load, table, place, [row for _, row in rows])
            origin = f"{self.tree.where(table)}:{line}"
            yield Entry(key, origin, load, min(1.0, number / total))

    def _groups(self) -> Iterator[tuple[str, str, list[Row]]]:
        """Table, path of the picture ("" if a row names none), and its rows."""
        for table in self.tables:
            for place, rows in groupby(read_rows(self.tree, table), partial(self._place, table)):
                if place:
                    yield table, place, list(islice(rows, MAX_CAPTIONS))
                else:
                    yield from ((table, "", [row]) for row in rows)

    def _place(self, table: str, row: Row) -> str:
        try:
            return picture_path(table, row[1])
        except ValueError:
            return ""

    def _load(
        self, table: str, place: str, rows: list[dict[str, Any] | str]
    ) -> tuple[bytes, Words]:
        place = place or picture_path(table, rows[0])  # again, for its error
        said = [read_words(row) for row in rows if isinstance(row, dict)]
        captions = dict.fromkeys(caption for words in said for caption in words.captions)
        split = said[0].split or self._split_of.get(table, "")
        words = said[0]._replace(captions=list(captions), split=split)
        return read_file(self.tree, place, MAX_FILE), words


def picture_path(table: str, row: dict[str, Any] | str) -> str:
    """The path from the root of the picture that a row names. ValueError if it leaves the root."""
    if isinstance(row, str):
        raise ValueError(row)
    name = column(list(row), "file")
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"the row has no {name or 'file_name'}")
    value = value.strip().replace("\\", "/")
    if "://" in value:
        raise ValueError(f"{printable(value):.200} is an address: only files are read")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(table), value))
    if path.startswith(("/", "..")) or "\0" in path or re.match("[A-Za-z]:", value):
        raise ValueError(f"{printable(value):.200} leaves the data set's folder")
    return path
