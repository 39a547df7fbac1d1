"""The initial image and mask of a drawing: image-to-image and inpainting."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.config import IMAGE_SIZE
from undiffuse.diffusion.arrays import Array, Denoiser, check_range
from undiffuse.errors import UserError
from undiffuse.imaging.png import Pixels, on_white
from undiffuse.imaging.read import read_image
from undiffuse.pipeline.options import DrawOptions
from undiffuse.runtime.networks import CodecRuntime, Floats

STRENGTH = 0.7  # without a mask; 1 with one


@dataclass(frozen=True, eq=False)
class InitImage:
    """An image to start from instead of pure noise.

    pixels    bytes (H, W, C) with straight alpha, in the size and channels that the model draws.
    strength  in (0, 1]: the noise level to start at.
    mask      (H, W), true where to draw; None draws everywhere.
    """

    pixels: Pixels
    strength: float = STRENGTH
    mask: NDArray[np.bool_] | None = None

    @cached_property
    def normalized(self) -> Floats:
        """The image as float32 (1, C, H, W) in [-1, 1], premultiplied by its alpha."""
        pixels = self.pixels.astype(np.float32) / np.float32(255)
        pixels[..., :3] *= pixels[..., 3:] if self.has_alpha else np.float32(1)
        return pixels.transpose(2, 0, 1)[None] * np.float32(2) - np.float32(1)

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[-1] == 4

    def keep_unmasked(self, denoiser: Denoiser, codec: CodecRuntime) -> Denoiser:
        """A denoiser whose x0 shows this image outside the mask."""
        mask = self.mask
        if mask is None:
            return denoiser

        def inpainting(x_t: Array, t: float, cond: Array) -> Array:
            pixels = codec.decode(denoiser(x_t, t, cond)).clip(-1.0, 1.0)
            return codec.encode(np.where(mask, pixels, self.normalized))

        return inpainting

    def paste_unmasked(self, pixels: Pixels) -> Pixels:
        """Drawn bytes (B, H, W, C), with this image's own bytes outside the mask. What is drawn
        into an opaque image is opaque too: on white.
        """
        if self.mask is None:
            return pixels
        if self.has_alpha and self.pixels[..., 3].min() == 255:
            pixels = np.concatenate([on_white(pixels), np.full_like(pixels[..., 3:], 255)], -1)
        return np.where(self.mask[..., None], pixels, self.pixels)


def read_init_image(
    options: DrawOptions, size: int = IMAGE_SIZE, channels: int = 3
) -> InitImage | None:
    """The initial image that the options name, or None; `size` and `channels` are what the model
    draws. White in the mask is drawn, black is kept.

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
    return InitImage(read_image(Path(start), size, channels), strength, drawn)
