"""Picture files: PNG that says how it was drawn, whole or not there at all.

What is read back is hostile until checked. Pixels are bytes `(H, W, 3)` throughout.
"""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from struct import unpack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.config import SIDE
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_bytes

KEY = "undiffuse"  # of the PNG's text chunk that holds the record, as JSON
MAX_SCALE = 16
_MAX_RECORD = 1 << 16  # characters

Pixels = NDArray[np.uint8]


def upscale(pixels: Pixels, scale: int) -> Pixels:
    """Each pixel as a square of scale x scale: nothing is lost, `downscale` gives it back."""
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def downscale(pixels: Pixels, path: Path) -> Pixels:
    """What was enlarged, 64x64 again. UserError, naming `path`, if the pixels aren't that."""
    scale = max(1, len(pixels) // SIDE)
    small = pixels[::scale, ::scale]
    if small.shape[:2] != (SIDE, SIDE) or not np.array_equal(upscale(small, scale), pixels):
        raise UserError(f"{path} was changed: it is no picture of {SIDE}x{SIDE} made larger")
    return small


def image_grid(pictures: Sequence[Pixels], gap: int = 4, columns: int = 0) -> Pixels:
    """Pictures of one size row by row, white between them; in a near square without `columns`."""
    columns = columns or int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    height, width = (size + gap for size in pictures[0].shape[:2])
    sheet = np.full((rows * height + gap, columns * width + gap, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = gap + place // columns * height, gap + place % columns * width
        sheet[top : top + height - gap, left : left + width - gap] = picture
    return sheet


def encode_png(pixels: Pixels, record: dict[str, Any] | None = None) -> bytes:
    """A PNG file of pixels, with the record in it."""
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    if record is not None:
        info.add_itxt(KEY, json.dumps(record, ensure_ascii=False))
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def read_png(path: Path) -> tuple[Pixels, dict[str, Any]]:
    """The pixels of a PNG file and its record.

    UserError for a file that can't be read, is no PNG, is too large, or has no record.
    """
    data = read_bytes(path)
    # Sizes first: a few bytes can ask for gigabytes.
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        raise UserError(f"{path} is no PNG file")
    if max(unpack(">II", data[16:24])) > SIDE * MAX_SCALE:
        raise UserError(f"{path} is larger than undiffuse draws: {SIDE * MAX_SCALE} pixels a side")
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=["PNG"]) as image:
            image.load()
            pixels, text = np.asarray(image.convert("RGB")), image.info.get(KEY)
    except Exception as error:  # a broken file may raise almost anything
        raise UserError(f"{path} is a broken PNG file") from error
    if not isinstance(text, str) or len(text) > _MAX_RECORD:
        raise UserError(f"{path} doesn't say how it was drawn: it has no record of undiffuse")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} has a broken record") from error
    if not isinstance(record, dict):
        raise UserError(f"{path} has a broken record")
    return pixels, record
