"""Contact sheets: pictures in a grid, each with a label below."""

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from undiffuse.evaluation.dataset import read_table
from undiffuse.evaluation.protocols import ImageGenerator, Pictures
from undiffuse.imaging.png import Pixels

TILE, GAP, LINES, LINE_HEIGHT, LETTER_WIDTH = 128, 8, 2, 12, 6  # LINES: of a label; others: pixels


def read_prompts() -> list[tuple[str, str]]:
    """The 100 (prompt, style) of the prompt sheet; style "" is the default."""
    return [(row[0], row[1] if len(row) > 1 else "") for row in read_table("prompts.txt")]


def contact_sheet(pictures: Pictures, labels: Sequence[str], columns: int = 10) -> Pixels:
    """`(B, 3, H, W)` in rows of `columns`, with labels; small ones are enlarged to about `TILE`."""
    side = pictures.shape[-1] * max(1, TILE // pictures.shape[-1])
    wide, high = side + GAP, side + GAP + LINES * LINE_HEIGHT
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * wide + GAP, rows * high + GAP), (235, 235, 235))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = GAP + index % columns * wide, GAP + index // columns * high
        image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
        sheet.paste(image.resize((side, side), Image.Resampling.NEAREST), (left, top))
        width = max(4, side // LETTER_WIDTH)
        lines = textwrap.wrap(label, width, max_lines=LINES, placeholder="…")
        for k, line in enumerate(lines):
            y = top + side + 1 + k * LINE_HEIGHT
            pen.text((left, y), line, fill=(40, 40, 40), font=font)
    return np.asarray(sheet)


def prompt_sheet(generator: ImageGenerator, seed: int = 0) -> Pixels:
    """The 100 prompts, drawn by a model."""
    prompts, styles = zip(*read_prompts(), strict=True)
    labels = [f"{p} ({s})" if s else p for p, s in zip(prompts, styles, strict=True)]
    return contact_sheet(generator(prompts, styles, seed), labels)


def pair_sheet(one: Pictures, other: Pictures, prompts: Sequence[str]) -> Pixels:
    """Rows of ten pictures of one model, each row above the same prompts of another."""
    side = max(one.shape[-1], other.shape[-1])
    large = [each.repeat(side // each.shape[-1], 2).repeat(side // each.shape[-1], 3)
             for each in (one, other)]  # fmt: skip
    rows, labels = [], list[str]()
    for start in range(0, len(prompts), 10):
        part = list(prompts[start : start + 10])
        gap = 10 - len(part)  # the last row may be shorter
        for pictures in large:
            blank = np.full((gap, *pictures.shape[1:]), 255, np.uint8)
            rows += [pictures[start : start + 10], blank]
        labels += [*[""] * 10, *part, *[""] * gap]
    return contact_sheet(np.concatenate(rows), labels)


def neighbor_sheet(
    drawn: Pictures, prompts: Sequence[str], neighbors: Sequence[tuple[str, Pictures]]
) -> Pixels:
    """Each drawing beside its nearest training pictures, three drawings per row.

    `neighbors`: for each view its name and the nearest picture of every drawing, `(B, 3, H, W)`.
    """
    columns = 1 + len(neighbors)
    stacked = np.stack([drawn, *(pictures for _, pictures in neighbors)], 1)  # (B, columns, ...)
    labels = [label for prompt in prompts for label in (prompt, *(view for view, _ in neighbors))]
    return contact_sheet(stacked.reshape(-1, *drawn.shape[1:]), labels, 3 * columns)
