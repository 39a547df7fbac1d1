"""Icons in Iconify's JSON format (one file of SVG bodies per set), found by emoji, and rendered.

Format: https://iconify.design/docs/types/iconify-json.html
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undiffuse.data.emoji_names import Emoji, icon_names, normalize_code

OPAQUE = 128  # alpha above which a pixel counts as drawn

RGBA = NDArray[np.uint8]  # (side, side, 4), straight alpha
Svg = tuple[str, float, float, float, float]  # body, left, top, width, height


@dataclass(frozen=True)
class IconFile:
    """A set of icons. `aliases`: other name -> name; `chars`: emoji code -> name."""

    icons: dict[str, Svg]
    aliases: dict[str, str]
    chars: dict[str, str]

    def find(self, names: Iterable[str]) -> Svg | None:
        """The icon of the first name that the set has; of the first alias if it has none."""
        known = list(names)
        found = (self.icons[name] for name in known if name in self.icons)
        alias = (self.icons.get(self.aliases[name]) for name in known if name in self.aliases)
        return next(chain(found, alias), None)


def read_icon_file(data: Mapping[str, Any]) -> IconFile:
    """The icons of an Iconify file."""
    icons = {name: _svg(icon, data) for name, icon in data["icons"].items()}
    aliases = {
        name: alias["parent"]
        for name, alias in data.get("aliases", {}).items()
        if set(alias) == {"parent"}  # the same picture under another name, not turned
    }
    chars = {normalize_code(code): name for code, name in data.get("chars", {}).items()}
    return IconFile(icons, aliases, chars)


def _svg(icon: Mapping[str, Any], file: Mapping[str, Any]) -> Svg:
    box = {"left": 0, "top": 0, "width": 16, "height": 16}
    left, top, width, height = (icon.get(key, file.get(key, box[key])) for key in box)
    return icon["body"], left, top, width, height


def match_emoji(file: IconFile, rows: Iterable[Emoji], chars: Mapping[str, str]) -> dict[str, Svg]:
    """Code -> icon of each emoji that the set has. `chars`: code -> name, tried before labels."""
    found = {}
    for row in rows:
        names = (chars.get(row.code, ""), *icon_names(row.label))
        if icon := file.find(names):
            found[row.code] = icon
    return found


def svg_document(svg: Svg, side: int) -> str:
    """An icon as a whole SVG file of `side` pixels."""
    body, left, top, width, height = svg
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{side}" height="{side}">{body}</svg>'
    )


def render_png(svg: Svg, side: int) -> bytes:
    """An icon as PNG file of `side` pixels."""
    import resvg_py

    document = svg_document(svg, side)
    return bytes(resvg_py.svg_to_bytes(svg_string=document, width=side, height=side))


def render_svg(svg: Svg, side: int) -> RGBA:
    """An icon as `(side, side, 4)` uint8. ValueError if it is broken or shows nothing."""
    return decode_png(render_png(svg, side), side)


def decode_png(png: bytes, side: int) -> RGBA:
    """A PNG file as `(side, side, 4)` uint8. ValueError for another size, or an empty picture."""
    picture = Image.open(io.BytesIO(png), formats=["PNG"])
    if picture.size != (side, side):
        raise ValueError(f"it is {picture.size[0]}x{picture.size[1]} pixels, not {side}x{side}")
    rgba = np.asarray(picture.convert("RGBA"))
    if not (rgba[..., 3] > OPAQUE).any():
        raise ValueError("the picture is empty")
    return rgba
