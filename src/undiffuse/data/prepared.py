"""A data set of any format, decoded and resized once, then read through memory mapping.

The folder holds `images.npy` (N, C, S, S) uint8, `records.jsonl` and `prepared.json`. Training
draws random rows from it: they are the same in every run, and none of it has to fit in memory.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.sources import Item, Source, fit
from undiffuse.errors import UserError

MAX_IMAGES = 5_000_000
Fit = Literal["pad", "crop"]


def prepare(
    source: Source, folder: Path, *, size: int, channels: int, style: str = "",
    fit_mode: Fit = "pad", say: Callable[[str], None] = lambda line: None,
) -> PictureSet:  # fmt: skip
    """The data set of `source` at `size` pixels: read from `folder`, or decoded and kept there.

    channels  3: RGB on white; 4: RGB premultiplied by alpha, and alpha.
    style     the style of items that name none.
    UserError if no item has both an image and a caption, or `folder` holds another data set.
    """
    settings = {"source": source.describe(), "size": size, "channels": channels, "style": style,
                "fit": fit_mode}  # fmt: skip
    if (folder / "prepared.json").exists():
        found = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
        if found["settings"] != settings:
            raise UserError(f"{folder} holds another data set, {found['settings']['source']}: "
                            "use another output folder")  # fmt: skip
        return _open(folder)
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        count = _decode(source, partial, size, channels, style, fit_mode, say)
        if count == 0:
            raise UserError(f"{source.describe()}: no image has a caption, a label or a file name "
                            "that can serve as one; run `undiffuse data check`")  # fmt: skip
        (partial / "prepared.json").write_text(json.dumps({"settings": settings, "count": count}))
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _open(folder)


def _decode(
    source: Source, folder: Path, size: int, channels: int, style: str, fit_mode: Fit,
    say: Callable[[str], None],
) -> int:  # fmt: skip
    # The number of items is not known before the end: rows are appended to a raw file, which is
    # given its .npy header last.
    count = 0
    with (
        (folder / "images.raw").open("wb") as images,
        (folder / "records.jsonl").open("w", encoding="utf-8") as records,
    ):
        for item in source:
            if not (item.captions or item.label):
                continue
            images.write(encode_channels(fit(item.image, size, fit_mode), channels).tobytes())
            records.write(json.dumps(item_record(item, style)) + "\n")
            count += 1
            if count % 1000 == 0:
                say(f"prepared {count} images")
            if count > MAX_IMAGES:
                raise UserError(f"more than {MAX_IMAGES} images: train on a part of them")
    if count:
        array = open_memmap(folder / "images.npy", "w+", np.uint8, (count, channels, size, size))
        raw = np.memmap(folder / "images.raw", np.uint8, "r", shape=array.shape)
        for start in range(0, count, 1024):
            array[start : start + 1024] = raw[start : start + 1024]
        array.flush()
        del raw
    (folder / "images.raw").unlink()
    return count


def _open(folder: Path) -> PictureSet:
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    images = np.load(folder / "images.npy", mmap_mode="r")
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
    captions = [" ".join(text.split()) for text in item.captions if text.strip()]
    name = captions[0] if captions else item.label
    return {
        "key": item.key, "name": name, "captions": captions or [item.label], "keywords": [],
        "label": item.label, "family": item.style or style, "concept": name.lower(),
        "group": "", "subgroup": "", "tone": "", "colour": "", "split": item.split or "train",
    }  # fmt: skip
