"""The files of a data set, by their paths from its root: in a folder, or in a zip archive."""

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from undiffuse.data.sources.item import FileFacts, printable
from undiffuse.errors import UserError


class Tree(Protocol):
    """`names`: every file's path from the root with "/" between, sorted, hidden files left out."""

    @property
    def names(self) -> list[str]: ...

    def open(self, name: str) -> BinaryIO:
        """The file, to be read and sought in. OSError or ValueError if it can't be opened."""

    def where(self, name: str) -> str:
        """The file, as it is shown."""


def read_file(tree: Tree, name: str, most: int) -> bytes:
    """What the file holds. ValueError if it can't be read or has more than `most` bytes."""
    try:
        with tree.open(name) as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise ValueError(f"there is no file {printable(name)}") from None
    except OSError as error:
        raise ValueError(f"the file can't be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"the file can't be read: {error}") from None
    if len(data) > most:
        raise ValueError(f"the file has more than {most >> 10} KiB")
    return data


def file_facts(tree: Tree, names: Iterable[str]) -> Iterator[FileFacts]:
    """Names, sizes and times of files, without opening them; for a zip, those of the archive.
    OSError if a file is missing.
    """
    if isinstance(tree, FolderTree):
        for name in names:
            found = os.stat(tree.root / name)
            yield name, found.st_size, found.st_mtime_ns
    elif isinstance(tree, ZipTree):
        found = os.stat(tree.path)
        yield tree.path.name, found.st_size, found.st_mtime_ns
    else:
        yield from ((name, 0, 0) for name in names)


def is_hidden(name: str) -> bool:
    """Whether a file or folder on the way is hidden, or one of macOS' own."""
    parts = (part for part in name.split("/") if part not in (".", ".."))
    return any(part.startswith((".", "__MACOSX")) for part in parts)


@dataclass(frozen=True)
class FolderTree:
    """A folder. Links to files are followed, links to folders are not."""

    root: Path

    @cached_property
    def names(self) -> list[str]:
        found: list[str] = []
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{folder}{entry.name}/")
                    elif entry.is_file():
                        found.append(folder + entry.name)
        found.sort()
        return found

    def open(self, name: str) -> BinaryIO:
        path = self.root / name
        if path.exists() and not path.is_file():
            raise ValueError(f"{printable(name)} is no file")
        return path.open("rb")

    def where(self, name: str) -> str:
        return printable(str(self.root / name))


@dataclass(frozen=True)
class ZipTree:
    """A zip archive, read in place: nothing is unpacked to disk. UserError if it is broken."""

    path: Path

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise UserError(f"{self.path} is no zip archive that can be read: {error}") from error

    @cached_property
    def names(self) -> list[str]:
        return sorted({name for name in self._archive.namelist()
                       if not name.endswith("/") and not is_hidden(name)})  # fmt: skip

    def open(self, name: str) -> BinaryIO:
        try:
            return cast(BinaryIO, self._archive.open(name))
        except KeyError:
            raise FileNotFoundError(name) from None

    def where(self, name: str) -> str:
        return printable(f"{self.path}: {name}")

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}  # an open archive can't go to another process
