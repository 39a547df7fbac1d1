"""Objects of the Open Clip Art Library (public domain), as Debian's openclipart-svg holds them.

The drawings of many hands are hostile until checked: they are rendered in a child process, which
reads no files (`data.sources.svg`).
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from undiffuse.data import deb
from undiffuse.data.icon_words import is_clutter
from undiffuse.data.sources.svg import render

OPENCLIPART = deb.DebianPackage("openclipart-svg", "1:0.18+dfsg-19")
MAX_BYTES = 400_000  # of a drawing; the longest ones are traced photographs
PROBE = 128  # pixels at which a drawing's bounds are found
MARGIN = 0.04  # of the longer side, around a drawing
# Folders (and parts of file names) of polygons, icon themes, flags, maps, signs and callouts.
_SKIP = re.compile(
    r"gramastar|polygon|/flags?/|/flags?_|callout|speech_bubble|/icons?/|/themes?/|etiquette|"
    r"/computer/|/shapes/|/signs_and_symbols/|/logos/|/buttons/|/geography/|/special/|/patterns?/|"
    r"gradient|border|frame|banner|arrow|button|coat_of_arms|heraldry|chess_|card_|domino|jigsaw|"
    r"dice_|stick_man|/sm_\d|outline|silhouette|sihouette|lineart|line_art|bw_|_bw|black_white"
)
_TITLE = re.compile(rb"<dc:title>([^<]{2,60})</dc:title>")
_SUBJECT = re.compile(rb"<rdf:li>([^<]{2,40})</rdf:li>")
_PREFIX = re.compile(r"(?:<|</|\s)([a-z]+):[a-zA-Z-]+[\s=>/]")
_ROOT = re.compile(rb"<svg\b[^>]*>")
_UNITS = {"": 1.0, "px": 1.0, "pt": 1.25, "mm": 3.543307, "cm": 35.43307, "in": 90.0, "pc": 15.0}
_LENGTH = re.compile(r"\s*([0-9.]+(?:e[+-]?\d+)?)\s*(px|pt|mm|cm|in|pc)?\s*")


@dataclass(frozen=True)
class Clip:
    """A drawing: what it may be called, the best first; its subjects; and the file."""

    path: str
    names: tuple[str, ...]  # the title, and what the file's name says
    subjects: tuple[str, ...]
    svg: bytes


def read_clips(folder: Path) -> Iterator[Clip | tuple[str, str]]:
    """The drawings of the package in `folder`, or (path, why it is left out)."""

    def wanted(path: str) -> bool:
        return path.startswith("usr/share/openclipart/svg/") and path.endswith(".svg")

    for path, data in deb.read_files(OPENCLIPART, folder, wanted):
        short = path.removeprefix("usr/share/openclipart/svg/")
        if _SKIP.search(f"/{short}"):
            yield short, "polygon, theme, flag, sign or frame"
        elif len(data) > MAX_BYTES:
            yield short, "too large a drawing"
        elif not (names := titles(data, short)):
            yield short, "no plain title"
        else:
            subjects = (clean(word.decode(errors="replace")) for word in _SUBJECT.findall(data))
            yield Clip(short, names, tuple(dict.fromkeys(s for s in subjects if s)), data)


def titles(svg: bytes, path: str) -> tuple[str, ...]:
    """The title, and the words of the file's name: "red_apple_simon_01.svg" -> "red apple simon",
    "red apple", "red"; without what is long, or names a brand, a letter or a part of a program."""
    found = _TITLE.search(svg)
    words = clean(path.rpartition("/")[2].removesuffix(".svg").replace("_", " ")).split()
    said = [clean(found[1].decode(errors="replace"))] if found else []
    said += [" ".join(words[:count]) for count in (3, 2, 1)]
    plain = (text for text in said if text and len(text.split()) <= 4 and not is_clutter(text))
    return tuple(dict.fromkeys(plain))


def clean(text: str) -> str:
    """Lower case, no numbers, no punctuation."""
    words = re.sub(r"[^a-z ]+", " ", text.lower().replace("'s", "")).split()
    return " ".join(word for word in words if len(word) > 1 or word == "a")


def mend(svg: bytes, view: tuple[float, float, float, float] | None = None) -> bytes:
    """The drawing with a view box, and with the namespaces that many copies lack.

    `view`: another box than the page. ValueError if the file says no size.
    """
    found = _ROOT.search(svg)
    if found is None:
        raise ValueError("its outer element is not <svg>")
    tag = found[0].decode(errors="replace")
    box = view or page(tag)
    for name in ("width", "height", "viewBox", "x", "y"):
        tag = re.sub(rf"""\s{name}\s*=\s*("[^"]*"|'[^']*')""", "", tag)
    said = " ".join(f"{value:.6g}" for value in box)
    used = set(_PREFIX.findall(svg.decode(errors="replace"))) - {"xml", "xmlns", "xlink"}
    spaces = {"xmlns": "http://www.w3.org/2000/svg", "xmlns:xlink": "http://www.w3.org/1999/xlink"}
    spaces |= {f"xmlns:{prefix}": f"urn:{prefix}" for prefix in sorted(used)}
    declared = [f'{key}="{url}"' for key, url in spaces.items() if f"{key}=" not in tag]
    tag = tag.replace("<svg", " ".join(["<svg", *declared, f'viewBox="{said}"']), 1)
    return svg[: found.start()] + tag.encode() + svg[found.end() :]


def page(tag: str) -> tuple[float, float, float, float]:
    """The view box of an `<svg>` tag, from its size if it has none (90 pixels an inch, as Inkscape
    had then)."""
    if box := re.search(r"""viewBox\s*=\s*["']([^"']*)["']""", tag):
        left, top, width, height = (float(n) for n in re.split(r"[\s,]+", box[1].strip()))
        return left, top, width, height
    sides = []
    for name in ("width", "height"):
        said = re.search(rf"""\s{name}\s*=\s*["']([^"']*)["']""", tag)
        length = _LENGTH.fullmatch(said[1]) if said else None
        if length is None:
            raise ValueError("it has no size")
        sides.append(float(length[1]) * _UNITS[length[2] or ""])
    return 0.0, 0.0, sides[0], sides[1]


def frame(svg: bytes) -> bytes:
    """The drawing, mended, in a square that its bounds fill. ValueError if it can't be rendered."""
    left, top, width, height = page(_tag(svg))
    png = render(mend(svg), PROBE)
    alpha = np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGBA"))[..., 3]
    rows, columns = (np.flatnonzero(alpha.max(axis) > 20) for axis in (1, 0))
    if not len(rows):
        raise ValueError("the picture is empty")
    scale = max(width, height) / PROBE
    wide, tall = (np.ptp(columns) + 1) * scale, (np.ptp(rows) + 1) * scale
    side = max(wide, tall) * (1 + 2 * MARGIN)
    middle_x = left + (columns[0] + columns[-1] + 1) / 2 * scale
    middle_y = top + (rows[0] + rows[-1] + 1) / 2 * scale
    return mend(svg, (middle_x - side / 2, middle_y - side / 2, side, side))


def _tag(svg: bytes) -> str:
    found = _ROOT.search(svg)
    return found[0].decode(errors="replace") if found else ""
