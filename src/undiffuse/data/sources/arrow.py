"""Pictures inside Arrow and Parquet files: a `datasets` data set saved to disk, or downloaded."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from undiffuse.data.sources.columns import COLUMNS, known, parse_object, plain, read_words
from undiffuse.data.sources.item import SPLITS, Entry, FileFacts, Part, Words, failing, printable
from undiffuse.data.sources.tree import FolderTree, read_file
from undiffuse.errors import UserError


def pyarrow() -> Any:
    """The library. UserError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("Arrow and Parquet need pyarrow: pip install 'undiffuse[data]'") from error
    return pyarrow


def open_parquet(file: BinaryIO) -> Any:
    """A Parquet file. ValueError if it is broken."""
    library = pyarrow()
    try:
        return library.parquet.ParquetFile(file)
    except (library.ArrowException, OSError) as error:
        raise ValueError(f"no Parquet file that can be read: {error}") from None


def image_column(schema: Any) -> str:
    """The column that holds pictures as bytes, or as {bytes, path}; "" if none does."""
    types = pyarrow().types

    def is_picture(field: Any) -> bool:
        if types.is_struct(field.type):
            return field.type.get_field_index("bytes") >= 0
        is_bytes = types.is_binary(field.type) or types.is_large_binary(field.type)
        return is_bytes and plain(field.name) in COLUMNS["image"]

    return next((field.name for field in schema if is_picture(field)), "")


def class_names(schema: Any) -> dict[str, list[str]]:
    """Column -> the names of its numbered labels, as `datasets` notes them in a file's schema."""
    try:
        noted = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: [str(label) for label in feature["names"]]
                for name, feature in noted.items() if "names" in feature}  # fmt: skip
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


@dataclass(frozen=True)
class ArrowReader:
    """Files of rows that hold pictures. `files`: (split, path), in the order of the rows."""

    format: str
    root: Path
    files: list[tuple[str, Path]]

    def describe(self) -> str:
        """The format and what was found, in one line."""
        splits = ", ".join(dict.fromkeys(split for split, _ in self.files if split))
        return f"{self.format}: {len(self.files)} files" + (f", splits {splits}" if splits else "")

    def file_facts(self) -> Iterator[FileFacts]:
        for _, path in self.files:
            found = path.stat()
            yield path.relative_to(self.root).as_posix(), found.st_size, found.st_mtime_ns

    def entries(self, part: Part) -> Iterator[Entry]:
        """The part's rows, in order."""
        several = len({split for split, _ in self.files}) > 1
        for number, (split, path) in enumerate(self.files):
            name = printable(path.relative_to(self.root).as_posix())
            split = SPLITS.get(split, split) if several else ""
            try:
                with path.open("rb") as file:
                    for row, share, data, words in _rows(file, path, part):
                        yield Entry(
                            f"{name}/{row:06d}",
                            f"{printable(str(path))}, row {row}",
                            partial(_load, data, words._replace(split=words.split or split)),
                            (number + share) / len(self.files),
                            len(data or b""),
                        )
            except (pyarrow().ArrowException, OSError, ValueError) as error:
                progress = (number + 1) / len(self.files)
                yield Entry(name, printable(str(path)), failing(str(error)), progress)


def _load(data: bytes | None, words: Words) -> tuple[bytes, Words]:
    if data is None:
        raise ValueError("the row holds no picture, only its path at most")
    return data, words


def _rows(
    file: BinaryIO, path: Path, part: Part
) -> Iterator[tuple[int, float, bytes | None, Words]]:
    """Number, share of the file read, picture's file and words of each of the part's rows."""
    schema, batches = (_parquet if path.suffix == ".parquet" else _arrow)(file)
    picture = image_column(schema)
    if not picture:
        raise ValueError("no column holds pictures")
    columns = list(dict.fromkeys([picture, *known(schema.names)]))
    classes = class_names(schema)
    places = ((share, batch, k) for share, batch in batches for k in range(batch.num_rows))
    for row, (share, batch, k) in part.share(enumerate(places)):
        (record,) = batch.select(columns).slice(k, 1).to_pylist()
        value = record.pop(picture)
        data = value.get("bytes") if isinstance(value, dict) else value
        yield row, share, data, read_words(record, classes)


Batches = tuple[Any, Iterator[tuple[float, Any]]]  # the schema; share of the file read, and rows


def _parquet(file: BinaryIO) -> Batches:
    table = open_parquet(file)
    schema = table.schema_arrow
    columns = list(dict.fromkeys([image_column(schema), *known(schema.names)]))

    def batches() -> Iterator[tuple[float, Any]]:
        read = 0
        for batch in table.iter_batches(batch_size=16, columns=columns):
            read += batch.num_rows
            yield read / table.metadata.num_rows, batch

    return schema, batches()


def _arrow(file: BinaryIO) -> Batches:
    mapped = pyarrow().memory_map(file.name)
    stream = pyarrow().ipc.open_stream(mapped)

    def batches() -> Iterator[tuple[float, Any]]:
        for batch in stream:
            batch.validate(full=True)
            yield mapped.tell() / mapped.size(), batch

    return stream.schema, batches()


def saved_dataset(root: Path) -> ArrowReader | None:
    """What `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote, if it did."""
    splits = [""]
    if (root / "dataset_dict.json").is_file():
        splits = _parse(root, "dataset_dict.json").get("splits", [])
    elif not (root / "state.json").is_file():
        return None
    files = []
    for split in splits:
        folder = root / _plain_name(split)
        listed = _parse(folder, "state.json").get("_data_files", [])
        files += [(split, folder / _plain_name(file["filename"])) for file in listed]
    if not files:
        raise UserError(f"{root} is a saved data set that lists no data: save it again")
    return ArrowReader("datasets", root, files)


def _parse(folder: Path, name: str) -> dict[str, Any]:
    try:
        return parse_object(read_file(FolderTree(folder), name, 1 << 20))
    except ValueError as error:
        raise UserError(f"{folder / name}: {error}: save the data set again") from None


def _plain_name(name: Any) -> str:
    if (isinstance(name, str) and Path(name).name == name) or name == "":
        return name
    raise UserError(f"a saved data set names {name!r}, which is no file of its own folder")


def parquet_dataset(root: Path, paths: list[Path]) -> ArrowReader | None:
    """Parquet files with pictures in them, if they are that: split-00000-of-00002.parquet."""
    try:
        with paths[0].open("rb") as file:
            if not image_column(open_parquet(file).schema_arrow):
                return None
    except (ValueError, OSError):
        return None
    files = [(path.name.split("-")[0].removesuffix(".parquet"), path) for path in paths]
    known_splits = all(split in SPLITS for split, _ in files)
    return ArrowReader(
        "Parquet with pictures",
        root,
        [(split if known_splits else "", path) for split, path in files],
    )
