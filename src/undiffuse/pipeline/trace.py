"""A trace of a drawing: its steps as one contact sheet or as an animation.

Each frame shows x_t, the predicted x0, and the shares of picture and noise in x_t.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from undiffuse.config import IMAGE_SIZE
from undiffuse.imaging.animation import check_suffix, encode_animation
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.output import resize
from undiffuse.imaging.png import Pixels, encode_png, upscale

if TYPE_CHECKING:
    from PIL import Image

    from undiffuse.pipeline.picture import Preview

MAX_FRAMES = 60  # evenly spaced over the steps
COLUMNS = 10  # of a sheet
GAP, LINE = 8, 16  # pixels
SHEET_SIDE, FRAME_SIDE = 128, 256  # of a picture on a sheet, and in an animation


@dataclass(frozen=True, eq=False)
class Frame:
    """One step: x_t and x0 as bytes (S, S, 3), and a caption."""

    label: str
    x_t: Pixels
    x0: Pixels


@dataclass
class Trace:
    """Collects the steps of the first picture, and writes them to `path` in the format of its
    suffix: .png is a sheet; .gif, .apng and .webp are animations. UserError for another suffix.
    """

    path: Path
    frames: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_suffix(self.path)

    def add(self, preview: "Preview") -> None:
        """Keep a step, if it is one of the `MAX_FRAMES` that are shown."""
        step, first = preview.step, slice(0, 1)
        shown = min(MAX_FRAMES, step.steps)
        if step.index * shown // step.steps > (step.index - 1) * shown // step.steps:
            label = f"{100 * step.alpha:.0f}% picture + {100 * step.sigma:.0f}% noise"
            self.frames.append(Frame(label, preview.x_t(first)[0], preview.x0(first)[0]))

    def encode(self) -> bytes:
        """The file's bytes."""
        suffix = check_suffix(self.path)
        if suffix == ".png":
            return encode_sheet(self.frames)
        # Lossless, twenty noisy steps of 256 pixels would take 3 MB instead of 350 kB.
        small = len(self.frames[0].x_t) <= IMAGE_SIZE
        return encode_animation([_animation_frame(frame) for frame in self.frames], suffix, small)

    def save(self) -> None:
        """Write the file, whole or not at all. UserError if it can't be written."""
        write_atomic(self.path, self.encode())


def encode_sheet(frames: list[Frame]) -> bytes:
    """A PNG: rows of x_t over x0, ten steps a row, from noise to picture."""
    from PIL import Image, ImageDraw, ImageFont

    font, side = ImageFont.load_default(), SHEET_SIDE
    width = max(side, *(int(font.getlength(frame.label)) + 1 for frame in frames)) + GAP
    height, margin = 2 * side + LINE + 3 * GAP, 4 * GAP
    columns = min(COLUMNS, len(frames))
    rows = -(-len(frames) // columns)
    image = Image.new("RGB", (margin + columns * width, rows * height + GAP), "white")
    draw = ImageDraw.Draw(image)
    for number, frame in enumerate(frames):
        left, top = margin + number % columns * width, GAP + number // columns * height
        for row, (name, pixels) in enumerate((("x_t", frame.x_t), ("x0", frame.x0))):
            y = top + row * (side + GAP // 2)
            image.paste(Image.fromarray(_at_size(pixels, side)), (left, y))
            if number % columns == 0:
                draw.text((GAP, y + side // 2), name, "black", font)
        draw.text((left, top + 2 * side + GAP), frame.label, "black", font)
    return encode_png(np.asarray(image))


def _at_size(pixels: Pixels, side: int) -> Pixels:
    """Bytes (side, side, 3): small pictures enlarged by whole pixels, others resized."""
    times, rest = divmod(side, len(pixels))
    return resize(pixels, side) if rest or not times else upscale(pixels, times)


def _animation_frame(frame: Frame) -> "Image.Image":
    """x_t beside x0, with captions below."""
    from PIL import Image, ImageDraw

    pair = np.concatenate([_at_size(one, FRAME_SIDE) for one in (frame.x_t, frame.x0)], axis=1)
    height, width, _ = pair.shape
    image = Image.new("RGB", (width, height + LINE + GAP), "white")
    image.paste(Image.fromarray(pair), (0, 0))
    draw = ImageDraw.Draw(image)
    draw.text((GAP, height + GAP // 2), f"x_t: {frame.label}", "black")
    draw.text((width // 2 + GAP, height + GAP // 2), "x0, predicted", "black")
    return image
