"""Anybody's picture files, made what CLIP sees: 64x64 pixels on white; hostile until read."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undiffuse.config import SIDE
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_bytes
from undiffuse.imaging.png import Pixels

if TYPE_CHECKING:
    from PIL import Image

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".gif": "GIF", ".webp": "WEBP", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM",
}  # fmt: skip
MAX_FILE = 64 << 20  # bytes
MAX_PIXELS = 64 << 20  # a few bytes can ask for gigabytes


def read_image(path: Path, side: int = SIDE) -> Pixels:
    """The picture as bytes `(side, side, 3)`: the first frame, upright, whole, white around it.

    UserError for a file that can't be read, is broken, or is larger than `MAX_PIXELS`.
    """
    from PIL import Image, ImageOps

    # A JPEG is decoded no larger than needed.
    flat = open_image(path, draft=2 * side)
    small = ImageOps.contain(flat, (side, side), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (side, side), "white")
    whole.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return np.array(whole)


def open_image(path: Path, draft: int = 0) -> "Image.Image":
    """The picture in its own size: the first frame, upright, in RGB on white.

    `draft`: pixels of a side that are enough, for a JPEG; 0 for all. UserError as `read_image`.
    """
    data = read_bytes(path, MAX_FILE)
    from PIL import Image, ImageOps

    try:
        with Image.open(BytesIO(data), formats=sorted(set(FORMATS.values()))) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{path} is too large: {image.width}x{image.height} pixels")
            if draft:
                image.draft("RGB", (draft, draft))
            return _on_white(_to_8_bits(ImageOps.exif_transpose(image)))
    except UserError:
        raise
    except Exception as error:  # a broken file may raise almost anything
        raise UserError(f"{path} can't be read as a picture: {error}") from error


def _to_8_bits(image: "Image.Image") -> Any:
    """Pillow cuts 16-bit greys off at 255; here they are scaled."""
    from PIL import Image

    if image.mode not in ("F", "I") and not image.mode.startswith("I;16"):
        return image
    grey = np.asarray(image, np.float64)
    top = 1.0 if image.mode == "F" and grey.max(initial=0.0) <= 1.0 else 255.0
    if grey.max(initial=0.0) > 255.0:
        top = 65535.0
    return Image.fromarray((np.clip(grey / top, 0.0, 1.0) * 255).round().astype(np.uint8))


def _on_white(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    ground = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(ground, layer).convert("RGB")


def find_images(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every picture file below a folder: its path from there and its state; links are not followed.

    UserError if the folder can't be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if path.suffix.lower() in FORMATS and not name.startswith(".") and path.is_file():
                yield path.relative_to(folder).as_posix(), path.stat()
