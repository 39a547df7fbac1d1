"""Where pictures go: names made of prompts, numbers, and never over what is there unasked."""

import os
import re
import unicodedata
from itertools import count as counting
from pathlib import Path

from undiffuse.errors import UserError
from undiffuse.imaging.files import check_writable

_LONGEST = 48  # letters of a prompt in a file's name


def slug(prompt: str) -> str:
    """A prompt as a file's name: lower case ASCII letters and digits, "-" between; "picture" if
    none are left."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:_LONGEST].strip("-") or "picture"


def picture_paths(
    prompt: str, count: int, out: Path | None, *, grid: bool, overwrite: bool
) -> list[Path]:
    """A path for each picture, and one more for the grid if there is to be one; all writable.

    `out` is a .png file (of several pictures: what their numbered names are made of), a folder,
    or None for the present one. Names made of the prompt are those that are free; a name that was
    given must be free, or `overwrite` true. UserError if not, or if they can't be written.
    """
    given = out is not None and not os.path.isdir(out)
    if given and out is not None and out.suffix.lower() != ".png":
        raise UserError(f"{out}: give a name that ends in .png, or a folder that there is")
    stem = out.with_suffix("") if given and out is not None else (out or Path()) / slug(prompt)
    if given:
        paths = [out] if count == 1 and out is not None else _numbered(stem, 1, count)
    else:
        paths = _free(stem, count)
    if grid:
        paths.append(stem.with_name(f"{stem.name if given else paths[0].stem}-grid.png"))
    for path in paths:
        check_place(path, overwrite=overwrite)
    return paths


def check_place(path: Path, *, overwrite: bool) -> None:
    """UserError unless a file can be written there without loss, or may be."""
    if os.path.exists(path) and not os.path.isdir(path) and not overwrite:
        raise UserError(f"{path} is there already: give another name, or --overwrite")
    check_writable(path)


def _numbered(stem: Path, first: int, count: int) -> list[Path]:
    return [stem.with_name(f"{stem.name}-{k}.png") for k in range(first, first + count)]


def _free(stem: Path, count: int) -> list[Path]:
    """STEM.png for one picture, while it is free; else the first free run of numbers."""
    alone = stem.with_name(f"{stem.name}.png")
    if count == 1 and not alone.exists():
        return [alone]
    runs = (_numbered(stem, first, count) for first in counting(2 if count == 1 else 1))
    return next(run for run in runs if not any(path.exists() for path in run))
