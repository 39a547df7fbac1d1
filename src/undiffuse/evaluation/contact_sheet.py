"""Contact sheets: pictures in a grid with words under each, to be looked at."""

import textwrap
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from undiffuse.evaluation.protocols import Painter, Pictures
from undiffuse.imaging.png import Pixels

SCALE, GAP, LINES, LINE, LETTER = 2, 8, 2, 12, 6  # pixels, but for the lines of a label


def read_prompts() -> list[tuple[str, str]]:
    """The 100 (prompt, style) that every candidate model draws; style "" is the default."""
    text = (files("undiffuse.evaluation") / "prompts.txt").read_text()
    rows = [line for line in text.splitlines() if line and not line.startswith("#")]
    split = [row.partition("|") for row in rows]
    return [(prompt.strip(), style.strip()) for prompt, _, style in split]


def contact_sheet(
    pictures: Pictures, labels: Sequence[str], columns: int = 10, scale: int = SCALE
) -> Pixels:
    """`(B, 3, H, W)` in rows of `columns`, each enlarged by whole pixels with its label below."""
    side = pictures.shape[-1] * scale
    wide, high = side + GAP, side + GAP + LINES * LINE
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * wide + GAP, rows * high + GAP), (235, 235, 235))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = GAP + place % columns * wide, GAP + place // columns * high
        image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
        sheet.paste(image.resize((side, side), Image.Resampling.NEAREST), (left, top))
        lines = textwrap.wrap(label, max(4, side // LETTER), max_lines=LINES, placeholder="…")
        for number, line in enumerate(lines):
            pen.text((left, top + side + 1 + number * LINE), line, fill=(40, 40, 40), font=font)
    return np.asarray(sheet)


def prompt_sheet(painter: Painter, seed: int = 0) -> Pixels:
    """The 100 prompts drawn by a model."""
    prompts, styles = zip(*read_prompts(), strict=True)
    labels = [f"{p} ({s})" if s else p for p, s in zip(prompts, styles, strict=True)]
    return contact_sheet(painter(prompts, styles, seed), labels)


def neighbour_sheet(
    drawn: Pictures, prompts: Sequence[str], neighbours: Sequence[tuple[str, Pictures]]
) -> Pixels:
    """Each drawing beside its nearest training pictures, three such rows abreast.

    `neighbours`: for each view its name and the nearest picture of every drawing, `(B, 3, H, W)`.
    """
    columns = 1 + len(neighbours)
    stacked = np.stack([drawn, *(pictures for _, pictures in neighbours)], 1)  # (B, columns, ...)
    labels = [label for prompt in prompts for label in (prompt, *(view for view, _ in neighbours))]
    return contact_sheet(stacked.reshape(-1, *drawn.shape[1:]), labels, 3 * columns)
