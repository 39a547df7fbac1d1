"""A picture's file, whatever it is, as RGBA."""

import contextlib
import warnings
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from undiffuse.data.sources.svg import render
from undiffuse.imaging.read import FORMATS, MAX_FILE, MAX_PIXELS, to_8_bits

RASTER = FORMATS | {".avif": "AVIF"}
ENDINGS = frozenset({*RASTER, ".svg"})
# Pictures that people have and that can't be read: named, not passed over.
UNREADABLE = frozenset({".heic", ".heif", ".jxl", ".psd", ".svgz", ".ico", ".tga", ".jp2"})
SVG_SIDE = 256  # pixels, where no other number is asked for
_KINDS = sorted(set(RASTER.values()))


def decode(data: bytes, side: int = 0) -> NDArray[np.uint8]:
    """The picture `(H, W, 4)`, straight alpha: the first frame, upright, 8 bits a channel.

    `side`: the pixels of a side that are wanted. An SVG is rendered so that its longer side has as
    many; a JPEG is decoded no larger than needed. 0: the picture's own size, `SVG_SIDE` for an SVG.
    ValueError with the reason when it can't be read, is too large, or nothing is visible in it.
    """
    if len(data) > MAX_FILE:
        raise ValueError(f"the file is larger than {MAX_FILE >> 20} MB")
    if data[:64].lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<"):
        data, side = render(data, side or SVG_SIDE), 0
    pixels = _decode_raster(data, side)
    if not pixels[..., 3].any():
        raise ValueError("nothing is visible: every pixel is transparent")
    return pixels


def _decode_raster(data: bytes, side: int) -> NDArray[np.uint8]:
    try:
        # Pillow warns of large pictures and broken notes, which are dealt with here.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(BytesIO(data), formats=_KINDS) as image,
        ):
            if image.width * image.height <= MAX_PIXELS:
                return _pixels(image, side)
            reason = f"{image.width}x{image.height} pixels are too many"
    except UnidentifiedImageError:
        what = "empty" if not data else "no picture that can be read"
        reason = f"the file is {what}: use {', '.join(_KINDS)} or SVG"
    except Exception as error:  # a broken file may raise almost anything
        said = str(error).partition("<_io")[0] or type(error).__name__
        reason = f"the picture is broken: {said}"
    raise ValueError(reason)


def _pixels(image: Image.Image, side: int) -> NDArray[np.uint8]:
    if side:
        image.draft("RGB", (2 * side, 2 * side))
    with contextlib.suppress(Exception):  # a broken note of the orientation
        ImageOps.exif_transpose(image, in_place=True)
    return np.array(to_8_bits(image).convert("RGBA"))
