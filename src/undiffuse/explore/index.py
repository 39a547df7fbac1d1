"""A folder's pictures by their CLIP vectors: built once, brought up to date, searched by a product.

Kept beside the pictures as safetensors: one vector a file, and the size and time that it had.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.config import EMBED
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.read import find_images
from undiffuse.runtime.networks import Encoder

NAME = ".undiffuse-index.safetensors"
BATCH, SAVE_EVERY = 64, 2048  # pictures
Stamp = tuple[int, int]  # bytes, nanoseconds
Progress = Callable[[Iterable[Any], int], Iterable[Any]]


def _none(dim: int) -> NDArray[np.float32]:
    return np.zeros((0, dim), np.float32)


@dataclass(frozen=True)
class Hit:
    """A picture that was found: its path from the folder, and the cosine."""

    path: str
    cosine: float


@dataclass
class Index:
    """Unit vectors `(N, D)` of the pictures `paths`, made by the CLIP of this hash.

    `bad`: what could not be read, and why; it is tried again once the file changes.
    """

    clip: str
    paths: list[str] = field(default_factory=list)
    stamps: list[Stamp] = field(default_factory=list)
    vectors: NDArray[np.float32] = field(default_factory=lambda: _none(EMBED))
    bad: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def search(self, vector: NDArray[np.float32], count: int = 10) -> list[Hit]:
        """The nearest pictures to a unit vector `(D,)`, nearest first; names break ties."""
        cosines = self.vectors @ vector
        order = np.lexsort((np.array(self.paths, str), -cosines))[:count]
        return [Hit(self.paths[row], float(cosines[row])) for row in order]

    def save(self, path: Path) -> None:
        """Write it whole or not at all. UserError if it can't be written."""
        from safetensors.numpy import save

        about = {"format": 1, "clip": self.clip, "dim": self.vectors.shape[1],
                 "paths": self.paths, "bad": self.bad}  # fmt: skip
        stamps = np.array(self.stamps, np.int64).reshape(-1, 2)
        tensors: dict[str, NDArray[Any]] = {"vectors": self.vectors, "stamps": stamps}
        write_atomic(path, save(tensors, metadata={"undiffuse-index": json.dumps(about)}))

    @classmethod
    def read(cls, path: Path) -> "Index":
        """From a file. UserError if it is missing, or is no index."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                about = json.loads((file.metadata() or {})["undiffuse-index"])
                vectors, stamps = file.get_tensor("vectors"), file.get_tensor("stamps")
            paths = [str(one) for one in about["paths"]]
            bad = {str(p): (int(s), int(t), str(why)) for p, (s, t, why) in about["bad"].items()}
            dim = int(about.get("dim", EMBED))  # not said by files of version 0.1
            fits = vectors.shape == (len(paths), dim) and stamps.shape == (len(paths), 2)
            if not fits or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
                raise ValueError("other shapes were expected")
            rows = [(int(size), int(time)) for size, time in stamps.tolist()]
            return cls(str(about["clip"]), paths, rows, vectors, bad)
        except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, OSError,
                RecursionError) as error:  # fmt: skip
            raise UserError(f"{path} is no index of pictures, or is broken: delete it") from error


@dataclass(frozen=True)
class Update:
    """What was done to bring an index up to date: counts, and the files that could not be read."""

    new: int
    changed: int
    removed: int
    bad: dict[str, str]


def update(
    folder: Path, encoder: Encoder, path: Path | None = None, progress: Progress | None = None
) -> tuple[Index, Update]:
    """The index of a folder as it is now; only what is new or has changed is read and encoded.

    Kept in `path`, in the folder if not given, and saved on the way: killed, it goes on from there.
    """
    path = path or folder / NAME
    empty = Index(encoder.hash, vectors=_none(encoder.dim))
    before = Index.read(path) if path.exists() else empty
    if (before.clip, before.vectors.shape[1]) != (encoder.hash, encoder.dim):
        before = empty  # another CLIP's vectors say nothing here
    found = {name: (stat.st_size, stat.st_mtime_ns) for name, stat in find_images(folder)}
    known = dict(zip(before.paths, before.stamps, strict=True))
    kept = [row for row, name in enumerate(before.paths) if found.get(name) == known[name]]
    index = Index(
        encoder.hash,
        [before.paths[row] for row in kept],
        [before.stamps[row] for row in kept],
        before.vectors[kept],
        {name: row for name, row in before.bad.items() if found.get(name) == row[:2]},
    )
    fresh = set(index.paths) | index.bad.keys()
    wanted = [name for name in found if name not in fresh]
    if wanted or len(kept) < len(before.paths) or index.bad != before.bad:
        _encode(index, folder, wanted, found, encoder, path, progress)
    old = known.keys() | before.bad.keys()
    changed = sum(name in old for name in wanted)
    removed = sum(name not in found for name in old)
    bad = {name: reason for name, (_, _, reason) in sorted(index.bad.items())}
    return index, Update(len(wanted) - changed, changed, removed, bad)


def _encode(
    index: Index,
    folder: Path,
    wanted: list[str],
    found: dict[str, Stamp],
    encoder: Encoder,
    path: Path,
    progress: Progress | None,
) -> None:
    """Add the wanted files to the index, a batch at a time, and save it now and then."""
    batches = [wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH)]
    unsaved = 0
    for names in progress(batches, BATCH) if progress else batches:
        pictures, good = [], []
        for name in names:
            try:
                pictures.append(encoder.read(folder / name))
                good.append(name)
            except UserError as error:
                index.bad[name] = (*found[name], str(error))
        if good:
            index.vectors = np.concatenate(
                [index.vectors, encoder.encode_image(np.stack(pictures))]
            )
            index.paths += good
            index.stamps += [found[name] for name in good]
        unsaved += len(names)
        if unsaved >= SAVE_EVERY:
            index.save(path)
            unsaved = 0
    index.save(path)
