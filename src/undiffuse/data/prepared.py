"""A data set of any format, decoded and resized once, then read through memory mapping.

The folder holds `images.npy` (N, C, S, S) uint8, `records.jsonl` and `prepared.json`. Training
draws random rows from it: they are the same in every run, and none of it has to fit in memory.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.sources import Item, Source, fit
from undiffuse.data.sources.item import FileFacts
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

MAX_IMAGES = 5_000_000
PREPARED, IMAGES, RECORDS = "prepared.json", "images.npy", "records.jsonl"
Fit = Literal["pad", "crop"]
Follow = Callable[[str, float], None]
Row = tuple[NDArray[np.uint8], dict[str, Any]]


def prepare(
    source: Source, folder: Path, *, size: int, channels: int, style: str = "",
    fit_mode: Fit = "pad", say: Callable[[str], None] = lambda line: None,
    follow: Follow = lambda what, share: None,
) -> PictureSet:  # fmt: skip
    """The data set of `source` at `size` pixels: read from `folder`, or decoded and kept there.

    channels  3: RGB on white; 4: RGB premultiplied by alpha, and alpha.
    style     the style of items that name none.
    follow    gets what is done and the share of it that is done.
    UserError if no item has both an image and a caption, `folder` holds another data set, or the
    source's files have changed since it was prepared.
    """
    settings = {"source": source.describe(), "size": size, "channels": channels, "style": style,
                "fit": fit_mode}  # fmt: skip
    found = fingerprint(source.file_facts())
    job = _Job(source, size, channels, style, fit_mode, follow)
    if (folder / PREPARED).exists():
        _check(folder, settings, found, job, say)
        return _open(folder)
    with partial_folder(folder) as partial:
        count = job.decode(partial)
        if count == 0:
            raise UserError(f"{source.describe()}: no image has a caption, a label or a file name "
                            "that can serve as one; run `undiffuse data check`")  # fmt: skip
        _write_description(partial, settings, count, found)
        partial.rename(folder)
    return _open(folder)


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder`, for what is renamed to that when it is complete.

    UserError for a folder that has files or no name of its own.
    """
    if not folder.name or (folder.is_dir() and any(folder.iterdir())):
        raise UserError(f"folder {folder} is in use: give a new one or an empty one")
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_description(
    folder: Path, settings: dict[str, Any], count: int, found: dict[str, Any]
) -> None:
    described = {"settings": settings, "count": count, "fingerprint": found}
    write_atomic(folder / PREPARED, json.dumps(described).encode())


def fingerprint(files: Iterable[FileFacts]) -> dict[str, Any]:
    """The number of files, and hashes of their names and sizes and of their times."""
    names, times, count = hashlib.sha256(), hashlib.sha256(), 0
    for name, size, modified in files:
        names.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
        times.update(f"{modified}\n".encode())
        count += 1
    return {"files": count, "names": names.hexdigest()[:32], "times": times.hexdigest()[:32]}


def _check(
    folder: Path, settings: dict[str, Any], found: dict[str, Any], job: "_Job",
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """UserError if the folder holds another data set, or the source has changed.

    If the times of files alone have changed, the data set is decoded again and compared.
    """
    known = json.loads((folder / PREPARED).read_text(encoding="utf-8"))
    before = known.get("fingerprint", found)  # folders of earlier versions have none
    address = job.source.address
    same_address = known["settings"]["source"].startswith(f"{address}: ")
    if known["settings"] != settings and not (same_address and before != found):
        raise UserError(f"{folder} holds another data set, {known['settings']['source']}: "
                        "use another output folder")  # fmt: skip
    if before == found:
        return
    changed = UserError(f"{address} has changed since it was prepared in {folder} "
                        f"({before['files']} files then, {found['files']} now): use another output "
                        "folder, or restore the files")  # fmt: skip
    if before["names"] != found["names"]:
        raise changed
    say(f"the times of files in {address} have changed: comparing their content")
    with partial_folder(folder.with_name(f"{folder.name}-again")) as partial:
        job.decode(partial)
        if not all(cmp(folder / name, partial / name, shallow=False) for name in (IMAGES, RECORDS)):
            raise changed
    _write_description(folder, known["settings"], known["count"], found)


@dataclass(frozen=True)
class _Job:
    """A source, and how its items are encoded."""

    source: Source
    size: int
    channels: int
    style: str
    fit_mode: Fit
    follow: Follow

    def decode(self, folder: Path) -> int:
        """Write the images and records of all items that have a caption; returns their number."""
        return write_rows(folder, self._rows(), (self.channels, self.size, self.size))

    def _rows(self) -> Iterator[Row]:
        for item in self.source:
            self.follow("preparing images", self.source.progress)
            if item.captions or item.label:
                image = fit(item.image, self.size, self.fit_mode)
                yield encode_channels(image, self.channels), item_record(item, self.style)


def write_rows(folder: Path, rows: Iterable[Row], shape: tuple[int, int, int]) -> int:
    """Write images `(C, S, S)` and their records; returns their number.

    UserError for more than `MAX_IMAGES`.
    """
    # The number of rows is not known before the end. The .npy header has room for any number, and
    # is written again then: the images may be too large to be copied.
    count = 0
    with (
        (folder / IMAGES).open("wb") as images,
        (folder / RECORDS).open("w", encoding="utf-8") as records,
    ):
        _write_header(images, (count, *shape))
        for image, record in rows:
            images.write(image.tobytes())
            records.write(json.dumps(record) + "\n")
            count += 1
            if count > MAX_IMAGES:
                raise UserError(f"more than {MAX_IMAGES} images: train on a part of them")
        images.seek(0)
        _write_header(images, (count, *shape))
    return count


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, described)


def is_prepared(folder: Path) -> bool:
    """Whether `prepare` wrote the folder."""
    return (folder / PREPARED).exists()


def open_prepared(folder: Path) -> PictureSet:
    """The data set in a folder that `prepare` wrote. UserError if it is broken."""
    try:
        return _open(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{folder} is broken: delete it, and prepare it again") from error


def _open(folder: Path) -> PictureSet:
    lines = (folder / RECORDS).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    images = np.load(folder / IMAGES, mmap_mode="r")
    if len(images) != len(records):
        raise UserError(f"{folder} is broken: delete it, and it is made again")
    return PictureSet(images, records, [record["key"] for record in records])


def encode_channels(rgba: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """`(S, S, 4)` straight alpha -> `(3, S, S)` on white, or `(4, S, S)` premultiplied."""
    color, alpha = rgba[..., :3].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    ground = 255 if channels == 3 else 0
    mixed = ((color * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)
    parts = mixed if channels == 3 else np.concatenate([mixed, rgba[..., 3:]], axis=-1)
    return np.ascontiguousarray(parts.transpose(2, 0, 1))


def item_record(item: Item, style: str) -> dict[str, Any]:
    """What training knows of an item, in the fields of the emoji records."""
    own = {"group": "", "subgroup": "", "tone": "", "colour": "", "keywords": [], **item.record}
    common = {
        "key": item.key, "label": item.label, "family": item.style or style,
        "split": item.split or "train",
    }  # fmt: skip
    if "concept" in own:  # captions are made of the name, the keywords and the color
        return {**own, **common}
    captions = [" ".join(text.split()) for text in item.captions if text.strip()]
    name = captions[0] if captions else item.label
    said = {"name": name, "captions": captions or [item.label], "concept": name.lower()}
    return {**own, **common, **said}
