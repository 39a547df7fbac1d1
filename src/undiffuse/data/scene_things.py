"""The things that scenes are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from undiffuse.data import colors
from undiffuse.layout.layers import Premultiplied

NO_SCENES = frozenset({"flags", "symbols", "smileys & emotion"})
COUNTABLE = frozenset({"animals & nature", "food & drink", "objects", "travel & places"})
MAX_NAME_WORDS = 3


@dataclass(frozen=True)
class Thing:
    """A picture that scenes are made of.

    picture   (S, S, 4) uint8, premultiplied.
    name      in the singular, without article: "dog".
    tintable  drawn in one color, which can be exchanged.
    style     of which all things of a scene are; "" is a style too.
    countable several of them can be counted: no crowd, no mass.
    """

    picture: Premultiplied
    name: str
    style: str = ""
    tintable: bool = False
    countable: bool = True


def thing_of(picture: Premultiplied, record: Mapping[str, Any]) -> Thing | None:
    """The thing that a record of `undiffuse data pictures` describes, or None for what makes no
    scene: skin tones, flags, symbols, faces and long names."""
    words = record["name"].split()
    if record.get("tone") or record["group"] in NO_SCENES or len(words) > MAX_NAME_WORDS:
        return None
    if any(not word.isalpha() or word in colors.NAMES for word in words):
        return None
    countable = record["group"] in COUNTABLE and not words[-1].endswith(("s", "ing"))
    tintable = bool(record.get("tintable"))
    return Thing(picture, record["name"], record["family"], tintable, countable)
