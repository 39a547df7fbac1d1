"""The studio's folder: the pictures that were drawn, and the uploads. All names are generated."""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from undiffuse.errors import UserError
from undiffuse.explore.expression import parse_expression
from undiffuse.explore.index import update_index
from undiffuse.explore.space import Space
from undiffuse.imaging.files import check_folder, write_atomic
from undiffuse.imaging.png import Pixels, encode_png, read_png
from undiffuse.imaging.read import decode_image
from undiffuse.runtime.networks import Encoder
from undiffuse.studio.settings import PICTURE, check_pictures, is_upload

MAX_UPLOAD = 16 << 20  # bytes
MAX_UPLOAD_PIXELS = 24 << 20
MAX_UPLOADS = 500  # the oldest are deleted
UPLOAD_SIDE = 1024  # pixels that are kept of an upload
UPLOAD_FORMATS = ("PNG", "JPEG", "WEBP")


class NotFound(UserError):
    """There is no picture or upload of this name."""


@dataclass
class Gallery:
    """Pictures and uploads in a folder.

    `folder` is absolute. `model` is the folder of the model that draws, None for the shipped one.
    """

    folder: Path
    model: Path | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def prepare(self) -> None:
        """Make the folders. UserError if no files can be written there."""
        check_folder(self.uploads)
        try:
            self.uploads.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.uploads}: {error.strerror}") from error

    @cached_property
    def uploads(self) -> Path:
        """The folder of uploads."""
        return self.folder / "uploads"

    def add(self, data: bytes, record: dict[str, Any]) -> str:
        """Write a picture's file; returns its name without suffix. The same file is kept once."""
        digest = hashlib.sha256(data).hexdigest()[:8]
        with self.lock:
            known = [stem for stem in self._all() if stem.endswith(digest)]
            stem = known[0] if known else f"{time.strftime('%Y%m%d-%H%M%S')}-{digest}"
            self.records[stem] = record
            write_atomic(self._path(stem), data)
        return stem

    def stems(self, before: str | None = None, count: int = 60) -> Sequence[str]:
        """Names without suffix, newest first; those older than the name `before`."""
        stems = sorted(self._all(), reverse=True)
        return [stem for stem in stems if before is None or stem < before][:count]

    def record(self, stem: str) -> dict[str, Any]:
        """The record of a picture. NotFound if there is no such picture."""
        if stem not in self.records:
            if len(self.records) > 5000:
                self.records.clear()
            self.records[stem] = self.read(stem)[1]
        return self.records[stem]

    def read(self, stem: str) -> tuple[Pixels, dict[str, Any]]:
        """The pixels and the record of a picture. NotFound if there is no such picture."""
        return read_png(self.path(stem))

    def path(self, stem: str) -> Path:
        """The file of a picture. NotFound if there is no such picture."""
        path = self._path(stem)
        if PICTURE.fullmatch(stem) is None or path.is_symlink() or not path.is_file():
            raise NotFound(f"there is no picture {ascii(stem)[:60]} in the gallery")
        return path

    def delete(self, stem: str) -> None:
        """Delete a picture. NotFound if there is no such picture."""
        self.path(stem).unlink(missing_ok=True)
        self.records.pop(stem, None)

    def search(self, words: str, encoder: Encoder, count: int = 60) -> Sequence[tuple[str, float]]:
        """Names and cosines of the pictures nearest to words, best first."""
        check_pictures(parse_expression(words))
        vector = Space(encoder).vector(words)
        with self.lock:
            index, _ = update_index(self.folder, encoder)
        hits = [(hit.path.removesuffix(".png"), hit.cosine) for hit in index.search(vector, 10**6)]
        return [hit for hit in hits if PICTURE.fullmatch(hit[0])][:count]

    def upload(self, data: bytes) -> str:
        """Keep an image file, upright, on white and at most 1024 pixels a side; its name.

        UserError for another format than PNG, JPEG or WebP, for a broken file, and for one with
        too many pixels.
        """
        from PIL import Image

        name = Path("the upload")
        image = decode_image(data, name, most=MAX_UPLOAD_PIXELS, formats=UPLOAD_FORMATS)
        image.thumbnail((UPLOAD_SIDE, UPLOAD_SIDE), Image.Resampling.LANCZOS)
        png = encode_png(np.asarray(image))
        path = self.uploads / f"{hashlib.sha256(png).hexdigest()[:16]}.png"
        with self.lock:
            write_atomic(path, png)
            self._drop_old_uploads()
        return f"uploads/{path.name}"

    def upload_path(self, name: str) -> Path:
        """The file of an upload. NotFound if there is none of this name."""
        path = self.folder / name
        if not is_upload(name) or path.is_symlink() or not path.is_file():
            raise NotFound(f"there is no upload {ascii(name)[:60]}: send the file again")
        return path

    def _drop_old_uploads(self) -> None:
        found = [entry for entry in os.scandir(self.uploads) if entry.name.endswith(".png")]
        found.sort(key=lambda entry: entry.stat().st_mtime_ns)
        for entry in found[:-MAX_UPLOADS]:
            os.unlink(entry.path)

    def _path(self, stem: str) -> Path:
        return self.folder / f"{stem}.png"

    def _all(self) -> list[str]:
        names = (entry.name for entry in os.scandir(self.folder))
        stems = (name.removesuffix(".png") for name in names if name.endswith(".png"))
        return [stem for stem in stems if PICTURE.fullmatch(stem)]


def convert(pixels: Pixels, kind: str) -> bytes:
    """Pixels as a file of a format of Pillow: WEBP without loss, PNG, or JPEG on white."""
    from PIL import Image

    from undiffuse.imaging.png import on_white

    file = BytesIO()
    if kind == "JPEG":
        Image.fromarray(on_white(pixels)).save(file, kind, quality=95)
    else:
        Image.fromarray(pixels).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()
