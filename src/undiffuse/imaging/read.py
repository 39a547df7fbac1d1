"""Reads untrusted image files: bounded, upright, in RGB on white."""

import os
from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undiffuse.config import IMAGE_SIZE
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


def read_image(path: Path, side: int = IMAGE_SIZE, channels: int = 3) -> Pixels:
    """The first frame as bytes (side, side, 3): upright, fitted into the square, white around it.

    With 4 `channels`, its transparency is kept, and it is transparent around it. UserError for a
    file that can't be read, is broken, or is larger than `MAX_PIXELS`.
    """
    from PIL import Image, ImageOps

    image = open_image(path, draft=2 * side, alpha=channels == 4)
    small = ImageOps.contain(image, (side, side), Image.Resampling.LANCZOS)
    square = Image.new(image.mode, (side, side), (255, 255, 255, 0)[:channels])
    square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return np.array(square)


def open_image(path: Path, draft: int = 0, alpha: bool = False) -> "Image.Image":
    """The first frame in its own size: upright, in RGB on white, or with `alpha` in RGBA.

    `draft`: a JPEG may be decoded smaller, down to this many pixels a side; 0 decodes all of it.
    UserError as `read_image`.
    """
    return decode_image(read_bytes(path, MAX_FILE), path, draft, alpha=alpha)


def decode_image(
    data: bytes,
    path: Path,
    draft: int = 0,
    *,
    most: int = MAX_PIXELS,
    formats: Collection[str] = frozenset(FORMATS.values()),
    alpha: bool = False,
) -> "Image.Image":
    """The first frame of an image file's bytes, as `open_image` reads it.

    `path` is its name in errors, `most` the largest number of pixels, `formats` Pillow's names.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data), formats=sorted(formats)) as image:
            if image.width * image.height > most:
                raise UserError(f"{path} is too large: {image.width}x{image.height} pixels")
            if draft:
                image.draft("RGB", (draft, draft))
            upright = to_8_bits(ImageOps.exif_transpose(image))
            return upright.convert("RGBA") if alpha else _on_white(upright)
    except UserError:
        raise
    except UnidentifiedImageError as error:  # its own message names the BytesIO object
        raise UserError(f"{path} is no image in a known format") from error
    except Exception as error:  # a broken file may raise almost anything
        raise UserError(f"{path} can't be read as an image: {error}") from error


def to_8_bits(image: "Image.Image") -> Any:
    """Scales 16-bit and float gray to 8 bits; Pillow itself would clip it at 255."""
    from PIL import Image

    if image.mode not in ("F", "I") and not image.mode.startswith("I;16"):
        return image
    gray = np.asarray(image, np.float64)
    top = 1.0 if image.mode == "F" and gray.max(initial=0.0) <= 1.0 else 255.0
    if gray.max(initial=0.0) > 255.0:
        top = 65535.0
    return Image.fromarray((np.clip(gray / top, 0.0, 1.0) * 255).round().astype(np.uint8))


def _on_white(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def find_images(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Each image file below a folder: its relative path and its `stat`. Skips hidden files, and
    does not follow links to folders. UserError if `folder` is none."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if path.suffix.lower() in FORMATS and not name.startswith(".") and path.is_file():
                yield path.relative_to(folder).as_posix(), path.stat()
