"""An index of a folder's images by their CLIP vectors: built once, updated, searched.

Stored as safetensors: one vector per image, and the size and time its file had.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.config import EMBED_DIM
from undiffuse.errors import UserError
from undiffuse.imaging.files import check_writable, write_atomic
from undiffuse.imaging.read import find_images
from undiffuse.runtime.networks import Encoder

INDEX_FILE = ".undiffuse-index.safetensors"
BATCH = 64  # images
SAVE_EVERY = 32  # batches
Stamp = tuple[int, int]  # bytes, nanoseconds
Progress = Callable[[Sequence[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Hit:
    """An image that was found: its path in the folder, and its cosine with the query."""

    path: str
    cosine: float


@dataclass
class ImageIndex:
    """Unit vectors (N, D) of the images `paths`, from the CLIP whose hash is `clip`.

    `unreadable`: path -> size, time and the error. Such a file is read again when it changes.
    """

    clip: str
    vectors: NDArray[np.float32]
    paths: list[str] = field(default_factory=list)
    stamps: list[Stamp] = field(default_factory=list)
    unreadable: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def search(self, vector: NDArray[np.float32], count: int = 10) -> list[Hit]:
        """The images nearest to a unit vector (D,), nearest first, ties in order of path."""
        cosines = self.vectors @ vector
        order = np.lexsort((np.array(self.paths, str), -cosines))[:count]
        return [Hit(self.paths[row], float(cosines[row])) for row in order]

    def add(self, folder: Path, files: dict[str, Stamp], encoder: Encoder) -> None:
        """Encode image files and append them; an error goes into `unreadable`."""
        images = []
        for name, stamp in files.items():
            try:
                images.append(encoder.read(folder / name))
                self.paths.append(name)
                self.stamps.append(stamp)
            except UserError as error:
                self.unreadable[name] = (*stamp, str(error))
        if images:
            self.vectors = np.concatenate([self.vectors, encoder.encode_image(np.stack(images))])

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. UserError if it can't be written."""
        from safetensors.numpy import save

        about = {"format": 1, "clip": self.clip, "dim": self.vectors.shape[1],
                 "paths": self.paths, "bad": self.unreadable}  # fmt: skip
        stamps = np.array(self.stamps, np.int64).reshape(-1, 2)
        tensors: dict[str, NDArray[Any]] = {"vectors": self.vectors, "stamps": stamps}
        write_atomic(path, save(tensors, metadata={"undiffuse-index": json.dumps(about)}))

    @classmethod
    def read(cls, path: Path) -> "ImageIndex":
        """Read a file. UserError if it is missing, broken, or no index."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                about = json.loads((file.metadata() or {})["undiffuse-index"])
                vectors, stamps = file.get_tensor("vectors"), file.get_tensor("stamps")
            paths = [str(one) for one in about["paths"]]
            bad = {str(p): (int(s), int(t), str(why)) for p, (s, t, why) in about["bad"].items()}
            dim = int(about.get("dim", EMBED_DIM))  # missing in early files of version 0.1
            fits = vectors.shape == (len(paths), dim) and stamps.shape == (len(paths), 2)
            if not fits or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
                raise ValueError("unexpected shapes or values")
            rows = [(int(size), int(time)) for size, time in stamps.tolist()]
            return cls(str(about["clip"]), vectors, paths, rows, bad)
        except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, OSError,
                RecursionError) as error:  # fmt: skip
            raise UserError(f"{path} is no image index, or is broken: delete it") from error


@dataclass(frozen=True)
class IndexUpdate:
    """Counts of an update, and the files that can't be read with their errors."""

    new: int
    changed: int
    removed: int
    unreadable: dict[str, str]


def update_index(
    folder: Path, encoder: Encoder, path: Path | None = None, progress: Progress | None = None
) -> tuple[ImageIndex, IndexUpdate]:
    """Bring the index of a folder up to date: only new and changed files are read and encoded.

    It is stored in `path`, by default in the folder, and saved on the way, so that a stopped
    update continues. An index of another CLIP is replaced. UserError as `ImageIndex.read`.
    """
    path = path or folder / INDEX_FILE
    before = empty = ImageIndex(encoder.hash, np.zeros((0, encoder.dim), np.float32))
    if path.exists():
        before = ImageIndex.read(path)
    if (before.clip, before.vectors.shape[1]) != (encoder.hash, encoder.dim):
        before = empty
    found = {name: (stat.st_size, stat.st_mtime_ns) for name, stat in find_images(folder)}
    old: dict[str, Stamp] = {name: row[:2] for name, row in before.unreadable.items()}
    old |= dict(zip(before.paths, before.stamps, strict=True))
    same = {name for name, stamp in found.items() if old.get(name) == stamp}
    kept = [row for row, name in enumerate(before.paths) if name in same]
    index = ImageIndex(
        encoder.hash,
        before.vectors[kept],
        [before.paths[row] for row in kept],
        [before.stamps[row] for row in kept],
        {name: row for name, row in before.unreadable.items() if name in same},
    )
    wanted = [name for name in found if name not in same]
    if wanted or len(same) < len(old):
        check_writable(path)
        batches = [wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH)]
        for number, names in enumerate(progress(batches, BATCH) if progress else batches, 1):
            index.add(folder, {name: found[name] for name in names}, encoder)
            if number % SAVE_EVERY == 0:
                index.save(path)
        index.save(path)
    changed = sum(name in old for name in wanted)
    removed = sum(name not in found for name in old)
    unreadable = {name: reason for name, (_, _, reason) in sorted(index.unreadable.items())}
    return index, IndexUpdate(len(wanted) - changed, changed, removed, unreadable)
