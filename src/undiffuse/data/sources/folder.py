"""Pictures in folders: captions in text files beside them, or in the names."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from random import Random

from undiffuse.data.sources.columns import parse_object, read_words
from undiffuse.data.sources.decode import ENDINGS, UNREADABLE
from undiffuse.data.sources.file_names import Folders, caption_from_name, captions_from_label
from undiffuse.data.sources.item import (
    MAX_TEXT,
    Entry,
    FileFacts,
    Part,
    Words,
    clean_text,
    decode_text,
    printable,
)
from undiffuse.data.sources.tree import Tree, file_facts, read_file
from undiffuse.imaging.read import MAX_FILE

_PICTURES = (*ENDINGS, *UNREADABLE)
_SIDE_FILES = (".txt", ".caption", ".json")  # beside name.png; the first that is there is read


def ending(name: str) -> str:
    """ "a/b.PNG" -> ".png"."""
    return os.path.splitext(name)[1].lower()


@dataclass(frozen=True)
class FolderReader:
    """`NAME.png` and, if there are any in the data set, `NAME.txt`: a caption on each line."""

    tree: Tree

    @cached_property
    def pictures(self) -> list[str]:
        """The paths of all pictures, those that can't be read among them."""
        return [name for name in self.tree.names if name.lower().endswith(_PICTURES)]

    @cached_property
    def _side_files(self) -> dict[str, str]:
        """The path without its ending -> the caption file, for pictures that have one."""
        found: dict[str, str] = {}
        for kind in reversed(_SIDE_FILES):
            named = (name for name in self.tree.names if name.lower().endswith(kind))
            found |= {name[: -len(kind)]: name for name in named}
        if not found:
            return found
        pictures = {name.rpartition(".")[0] for name in self.pictures}
        return {root: name for root, name in found.items() if root in pictures}

    @cached_property
    def _folders(self) -> Folders:
        return Folders(self.pictures)

    @property
    def format(self) -> str:
        return "folder with caption files" if self._side_files else "folder with names as captions"

    def describe(self) -> str:
        """The format and what was found, in one line."""
        parts = [f"{len(self.pictures)} pictures"]
        if self._side_files:
            parts.append(f"{len(self._side_files)} of them with a caption file")
        if self._folders.labels:
            parts.append(f"{len(self._folders.labels)} folders as labels")
        return f"{self.format}: {', '.join(parts)}"

    def file_facts(self) -> Iterator[FileFacts]:
        """Of the pictures and their caption files."""
        return file_facts(self.tree, sorted({*self.pictures, *self._side_files.values()}))

    def entries(self, part: Part) -> Iterator[Entry]:
        """The part's pictures by path, or in an order by its seed."""
        names = self.pictures
        if part.seed is not None:
            names = names.copy()
            Random(part.seed).shuffle(names)
        for number, name in part.share(enumerate(names)):
            progress = (number + 1) / len(names)
            yield Entry(printable(name), self.tree.where(name), partial(self._load, name), progress)

    def _load(self, name: str) -> tuple[bytes, Words]:
        if ending(name) in UNREADABLE:
            raise ValueError(f"{ending(name)} can't be read: convert it to PNG or JPEG")
        said = self._words(name)
        words = said._replace(
            label=said.label or self._folders.label(name),
            split=said.split or self._folders.split(name),
        )
        return read_file(self.tree, name, MAX_FILE), words

    def _words(self, name: str) -> Words:
        if not self._side_files:
            caption = caption_from_name(name)
            return Words([caption] if caption else captions_from_label(self._folders.label(name)))
        side = self._side_files.get(name.rpartition(".")[0])
        if side is None:
            return Words([])
        text = decode_text(read_file(self.tree, side, MAX_TEXT))
        return read_words(parse_object(text)) if ending(side) == ".json" else Words(lines(text))


def lines(text: str) -> list[str]:
    """The captions of a text file: its lines that say something, each once."""
    cleaned = (clean_text(line) for line in text.splitlines())
    return list(dict.fromkeys(line for line in cleaned if line))
