"""PNG files that carry the record of their drawing. Files are untrusted until checked.

Pixels are bytes (H, W, 3), or (H, W, 4) with straight alpha.
"""

import json
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from struct import unpack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.config import IMAGE_SIZE
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_bytes

RECORD_KEY = "undiffuse"  # of the text chunk that holds the record as JSON
MAX_SCALE = 16
MAX_SIZE = 256  # pixels a side that a model draws
_MAX_RECORD = 1 << 16  # characters

Pixels = NDArray[np.uint8]


def upscale(pixels: Pixels, scale: int) -> Pixels:
    """Nearest-neighbor enlargement, which `downscale` reverts."""
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def downscale(pixels: Pixels, path: Path, size: int = IMAGE_SIZE) -> Pixels:
    """The size x size pixels that `upscale` enlarged. UserError, naming `path`, for others."""
    scale = max(1, len(pixels) // size)
    small = pixels[::scale, ::scale]
    if small.shape[:2] != (size, size) or not np.array_equal(upscale(small, scale), pixels):
        raise UserError(f"{path} was changed: its pixels are no enlarged {size}x{size}")
    return small


def unpremultiply(pixels: Pixels) -> Pixels:
    """(..., 4) bytes premultiplied by alpha -> straight alpha; others stay unchanged."""
    if pixels.shape[-1] != 4:
        return pixels
    floats = np.moveaxis(pixels, -1, 0).astype(np.float32)
    floats[:3] = _straight(floats[:3], floats[3])
    return np.ascontiguousarray(np.moveaxis(floats, 0, -1).astype(np.uint8))


def straight_bytes(pixels: NDArray[np.float32]) -> Pixels:
    """Pixels (B, C, H, W) in [-1, 1] or beyond, premultiplied by alpha if there are four channels
    -> bytes (B, H, W, C) with straight alpha. Overwrites `pixels`.
    """
    np.clip(pixels, -1.0, 1.0, out=pixels)
    pixels += np.float32(1)
    pixels *= np.float32(127.5)
    np.rint(pixels, out=pixels)
    if pixels.shape[1] == 4:
        for one in pixels:
            one[:3] = _straight(one[:3], one[3])
    return np.ascontiguousarray(pixels.astype(np.uint8).transpose(0, 2, 3, 1))


def _straight(color: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """round(255 color / alpha), at most 255, of whole numbers to 255. Exact: a quotient that is not
    whole is farther from the next whole number than float32 rounds.
    """
    straight = color * np.float32(255)
    straight += np.floor(alpha * np.float32(0.5))
    straight /= np.maximum(alpha, np.float32(1))
    np.floor(straight, out=straight)
    return np.minimum(straight, np.float32(255), out=straight)


def on_white(pixels: Pixels) -> Pixels:
    """(..., 4) bytes with straight alpha -> (..., 3) on white; others stay unchanged."""
    return composite_on_white(pixels) if pixels.shape[-1] == 4 else pixels


def composite_on_white(rgba: Pixels) -> Pixels:
    """(..., 4) bytes with straight alpha -> (..., 3) on a white background."""
    color, alpha = rgba[..., :3].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def image_grid(pictures: Sequence[Pixels], gap: int = 4, columns: int = 0) -> Pixels:
    """Pictures of one size row by row on white; nearly square if `columns` is 0."""
    columns = columns or int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    height, width = (size + gap for size in pictures[0].shape[:2])
    channels = pictures[0].shape[2]
    sheet = np.full((rows * height + gap, columns * width + gap, channels), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = gap + number // columns * height, gap + number % columns * width
        sheet[top : top + height - gap, left : left + width - gap] = picture
    return sheet


def encode_png(pixels: Pixels, record: dict[str, Any] | None = None) -> bytes:
    """A PNG file of pixels, with a record in a text chunk."""
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    if record is not None:
        info.add_itxt(RECORD_KEY, json.dumps(record, ensure_ascii=False))
    file = BytesIO()
    # On drawings, runs alone compress better than level 4 in half the time.
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info, compress_type=zlib.Z_RLE)
    return file.getvalue()


def read_png(path: Path) -> tuple[Pixels, dict[str, Any]]:
    """The pixels of a PNG file and its record.

    UserError for a file that can't be read, is no PNG, is too large, or has no record.
    """
    data = read_bytes(path)
    # Sizes first: a few bytes can ask for gigabytes.
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        raise UserError(f"{path} is no PNG file")
    if max(unpack(">II", data[16:24])) > (limit := MAX_SIZE * MAX_SCALE):
        raise UserError(f"{path} is larger than undiffuse draws: at most {limit}x{limit} pixels")
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=["PNG"]) as image:
            image.load()
            pixels, text = (
                np.asarray(image if image.mode == "RGBA" else image.convert("RGB")),
                image.info.get(RECORD_KEY),
            )
    except Exception as error:  # a broken file may raise almost anything
        raise UserError(f"{path} is a broken PNG file") from error
    if not isinstance(text, str) or len(text) > _MAX_RECORD:
        raise UserError(f"{path} has no record of undiffuse: it does not say how it was drawn")
    try:
        return pixels, dict(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} has a broken record") from error
