"""What a drawing returns: pictures with their records, and a preview after each step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undiffuse.diffusion import Step
from undiffuse.diffusion.arrays import Array, check_int
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.output import Output, encode_picture
from undiffuse.imaging.png import MAX_SCALE, Pixels, encode_png, image_grid, on_white, upscale
from undiffuse.pipeline.scenes import compose

if TYPE_CHECKING:
    from undiffuse.pipeline.sampling import DrawPlan


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn picture: bytes (H, W, 3 or 4), the record to draw it again, and notes."""

    pixels: Pixels
    record: dict[str, Any]
    notes: tuple[str, ...] = ()

    def save(
        self, path: str | Path, scale: int = 1, *, size: int | None = None,
        background: str | None = None,
    ) -> None:  # fmt: skip
        """Write a file: WebP or SVG by the suffix of `path`, otherwise PNG with the record.

        scale       each pixel as scale x scale; goes without `size`.
        size        64, 128, 256 or 512 pixels a side: reduced by area, enlarged by Lanczos.
        background  "transparent", "white" or "#rrggbb".
        UserError for another value, or if the file can't be written.
        """
        check_int("scale", scale, 1, MAX_SCALE + 1)
        if size is not None and scale != 1:
            raise UserError(f"scale={scale} and size={size} exclude each other: give one of them")
        path, output = Path(path), Output(size, background)
        pixels = upscale(output.render(self.pixels), scale)
        write_atomic(
            path, encode_picture(pixels, self.record | output.record(), path.suffix.lower())
        )


def save_grid(
    pictures: Sequence[Picture], path: Path, scale: int, columns: int = 0,
    output: Output | None = None,
) -> None:  # fmt: skip
    """Write one PNG with all pictures and their records; nearly square if `columns` is 0."""
    output = output or Output()
    shown = [upscale(output.render(picture.pixels), scale) for picture in pictures]
    records = [picture.record | output.record() for picture in pictures]
    write_atomic(path, encode_png(image_grid(shown, columns=columns), {"grid": records}))


@dataclass(frozen=True, eq=False)
class Preview:
    """The state of a drawing after one step: the `diffusion.Step`, and its arrays as pixels."""

    step: Step
    plan: "DrawPlan"
    decode: Callable[[Array], Pixels]

    def x_t(self, which: slice = slice(None)) -> Pixels:
        """The noisy pictures after the step: bytes (B, H, W, 3), on white."""
        return on_white(self.pixels(self.step.x_t, which))

    def x0(self, which: slice = slice(None)) -> Pixels:
        """The finished pictures as predicted at this step: bytes (B, H, W, 3), on white."""
        return on_white(self.pixels(self.step.x0, which))

    def both(self) -> tuple[Pixels, Pixels]:
        """`x_t` and `x0`, decoded in one call: the codec decodes its rows in parallel."""
        x_t, x0 = np.split(self.decode(np.concatenate([self.step.x_t, self.step.x0])), 2)
        canvases = self.plan.canvases
        return on_white(compose(x_t, canvases)), on_white(compose(x0, canvases))

    def pixels(self, latents: Array, which: slice = slice(None)) -> Pixels:
        """The pictures of x_t or x0: bytes (B, H, W, C) with straight alpha. `which`: of them."""
        canvases = self.plan.canvases[which]
        rows = slice(canvases[0].rows.start, canvases[-1].rows.stop)
        return compose(self.decode(latents[rows]), canvases)

    def pictures(self) -> list[Picture]:
        """The pictures after this step. Those of the last step are the drawing."""
        pixels, plan = self.pixels(self.step.x_t), self.plan
        if plan.init_image is not None:
            pixels = plan.init_image.paste_unmasked(pixels)
        return [Picture(*parts) for parts in zip(pixels, plan.records, plan.notes, strict=True)]
