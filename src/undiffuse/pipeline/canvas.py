"""The initial image and mask of a drawing: image to image, and inpainting."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.diffusion.arrays import Array, Denoiser, check_range
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_bytes
from undiffuse.imaging.png import Pixels
from undiffuse.imaging.read import MAX_FILE, read_image
from undiffuse.pipeline.prompt import Asked
from undiffuse.runtime.networks import CodecRuntime, Floats

STRENGTH = 0.7


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture to begin with, bytes `(64, 64, 3)`; how much of it noise replaces, in (0, 1]; and
    where to draw, `(64, 64)`, or everywhere."""

    pixels: Pixels
    strength: float = STRENGTH
    mask: NDArray[np.bool_] | None = None

    @classmethod
    def read(cls, path: Path, strength: float | None, mask: Path | None) -> "Canvas":
        """From files. White or transparent parts of the mask are drawn in, black ones are kept.

        UserError for a file that can't be read, a strength out of range, a mask of one colour.
        """
        strength = (STRENGTH if mask is None else 1.0) if strength is None else strength
        if check_range("strength", strength, 0.0, 1.0) == 0.0:
            raise UserError("strength=0 leaves the picture as it is: give more, up to 1")
        if mask is None:
            return cls(read_image(path), strength)
        where = read_image(mask).mean(-1) > 127
        if where.all() or not where.any():
            raise UserError(f"mask {mask} is all of one kind: white is drawn in, black is kept")
        return cls(read_image(path), strength, where)

    @cached_property
    def known(self) -> Floats:
        """The picture as pixels `(1, 3, 64, 64)` in [-1, 1]."""
        return self.pixels.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1

    def kept(self, denoiser: Denoiser, codec: CodecRuntime) -> Denoiser:
        """A denoiser whose finished picture is the known one wherever the mask keeps it."""
        mask = self.mask
        if mask is None:
            return denoiser

        def keeping(x_t: Array, t: float, cond: Array) -> Array:
            pixels = codec.decode(denoiser(x_t, t, cond)).clip(-1.0, 1.0)
            return codec.encode(np.where(mask, pixels, self.known))

        return keeping

    def finish(self, pixels: Pixels) -> Pixels:
        """Drawn bytes `(B, 64, 64, 3)`, with every kept pixel as it was."""
        if self.mask is None:
            return pixels
        return np.where(self.mask[..., None], pixels, self.pixels)


def canvas_of(asked: Asked) -> Canvas | None:
    """The picture to start from, if one is asked for. UserError for a mask without one."""
    start, mask, strength = asked.get("start"), asked.get("mask"), asked.get("strength")
    if start is None:
        if mask is not None or strength is not None:
            raise UserError("a mask or a strength needs a picture to start from")
        return None
    return Canvas.read(Path(start), strength, None if mask is None else Path(mask))


def file_hash(path: Path) -> str:
    """The first 16 hex digits of a file's SHA-256: a record says what a picture was when used."""
    return hashlib.sha256(read_bytes(path, MAX_FILE)).hexdigest()[:16]
