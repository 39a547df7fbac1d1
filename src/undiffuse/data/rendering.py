"""Drawings rendered by several processes, and drawings that occur twice found among them."""

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from undiffuse.data import colors
from undiffuse.data.iconify import OPAQUE, RGBA, Svg, decode_png, render_png
from undiffuse.data.sources import fit
from undiffuse.data.sources.duplicates import HASH_BITS, difference_hash

COMPRESSION = 3  # of PNG files, which are decoded once; level 6 takes twice the time for 5% less
COLOR_SHARE = 0.12  # of the drawn pixels, for a color to be named
MIN_DRAWN = 0.01  # share of the square; less is an accident
MAX_AT_EDGE = 0.5  # share of the outermost pixels that a drawing with alpha may touch
THIN_SHARE = 0.75  # of the drawn pixels, in strokes thinner than a 16th of the side
THUMB = 32  # pixels of the side at which two drawings are compared
SAME = 2.0  # of 255: the mean of the largest differences below which two drawings are the same
_BANDS = ((0, 22), (22, 21), (43, 21))  # of two different bits, one band of three holds neither


@dataclass(frozen=True)
class Drawing:
    """A picture to render: an Iconify SVG, or a file (PNG, WebP, SVG), and what is known of it."""

    key: str
    source: Svg | bytes
    record: dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """A picture as PNG file, the names of its colors, and what duplicates are found by.

    colors    names of at least `COLOR_SHARE` of the drawn pixels, the most common first.
    dominant  the first color's share.
    bits      perceptual hash.
    thumb     (32, 32, 4) uint8, premultiplied.
    """

    png: bytes
    colors: list[str]
    dominant: float
    bits: int
    thumb: NDArray[np.uint8]


def render_all(
    drawings: Iterable[Drawing], pool: Executor, side: int, thick: bool = False, whole: bool = False
) -> Iterator[tuple[Drawing, Rendered | str]]:
    """Each drawing as picture of `side` pixels, or the reason why there is none; in order.

    thick  leave out what is drawn in strokes thinner than a 16th of the side.
    whole  the drawings are known to be whole, even if they touch the edges.
    """
    drawings = list(drawings)
    work = partial(_render, side=side, thick=thick, whole=whole)
    sources = [drawing.source for drawing in drawings]
    yield from zip(drawings, pool.map(work, sources, chunksize=32), strict=True)


def describe_all(pngs: Iterable[bytes], pool: Executor, side: int) -> Iterator[Rendered]:
    """What is known of pictures that were rendered before."""
    yield from pool.map(partial(_describe_file, side=side), pngs, chunksize=32)


def _describe_file(png: bytes, side: int) -> Rendered:
    return describe(decode_png(png, side), png)


def _render(source: Svg | bytes, side: int, thick: bool, whole: bool) -> Rendered | str:
    try:
        if isinstance(source, bytes):
            picture = _from_file(source, side)
            png = encode_png(picture)
        else:
            png = render_png(source, side)
            picture = decode_png(png, side)
        check_drawing(picture, thick, whole)
        return describe(picture, png)
    except Exception as error:  # a renderer's errors have no common base class
        return str(error).splitlines()[0] if str(error) else type(error).__name__


def _from_file(data: bytes, side: int) -> RGBA:
    from undiffuse.data.clipart import frame
    from undiffuse.data.sources.decode import decode

    is_svg = data[:400].lstrip().startswith(b"<")
    return fit(decode(frame(data) if is_svg else data, side), side)


def check_drawing(picture: RGBA, thick: bool = False, whole: bool = False) -> None:
    """ValueError for a picture that is empty, cut off at its edges (unless `whole`), or in thin
    strokes (`thick`)."""
    drawn = picture[..., 3] > OPAQUE
    share = drawn.mean()
    if share < MIN_DRAWN:
        raise ValueError("it is empty" if share == 0 else "hardly anything is drawn")
    edge = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
    if not whole and edge.mean() > MAX_AT_EDGE:
        raise ValueError("it fills its square or is cut off")
    if thick and thin_share(picture) > THIN_SHARE:
        raise ValueError("its strokes are too thin")


def thin_share(picture: RGBA) -> float:
    """The share of the drawn pixels in strokes thinner than a 16th of the side."""
    alpha = Image.fromarray(picture[..., 3]).resize((64, 64), Image.Resampling.BOX)
    # Opening by 3 pixels of 64 removes strokes that are thinner.
    opened = alpha.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    before, after = np.asarray(alpha, np.float64).sum(), np.asarray(opened, np.float64).sum()
    return float(1 - after / max(before, 1.0))


def describe(picture: RGBA, png: bytes = b"") -> Rendered:
    """What is kept of a picture `(side, side, 4)`, whose file is `png`."""
    small = Image.fromarray(picture).convert("RGBa").resize((64, 64), Image.Resampling.BOX)
    straight = np.asarray(small.convert("RGBA"))
    names, shares = color_names(straight)
    thumb = np.asarray(small.resize((THUMB, THUMB), Image.Resampling.BOX)).copy()
    bits, _ = difference_hash(straight)
    return Rendered(png, names, shares[0] if shares else 0.0, bits, thumb)


def color_names(picture: RGBA) -> tuple[list[str], list[float]]:
    """The colors of the drawn pixels by name, the most common first, and their shares."""
    drawn = picture[picture[..., 3] > OPAQUE][:, :3]
    if not len(drawn):
        return [], []
    counts = np.bincount(colors.classify_pixels(drawn), minlength=len(colors.NAMES)) / len(drawn)
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i] >= COLOR_SHARE]
    return [colors.NAMES[i] for i in order], [float(counts[i]) for i in order]


def encode_png(picture: RGBA) -> bytes:
    """A PNG file. Pixels that nobody sees are made black, which compresses better."""
    visible = np.where(picture[..., 3:] > 0, picture, 0)
    out = io.BytesIO()
    Image.fromarray(visible).save(out, "PNG", compress_level=COMPRESSION)
    return out.getvalue()


@dataclass
class Seen:
    """The pictures so far. Finds the one that a new picture is a copy of."""

    keys: list[str] = field(default_factory=list)
    _bits: list[int] = field(default_factory=list)
    _thumbs: list[NDArray[np.uint8]] = field(default_factory=list)
    _rows: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def find(self, picture: Rendered) -> str:
        """The key of the same drawing, or ""."""
        for band in self._bands(picture.bits):
            for row in self._rows.get(band, ()):
                if (self._bits[row] ^ picture.bits).bit_count() <= HASH_BITS:
                    difference = np.abs(self._thumbs[row].astype(np.int16) - picture.thumb)
                    if difference.max(-1).mean() < SAME:
                        return self.keys[row]
        return ""

    def add(self, key: str, picture: Rendered) -> None:
        """Remember a picture."""
        for band in self._bands(picture.bits):
            self._rows.setdefault(band, []).append(len(self.keys))
        self.keys.append(key)
        self._bits.append(picture.bits)
        self._thumbs.append(picture.thumb)

    @staticmethod
    def _bands(bits: int) -> list[tuple[int, int]]:
        return [(shift, bits >> shift & ((1 << width) - 1)) for shift, width in _BANDS]
