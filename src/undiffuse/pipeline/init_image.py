"""The initial image and mask of a drawing: image-to-image and inpainting."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.config import IMAGE_SIZE
from undiffuse.diffusion.arrays import Array, Denoiser, check_range
from undiffuse.errors import UserError
from undiffuse.imaging.png import Pixels
from undiffuse.imaging.read import read_image
from undiffuse.pipeline.options import DrawOptions
from undiffuse.runtime.networks import CodecRuntime, Floats

STRENGTH = 0.7  # without a mask; 1 with one


@dataclass(frozen=True, eq=False)
class InitImage:
    """An image to start from instead of pure noise.

    pixels    bytes (H, W, 3), in the size that the model draws.
    strength  in (0, 1]: the noise level to start at.
    mask      (H, W), true where to draw; None draws everywhere.
    """

    pixels: Pixels
    strength: float = STRENGTH
    mask: NDArray[np.bool_] | None = None

    @cached_property
    def normalized(self) -> Floats:
        """The image as float32 (1, 3, H, W) in [-1, 1]."""
        return self.pixels.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1

    def keep_unmasked(self, denoiser: Denoiser, codec: CodecRuntime) -> Denoiser:
        """A denoiser whose x0 shows this image outside the mask."""
        mask = self.mask
        if mask is None:
            return denoiser

        def inpainting(x_t: Array, t: float, cond: Array) -> Array:
            pixels = codec.decode(denoiser(x_t, t, cond)).clip(-1.0, 1.0)
            return codec.encode(np.where(mask, pixels, with_alpha(self.normalized, pixels, 1)))

        return inpainting

    def paste_unmasked(self, pixels: Pixels) -> Pixels:
        """Drawn bytes (B, H, W, C), with this image's own bytes outside the mask."""
        if self.mask is None:
            return pixels
        return np.where(self.mask[..., None], pixels, with_alpha(self.pixels[None], pixels, -1))


def with_alpha(rgb: NDArray[Any], like: NDArray[Any], axis: int) -> NDArray[Any]:
    """`rgb`, with an opaque alpha channel along `axis` if `like` has four channels there."""
    if like.shape[axis] == 3:
        return rgb
    opaque = np.full_like(rgb.take([0], axis), 255 if rgb.dtype == np.uint8 else 1)
    return np.concatenate([rgb, opaque], axis)


def read_init_image(options: DrawOptions, size: int = IMAGE_SIZE) -> InitImage | None:
    """The initial image that the options name, or None. White in the mask is drawn, black is kept.

    UserError for a file that can't be read, a strength outside (0, 1], a mask of one color, or a
    mask or strength without an image.
    """
    start, mask, strength = options.get("start"), options.get("mask"), options.get("strength")
    if start is None:
        if mask is not None or strength is not None:
            raise UserError("mask and strength need an image to start from: give start (--from)")
        return None
    if strength is None:
        strength = STRENGTH if mask is None else 1.0
    if check_range("strength", strength, 0.0, 1.0) == 0.0:
        raise UserError("strength=0 leaves the image unchanged: give more, up to 1")
    drawn = None
    if mask is not None:
        drawn = read_image(Path(mask), size).mean(-1) > 127
        if drawn.all() or not drawn.any():
            raise UserError(f"mask {mask} has one color: give white to draw and black to keep")
    return InitImage(read_image(Path(start), size), strength, drawn)
