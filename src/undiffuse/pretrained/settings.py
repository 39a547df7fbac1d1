"""JSON files that others wrote, hostile until checked: each value is checked when it is read."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undiffuse.errors import UserError

MOST = 64 << 20  # bytes of a file


def read_text(path: Path) -> str:
    """A file's text. UserError if it is missing, too large or no UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    if len(data) > MOST:
        raise UserError(f"{path} is too large: more than {MOST >> 20} MB")
    return text


@dataclass(frozen=True)
class Settings:
    """The values of a JSON object; `where` is what an error calls it.

    Each method raises UserError, naming file, setting and value, for what it does not read.
    """

    values: Mapping[str, Any]
    where: str

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """From a file that holds one JSON object."""
        try:
            values = json.loads(read_text(path))
        except (ValueError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} is no JSON: {error}") from error
        if not isinstance(values, dict):
            raise UserError(f"{path} is no JSON object")
        return cls(values, str(path))

    def refuse(self, name: str, wanted: str) -> UserError:
        """The error to raise for a setting: what it is, and what could be read."""
        said = f"{name}={self.values[name]!r:.60}" if name in self.values else f"no {name}"
        return UserError(f"{self.where} has {said}: undiffuse reads {wanted}")

    def part(self, name: str) -> "Settings":
        """The object in it of this name."""
        values = self.values.get(name)
        if not isinstance(values, dict):
            raise self.refuse(name, "an object")
        return Settings(values, f"{self.where}: {name}")

    def whole(self, name: str, most: int, least: int = 1) -> int:
        """A whole number in [least, most]."""
        value = self.values.get(name)
        if type(value) is not int or not least <= value <= most:
            raise self.refuse(name, f"a whole number from {least} to {most}")
        return value

    def number(self, name: str, least: float, most: float) -> float:
        """A number in (least, most]."""
        value: Any = self.values.get(name)
        if not _is_number(value) or not least < value <= most:
            raise self.refuse(name, f"a number above {least:g}, at most {most:g}")
        return float(value)

    def three(self, name: str) -> tuple[float, float, float]:
        """Three numbers, one for each colour."""
        value = self.values.get(name)
        if not isinstance(value, list) or len(value) != 3 or not all(map(_is_number, value)):
            raise self.refuse(name, "three numbers, for red, green and blue")
        return float(value[0]), float(value[1]), float(value[2])

    def one_of(self, name: str, known: Collection[Any]) -> Any:
        """A value that is among the known ones."""
        value = self.values.get(name)
        if not any(type(value) is type(one) and value == one for one in known):
            raise self.refuse(name, " or ".join(map(repr, known)))
        return value

    def nothing_else(self, read: Collection[str], neutral: Mapping[str, Collection[Any]]) -> None:
        """Refuse a setting that is not in `read`, unless its value is one that does nothing."""
        for name, value in self.values.items():
            if name not in read and value not in neutral.get(name, ()):
                wanted = " or ".join(map(repr, neutral.get(name, ()))) or "no such setting"
                raise self.refuse(name, wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
