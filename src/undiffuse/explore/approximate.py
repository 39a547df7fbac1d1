"""An approximate index of very many vectors: HNSW (Malkov and Yashunin 2016, arXiv 1603.09320) by
the library usearch, built once and kept beside the vectors.

usearch maps the file and follows the offsets in it, so a file from elsewhere, or a damaged one,
could crash the process or worse. A record in the user's own cache says which files were built here;
any other file is built again, never read.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.storage import StorageFolder

Chunks = Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]


@dataclass(frozen=True)
class IndexFile:
    """The index `name` in a folder, of the vectors whose manifest has this digest.

    cache  the folder for the record; without one, the index is not kept.
    """

    folder: StorageFolder
    name: str
    digest: str
    cache: Path | None
    say: Callable[[str], None]

    def open(self, dim: int, count: int, chunks: Chunks) -> Any:
        """The index of `count` vectors (D,) by their row numbers, read or built from `chunks`.

        None where usearch is not installed.
        """
        try:
            from usearch.index import Index
        except ImportError:
            self.say(f"comparing {count} vectors one by one: pip install 'undiffuse[search]' for "
                     "an approximate index")  # fmt: skip
            return None
        if (place := self._trusted()) is not None:
            index = Index.restore(place, view=isinstance(place, Path))
            if index is not None and (index.ndim, len(index)) == (dim, count):
                return index
        self.say(f"building an approximate index of {count} vectors, once")
        index = Index(ndim=dim, metric="ip", dtype="f16")
        for rows, vectors in chunks:
            if len(rows):
                index.add(rows, vectors)
        if self.cache is not None:
            try:
                self._save(index)
            except (UserError, OSError) as error:
                self.say(f"the index can't be kept: {error}")
        return index

    @property
    def _record(self) -> Path | None:
        where = sha256(self.folder.where(self.name).encode()).hexdigest()[:16]
        return self.cache and self.cache / f"index-{where}.json"

    def _trusted(self) -> Path | bytes | None:
        """The index's file, or what it holds, if it is what was built here."""
        sizes = self.folder.sizes()
        if self._record is None or not self._record.is_file() or self.name not in sizes:
            return None
        local = self.folder.local
        place = local / self.name if local else self.folder.read(self.name, sizes[self.name])
        try:
            known = json.loads(self._record.read_text())
        except ValueError:
            return None
        return place if known == [self.digest, _stamp(place)] else None

    def _save(self, index: Any) -> None:
        """Write the index, then the record of it."""
        local = self.folder.local
        place: Path | bytes
        if local is None:
            place = bytes(index.save())
            self.folder.write(self.name, place)
        else:
            place, partial = local / self.name, local / f".{self.name}.{os.getpid()}"
            try:
                index.save(str(partial))
                os.replace(partial, place)
            finally:
                partial.unlink(missing_ok=True)
        record = self._record
        assert record is not None
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(record, json.dumps([self.digest, _stamp(place)]).encode())


def _stamp(place: Path | bytes) -> str:
    """Changes with the file."""
    if isinstance(place, bytes):
        return sha256(place).hexdigest()
    stat = place.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"
