"""What a data set holds: items, and the entries that items are decoded from."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.split import unit_hash

MAX_TEXT = 1 << 18  # bytes of a caption file, a record or a row
VALIDATION_SHARE = 0.02
SPLITS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
# Parts of a name that differ between copies of one picture: icon@2x, icon-24px, 16x16/icon,
# icon (1), "icon copy".
_COPY = re.compile(r"@\dx|[-_ ]?\d+px\b|[-_ ]?\d+x\d+\b/?|\s*\(\d+\)|[-_ ]copy\b|\.\w+$")

T = TypeVar("T")
FileFacts = tuple[str, int, int]  # name, bytes, time of the last change in nanoseconds


@dataclass(frozen=True, eq=False)
class Item:
    """A captioned picture. `image`: uint8 (H, W, 4), straight alpha, upright."""

    key: str  # unique in the data set, and the same in every run
    image: NDArray[np.uint8]
    captions: list[str]  # may be empty
    label: str = ""
    style: str = ""
    split: str = ""
    origin: str = ""  # the file, and the line or the member where there is one
    record: Mapping[str, Any] = field(default_factory=dict)  # see `columns.own_fields`


class Words(NamedTuple):
    """What is said of a picture."""

    captions: list[str]
    label: str = ""
    style: str = ""
    split: str = ""
    record: Mapping[str, Any] = MappingProxyType({})  # see `columns.own_fields`


@dataclass(frozen=True, eq=False)
class Entry:
    """A picture that is not decoded yet.

    `load` returns the picture's file and its words; ValueError or OSError if it can't. `size`:
    bytes that the entry holds in memory. `progress`: the share of the data set read by then.
    """

    key: str
    origin: str
    load: Callable[[], tuple[bytes, Words]]
    progress: float = 0.0
    size: int = 0


@dataclass(frozen=True)
class Part:
    """What one of `workers` reads of a data set, ordered by `seed`; None keeps its own order."""

    worker: int = 0
    workers: int = 1
    seed: int | None = None

    def share(self, things: Iterable[T]) -> Iterator[T]:
        """Every `workers`-th thing, from `worker` on."""
        return islice(things, self.worker, None, self.workers)


def failing(reason: str) -> Callable[[], tuple[bytes, Words]]:
    """The `load` of an entry that is known to be bad."""

    def load() -> tuple[bytes, Words]:
        raise ValueError(reason)

    return load


def clean_text(text: str) -> str:
    """A caption in one line: white space folded, no control characters, valid Unicode."""
    folded = " ".join(text.split())
    if folded.isprintable() and folded.isascii():
        return folded
    kept = "".join(c for c in folded if c.isprintable() or c in "\u200d\ufe0e\ufe0f")
    return kept.encode(errors="ignore").decode().strip("\ufeff ")


def printable(name: str) -> str:
    """A name that can be shown and stored: control characters and undecodable bytes escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def decode_text(data: bytes) -> str:
    """Text in UTF-8 or UTF-16 with a mark, else in Windows' Western code page.

    ValueError for what is too long or binary.
    """
    if len(data) > MAX_TEXT:
        raise ValueError(f"the text is longer than {MAX_TEXT >> 10} KiB")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        raise ValueError("the caption file is binary, not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def default_split(key: str, share: float = VALIDATION_SHARE) -> str:
    """By a hash of the key, "validation" or "train"; sizes and copies of one name stay together."""
    return "validation" if unit_hash("split", _COPY.sub("", key)) < share else "train"
