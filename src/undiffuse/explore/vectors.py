"""CLIP vectors in Parquet files, as `undiffuse embed` writes them, and the search in them.

    open_vectors("vectors").search(vector, 10)

A folder holds part-*.parquet and `_manifest.json`, which lists them. A row is a key, a unit vector
as fixed_size_list<float32>, the kind ("image" or "text"), and the hash of the CLIP that made it.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.explore.approximate import IndexFile
from undiffuse.explore.index import Hit
from undiffuse.imaging.storage import StorageFolder, absolute_address

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
KINDS = ("image", "text")
JOB, MANIFEST = "_job.json", "_manifest.json"  # what is being done; what is complete
EXACT_BELOW = 1_000_000  # vectors; from here on an approximate index answers
GROUP = 1000  # rows that are stored together: 2 MB at 512 dimensions, read for one hit
_MAX_MANIFEST, _MAX_GROUP = 1 << 28, 1 << 30  # bytes
_MAX_DIM = 1 << 14


def pyarrow() -> Any:
    """The library, with its reader of Parquet. UserError where it is not installed."""
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("Parquet needs pyarrow: pip install 'undiffuse[bulk]'") from error
    return pyarrow


def encode_vectors(rows: Mapping[str, tuple[Sequence[str], Floats]], model: str) -> bytes:
    """A Parquet file: for each kind the keys and their vectors (N, D), made by the CLIP `model`.

    The same rows give the same bytes under one version of pyarrow.
    """
    arrow = pyarrow()
    keys = [key for names, _ in rows.values() for key in names]
    vectors = np.concatenate([vectors for _, vectors in rows.values()])
    kinds = [kind for kind, (names, _) in rows.items() for _ in names]
    flat = arrow.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    columns = {
        "key": arrow.array(keys, arrow.string()),
        "vector": arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        "kind": arrow.array(kinds, arrow.string()),
        "model": arrow.array([model] * len(keys), arrow.string()),
    }
    file = BytesIO()
    arrow.parquet.write_table(
        arrow.table(columns), file, row_group_size=GROUP, use_dictionary=["kind", "model"],
        compression={"key": "zstd", "kind": "zstd", "model": "zstd", "vector": "none"},
    )  # fmt: skip
    return file.getvalue()


@dataclass(frozen=True)
class VectorPart:
    """One of the Parquet files: its name, and how many rows of any kind it has."""

    name: str
    rows: int


@dataclass(frozen=True)
class VectorFolder:
    """The vectors of one kind in a folder; `open_vectors` makes one.

    Below `exact_below` vectors a search compares all of them. From there on it asks an approximate
    index (`explore.approximate`) and compares what that finds exactly.
    """

    folder: StorageFolder
    model: str  # hash of the CLIP
    dim: int
    kind: str
    count: int  # vectors of the kind
    parts: list[VectorPart]
    digest: str  # of the manifest
    cache: Path | None = None
    exact_below: int = EXACT_BELOW
    say: Callable[[str], None] = lambda line: None

    def search(self, vector: Floats, count: int = 10) -> list[Hit]:
        """The nearest vectors to a unit vector (D,), nearest first; `path` of a hit is its key."""
        if vector.shape != (self.dim,):
            raise UserError(f"the vector has shape {vector.shape}: give ({self.dim},)")
        rows, cosines = self._nearest(vector, count)
        order = np.lexsort((rows, -cosines))[:count]
        return [Hit(self._key(int(rows[k])), float(cosines[k])) for k in order]

    def _nearest(self, vector: Floats, count: int) -> tuple[Rows, Floats]:
        """Rows and cosines of the nearest vectors, in no order; some more of them may be there."""
        if self.count >= self.exact_below and (index := self._index) is not None:
            near = np.array(index.search(vector, 2 * count).keys, np.int64)
            cosines = [float(self._cell(int(row), "vector") @ vector) for row in near]
            return near, np.array(cosines, np.float32)
        found: list[tuple[Rows, Floats]] = []
        for rows, vectors in self._held if self.count < self.exact_below else self._chunks():
            scores = vectors @ vector
            best = np.argsort(-scores, kind="stable")[:count]
            found.append((rows[best], scores[best]))
        return np.concatenate([r for r, _ in found]), np.concatenate([c for _, c in found])

    @cached_property
    def _held(self) -> list[tuple[Rows, Floats]]:
        return list(self._chunks())

    def _chunks(self) -> Iterator[tuple[Rows, Floats]]:
        """Row numbers and vectors (n, D) of the kind, a row group at a time."""
        for part, start in zip(self.parts, self._starts, strict=False):
            with self._open(part) as file:
                first = start
                for number in range(file.num_row_groups):
                    group = self._read(file, number, ["vector", "kind"])
                    chosen = pyarrow().compute.equal(group["kind"], self.kind).to_numpy()
                    rows = np.arange(first, first + len(chosen))[chosen]
                    first += len(chosen)
                    yield rows, self._vectors(group)[chosen]

    @cached_property
    def _starts(self) -> list[int]:
        """The number of each part's first row, and the number of all rows."""
        return [0, *accumulate(part.rows for part in self.parts)]

    @contextmanager
    def _open(self, part: VectorPart) -> Iterator[Any]:
        """A part's file, once its columns and its size are what the manifest says."""
        arrow = pyarrow()
        where = self.folder.where(part.name)
        try:
            with self.folder.open(part.name) as raw:
                file = arrow.parquet.ParquetFile(raw)
                kind = file.schema_arrow.field("vector").type
                if kind != arrow.list_(arrow.float32(), self.dim):
                    raise ValueError(f"its vectors are {kind}")
                if file.metadata.num_rows != part.rows:
                    raise ValueError(f"it has {file.metadata.num_rows} rows, not {part.rows}")
                yield file
        except UserError:
            raise
        except (arrow.ArrowException, OSError, LookupError, ValueError) as error:
            raise UserError(f"{where} is broken: {error}: delete it and embed again") from error

    def _read(self, file: Any, group: int, columns: list[str]) -> Any:
        """Columns of a row group, whose size is checked before."""
        about = file.metadata.row_group(group)
        if about.total_byte_size > _MAX_GROUP or about.num_rows * self.dim * 4 > _MAX_GROUP:
            raise ValueError(f"row group {group} is too large")
        return file.read_row_group(group, columns=columns)

    def _vectors(self, group: Any) -> Floats:
        column = group["vector"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        if column.null_count or not np.isfinite(flat).all():
            raise ValueError("a vector is missing, or is not finite")
        return np.asarray(flat, np.float32).reshape(-1, self.dim)

    def _cell(self, row: int, column: str) -> Any:
        """A row's vector (D,), or its key."""
        number = bisect_right(self._starts, row) - 1
        with self._open(self.parts[number]) as file:
            place = row - self._starts[number]
            for group in range(file.num_row_groups):
                if place < (size := file.metadata.row_group(group).num_rows):
                    found = self._read(file, group, [column])
                    if column == "vector":
                        return self._vectors(found)[place]
                    return str(found[column][place].as_py())
                place -= size
            raise ValueError(f"there is no row {row}")

    def _key(self, row: int) -> str:
        key: str = self._cell(row, "key")
        return key

    @cached_property
    def _index(self) -> Any:
        file = IndexFile(
            self.folder, f"_index-{self.kind}.usearch", self.digest, self.cache, self.say
        )
        return file.open(self.dim, self.count, self._chunks())


def is_vectors(address: str | Path) -> bool:
    """Whether `undiffuse embed` wrote there, or it is an address: folders of pictures are local."""
    place = absolute_address(address)
    return "://" in place or any(Path(place, name).is_file() for name in (JOB, MANIFEST))


def open_vectors(
    address: str | Path,
    *,
    model: str = "",
    kind: str = "",
    cache: Path | None = None,
    exact_below: int = EXACT_BELOW,
    say: Callable[[str], None] = lambda line: None,
) -> VectorFolder:
    """The vectors that `undiffuse embed` wrote to a folder or an address.

    model  hash of the CLIP that queries come from; "" for any.
    kind   "image" or "text"; if not given, images where there are any.
    cache  the user's folder for what can be made again; without it no approximate index is kept.
    UserError if they are not complete, or were made by another CLIP.
    """
    folder = StorageFolder(absolute_address(address))
    files = folder.sizes()
    if MANIFEST not in files:
        raise UserError(
            f"{folder.address} has no {MANIFEST}: run the same `undiffuse embed` to its end"
        )
    text = folder.read(MANIFEST, _MAX_MANIFEST)
    try:
        about = json.loads(text)
        settings, rows = about["settings"], {k: int(about["rows"].get(k, 0)) for k in KINDS}
        found, dim = str(settings["model"]), int(settings["dim"])
        parts = [VectorPart(str(p["name"]), sum(map(int, p["rows"].values())))
                 for p in about["parts"]]  # fmt: skip
        if not 0 < dim <= _MAX_DIM or not {part.name for part in parts} <= files.keys():
            raise ValueError("parts are missing")
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        said = f"{folder.address}: {MANIFEST} is broken, or a part that it lists is missing"
        raise UserError(f"{said}: run `undiffuse embed` again") from error
    if model and model != found:
        raise UserError(
            f"{folder.address} holds vectors of the CLIP {found}, and the query is of {model}: "
            "choose the CLIP by --model or --clip"
        )
    kind = kind or next((one for one in KINDS if rows[one]), "image")
    if not rows[kind]:
        raise UserError(f"{folder.address} holds no vectors of kind {kind}")
    digest = sha256(text).hexdigest()
    return VectorFolder(
        folder, found, dim, kind, rows[kind], parts, digest, cache, exact_below, say
    )
