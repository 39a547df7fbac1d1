"""Size, background and file format of finished pictures."""

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undiffuse.errors import UserError

if TYPE_CHECKING:
    from undiffuse.imaging.png import Pixels

SIZES = (64, 128, 256, 512)
FORMATS = (".png", ".webp", ".svg")
_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)


@dataclass(frozen=True)
class Output:
    """How pictures are written. UserError for another size or background than these.

    size        of `SIZES`, in pixels a side; None keeps the model's own.
    background  "transparent", "white" or "#rrggbb"; None keeps what the model draws.
    """

    size: int | None = None
    background: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and (isinstance(self.size, bool) or self.size not in SIZES):
            raise UserError(f"size {self.size} is unknown: choose {', '.join(map(str, SIZES))}")
        if self.background not in (None, "transparent"):
            parse_color(self.background)

    def render(self, pixels: "Pixels") -> "Pixels":
        """Bytes (H, W, 3), or (H, W, 4) with straight alpha, in this size on this background.

        Reduced by area, enlarged by Lanczos. UserError for a background that pixels without
        transparency can't get.
        """
        clear = pixels.shape[2] == 4
        if not clear and self.background not in (None, "white"):
            raise UserError(f"background {self.background} needs a model that draws transparency: "
                            "this one draws on white")  # fmt: skip
        if self.size is not None and self.size != len(pixels):
            pixels = resize(pixels, self.size)
        if clear and self.background not in (None, "transparent"):
            return composite(pixels, parse_color(self.background))
        return pixels

    def record(self) -> dict[str, Any]:
        """What a file's record says of this, for `from_record`."""
        given = {"size": self.size, "background": self.background}
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def from_record(cls, record: dict[str, Any], path: Path) -> "Output | None":
        """The output of a picture's record; None if it has none. UserError, naming `path`, for a
        broken one.
        """
        given = {name: record[name] for name in ("size", "background") if name in record}
        try:
            return cls(**given) if given else None
        except UserError as error:
            raise UserError(f"{path} has a broken record: {error}") from error


def parse_color(text: object) -> tuple[int, int, int]:
    """Red, green and blue of "white", "#rgb" or "#rrggbb". UserError for others."""
    if text == "white":
        return 255, 255, 255
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise UserError(f"background {text!r:.40} is unknown: give transparent, white or a color "
                        "such as #ff8800")  # fmt: skip
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def resize(pixels: "Pixels", size: int) -> "Pixels":
    """Bytes (size, size, C): reduced by area, enlarged by Lanczos; colors weighted by alpha."""
    import numpy as np
    from PIL import Image

    filters = Image.Resampling
    how = filters.BOX if size < len(pixels) else filters.LANCZOS
    return np.array(Image.fromarray(pixels).resize((size, size), how))


def composite(rgba: "Pixels", color: tuple[int, int, int]) -> "Pixels":
    """Bytes (..., 4) with straight alpha -> (..., 3) on a plain background."""
    import numpy as np

    front, alpha = rgba[..., :3].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    back = np.array(color, np.uint16)
    return ((front * alpha + back * (255 - alpha) + 127) // 255).astype(np.uint8)


def check_format(path: Path) -> None:
    """UserError unless a picture can be written in the format of the suffix."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"{path}: give a name that ends in {', '.join(FORMATS)}")
    if suffix == ".svg":
        from undiffuse.imaging.vector import check_vtracer

        check_vtracer()


def encode_picture(pixels: "Pixels", record: dict[str, Any], suffix: str) -> bytes:
    """A file in the format of a suffix. PNG files alone carry the record."""
    if suffix == ".svg":
        from undiffuse.imaging.vector import encode_svg

        return encode_svg(pixels)
    if suffix == ".webp":
        from PIL import Image, features

        if not features.check("webp"):
            raise UserError("this Pillow can't write WEBP files: give a .png name")
        file = BytesIO()
        Image.fromarray(pixels).save(file, "WEBP", lossless=True, exact=True)
        return file.getvalue()
    from undiffuse.imaging.png import encode_png

    return encode_png(pixels, record)
