"""Types of command-line parameters that click lacks: they refuse a bad value before any work."""

import math
import unicodedata
from os.path import realpath
from pathlib import Path
from typing import Any

import click

from undiffuse.errors import UserError
from undiffuse.imaging.files import check_folder, check_writable


class FiniteFloat(click.FloatRange):
    """A number in a range; never NaN or infinity, which `click.FloatRange` lets through."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class OutputPath(click.ParamType):
    """A file or a folder to write to. It can be written now, and no other option writes to it."""

    name = "path"

    def __init__(self, *, folder: bool = False) -> None:
        self.check = check_folder if folder else check_writable

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        path = Path(value)
        self.check(path)
        key, name = same_file_key(path), param.opts[-1]
        other = ctx.meta.setdefault("undiffuse.outputs", {}).setdefault(key, name)
        if other != name:
            raise UserError(f"{other} and {name} both write to {path}: give two names")
        return path


def same_file_key(path: Path) -> str:
    """Equal for two spellings of one file: links, `..`, case and Unicode's forms aside."""
    return unicodedata.normalize("NFC", realpath(path)).casefold()


OUTPUT_FILE, OUTPUT_FOLDER = OutputPath(), OutputPath(folder=True)
