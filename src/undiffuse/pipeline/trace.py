"""The steps of a drawing as a moving picture or as one sheet, to see how it came out of noise.

For each step: x_t, what there is; x0, what the network takes the finished picture to be; and the
shares of picture and noise in x_t.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.png import Pixels, encode_png, upscale

if TYPE_CHECKING:
    from PIL import Image

    from undiffuse.pipeline.text_to_image import Look

MOST = 60  # steps that are shown, spread evenly, however many there are
COLUMNS = 10  # of a sheet
MOVING, LAST = 120, 2000  # milliseconds that a frame stays; the last one
GAP, LINE = 8, 16  # pixels
MOVES = {".gif": "GIF", ".apng": "PNG", ".webp": "WEBP"}


@dataclass(frozen=True, eq=False)
class Frame:
    """What is shown of a step: two pictures, bytes (64, 64, 3), and the words under them."""

    label: str
    x_t: Pixels
    x0: Pixels


@dataclass
class Trace:
    """Collects the steps of a drawing's first picture; `path`'s suffix says what becomes of them.

    .png is a sheet; .gif, .apng and .webp move. UserError for another suffix.
    """

    path: Path
    frames: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.suffix.lower() not in WRITERS:
            raise UserError(f"trace {self.path}: give a name that ends in {', '.join(WRITERS)}")

    def add(self, look: "Look") -> None:
        """Keep a step, if it is one of those that are shown."""
        step, first = look.step, slice(0, 1)
        shown = min(MOST, step.steps)
        if step.index * shown // step.steps > (step.index - 1) * shown // step.steps:
            label = f"{100 * step.alpha:.0f}% picture + {100 * step.sigma:.0f}% noise"
            self.frames.append(Frame(label, look.x_t(first)[0], look.x0(first)[0]))

    def save(self) -> None:
        """Write what was kept, whole or not at all. UserError if it can't be written."""
        write_atomic(self.path, WRITERS[self.path.suffix.lower()](self.frames))


def sheet(frames: list[Frame]) -> bytes:
    """A PNG: rows of x_t over x0, ten steps a row, from noise to picture."""
    from PIL import Image, ImageDraw, ImageFont

    font, scale = ImageFont.load_default(), 2
    side = len(frames[0].x_t) * scale
    wide = max(side, *(int(font.getlength(frame.label)) + 1 for frame in frames)) + GAP
    high, margin = 2 * side + LINE + 3 * GAP, 4 * GAP
    columns = min(COLUMNS, len(frames))
    rows = -(-len(frames) // columns)
    image = Image.new("RGB", (margin + columns * wide, rows * high + GAP), "white")
    draw = ImageDraw.Draw(image)
    for place, frame in enumerate(frames):
        left, top = margin + place % columns * wide, GAP + place // columns * high
        for row, (name, pixels) in enumerate((("x_t", frame.x_t), ("x0", frame.x0))):
            y = top + row * (side + GAP // 2)
            image.paste(Image.fromarray(upscale(pixels, scale)), (left, y))
            if place % columns == 0:
                draw.text((GAP, y + side // 2), name, "black", font)
        draw.text((left, top + 2 * side + GAP), frame.label, "black", font)
    return encode_png(np.asarray(image))


def _moving(frames: list[Frame], kind: str) -> bytes:
    from PIL import Image, ImageFont

    font = ImageFont.load_default()
    return moving([_frame(Image, font, frame) for frame in frames], kind)


def moving(images: Sequence["Image.Image"], kind: str) -> bytes:
    """A moving picture, GIF, PNG or WEBP, that stays at its end for a while and begins again."""
    times = [MOVING] * (len(images) - 1) + [LAST]
    file = BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    try:
        images[0].save(
            file, kind, save_all=True, append_images=images[1:], duration=times, loop=0, **options
        )
    except (KeyError, OSError) as error:  # this Pillow was built without it
        raise UserError(f"{kind} can't be written here: {error}") from error
    return file.getvalue()


def _frame(pil: Any, font: Any, frame: Frame) -> "Image.Image":
    """x_t beside x0, each four times as large, the shares under them."""
    from PIL import ImageDraw

    pair = upscale(np.concatenate([frame.x_t, frame.x0], axis=1), 4)
    image: Image.Image = pil.new("RGB", (pair.shape[1], pair.shape[0] + LINE + GAP), "white")
    image.paste(pil.fromarray(pair), (0, 0))
    draw = ImageDraw.Draw(image)
    draw.text((GAP, len(pair) + GAP // 2), f"x_t: {frame.label}", "black", font)
    draw.text((pair.shape[1] // 2 + GAP, len(pair) + GAP // 2), "x0, predicted", "black", font)
    return image


WRITERS: dict[str, Callable[[list[Frame]], bytes]] = {
    ".png": sheet,
    **{suffix: partial(_moving, kind=kind) for suffix, kind in MOVES.items()},
}
