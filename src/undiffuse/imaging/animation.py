"""Animated images: GIF, animated PNG and WebP."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undiffuse.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

ANIMATED_FORMATS = {".gif": "GIF", ".apng": "PNG", ".webp": "WEBP"}
FRAME_MS, LAST_FRAME_MS = 120, 2000
WEBP_QUALITY = 90


def check_suffix(path: Path) -> str:
    """The suffix in lower case. UserError unless it is .png or that of an animated format."""
    suffix = path.suffix.lower()
    if suffix != ".png" and suffix not in ANIMATED_FORMATS:
        raise UserError(f"{path}: give a name that ends in .png, {', '.join(ANIMATED_FORMATS)}")
    return suffix


def encode_animation(images: Sequence["Image.Image"], suffix: str, lossless: bool = True) -> bytes:
    """An endless animation in the format of a suffix. UserError if this Pillow can't write it.

    `lossless`: of WebP, which otherwise joins frames between which nothing can be seen.
    """
    kind = ANIMATED_FORMATS[suffix]
    times = [FRAME_MS] * (len(images) - 1) + [LAST_FRAME_MS]
    file = BytesIO()
    options: dict[str, Any] = {}
    if kind == "WEBP":
        options = {"lossless": True} if lossless else {"quality": WEBP_QUALITY, "method": 4}
    try:
        images[0].save(
            file, kind, save_all=True, append_images=images[1:], duration=times, loop=0, **options
        )
    except (KeyError, OSError) as error:
        raise UserError(f"this Pillow can't write {kind} files: {error}") from error
    return file.getvalue()
