"""Names of the files that `draw` writes: made from the prompt, numbered, and never overwritten
unasked."""

import os
import re
import unicodedata
from itertools import count as counting
from pathlib import Path

from undiffuse.errors import UserError
from undiffuse.imaging.files import check_writable
from undiffuse.imaging.output import FORMATS, check_format

MAX_SLUG = 48  # characters


def slug(prompt: str) -> str:
    """A prompt as a file name: lower-case ASCII letters and digits with "-" in between, or
    "picture" if none are left."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:MAX_SLUG].strip("-") or "picture"


def picture_paths(
    prompt: str, count: int, out: Path | None, *, grid: bool, overwrite: bool
) -> list[Path]:
    """A writable path for each picture, and one more for the grid if there is one.

    `out` is a .png, .webp or .svg file (the stem of the numbered names of several pictures), a
    folder, or None for the current folder. In a folder, the names are made from the prompt and
    unused. UserError for a file that exists without `overwrite`, or that can't be written.
    """
    if out is None or os.path.isdir(out):
        paths = _first_unused((out or Path()) / slug(prompt), count)
        grid_stem = paths[0].with_suffix("")
    elif out.suffix.lower() not in FORMATS:
        names = ", ".join(FORMATS)
        raise UserError(f"{out}: give a name that ends in {names}, or an existing folder")
    else:
        check_format(out)
        grid_stem = out.with_suffix("")
        paths = [out] if count == 1 else _numbered(grid_stem, 1, count, out.suffix)
    if grid:
        paths.append(grid_stem.with_name(f"{grid_stem.name}-grid.png"))
    for path in paths:
        check_output_path(path, overwrite=overwrite)
    return paths


def check_output_path(path: Path, *, overwrite: bool) -> None:
    """UserError unless a file can be written there, and none is there or `overwrite` is true."""
    if os.path.exists(path) and not os.path.isdir(path) and not overwrite:
        raise UserError(f"{path} exists already: give another name, or --overwrite")
    check_writable(path)


def _numbered(stem: Path, first: int, count: int, suffix: str = ".png") -> list[Path]:
    return [stem.with_name(f"{stem.name}-{k}{suffix}") for k in range(first, first + count)]


def _first_unused(stem: Path, count: int) -> list[Path]:
    """STEM.png for one picture, if it is unused; else the first unused run of numbered names."""
    alone = stem.with_name(f"{stem.name}.png")
    if count == 1 and not alone.exists():
        return [alone]
    runs = (_numbered(stem, first, count) for first in counting(2 if count == 1 else 1))
    return next(run for run in runs if not any(path.exists() for path in run))
