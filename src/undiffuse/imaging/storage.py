"""Folders at local paths and at fsspec addresses ("s3://bucket/vectors"): whole reads and writes.

Credentials and endpoints come from the environment, as the protocol's own tools read them; for S3:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

_MAX_REASON = 200  # characters of another library's message


@dataclass(frozen=True)
class StorageFolder:
    """A folder by its path or address. Every method raises UserError where storage fails."""

    address: str

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The fsspec file system and the folder's path in it."""
        try:
            from fsspec.core import url_to_fs
        except ModuleNotFoundError as error:
            said = f"{self.address} needs {error.name}"
            raise UserError(f"{said}: pip install 'undiffuse[bulk]'") from error
        with self._named(""):
            files, path = url_to_fs(self.address)
            return files, path.rstrip("/")

    @cached_property
    def local(self) -> Path | None:
        """The folder's path, if it is on this machine's disk."""
        files, path = self._place
        return Path(path) if "file" in files.protocol else None

    def sizes(self, below: str = "") -> dict[str, int]:
        """The files in the folder, or in the one `below` it: name -> bytes. None if it is missing.

        Reads the listing anew.
        """
        files, path = self._place
        with self._named(below):
            files.invalidate_cache()
            found = files.find(f"{path}/{below}".rstrip("/"), maxdepth=1, detail=True)
        return {name.rpartition("/")[2]: int(info["size"] or 0) for name, info in found.items()}

    @cached_property
    def names(self) -> list[str]:
        """The paths of all files from the folder, sorted; hidden ones left out."""
        files, path = self._place
        with self._named(""):
            found = (str(name)[len(path) :].lstrip("/") for name in files.find(path))
            return sorted(n for n in found if not any(p.startswith(".") for p in n.split("/")))

    def read(self, name: str, most: int) -> bytes:
        """What a file holds, of `most` bytes at most."""
        with self._named(name), self.open(name) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise UserError(f"{self.where(name)} is too large: more than {most >> 10} KiB")
        return data

    def read_all(self, below: str, most: int) -> dict[str, bytes]:
        """What the files in the folder `below` hold, by name; those above `most` bytes left out."""
        files, path = self._place
        names = [name for name, size in self.sizes(below).items() if size <= most]
        with self._named(below):
            held = files.cat([f"{path}/{below}/{name}" for name in names]) if names else {}
        return {place.rpartition("/")[2]: data for place, data in held.items()}

    def open(self, name: str) -> BinaryIO:
        """A file, to be read and sought in."""
        files, path = self._place
        with self._named(name):
            if self.local is not None:
                return (self.local / name).open("rb")
            # fsspec's own readline takes no limit.
            return cast(BinaryIO, BufferedReader(files.open(f"{path}/{name}", "rb")))

    def copy_to(self, name: str, target: Path) -> None:
        """Copy a file to this machine's disk."""
        files, path = self._place
        with self._named(name):
            files.get_file(f"{path}/{name}", str(target))

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all: a rename on a disk, one request in object storage."""
        files, path = self._place
        with self._named(name):
            if self.local is not None:
                target = self.local / name
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(target, data)
            else:
                files.pipe_file(f"{path}/{name}", data)

    def remove(self, name: str) -> None:
        """Delete a file."""
        files, path = self._place
        with self._named(name):
            files.rm_file(f"{path}/{name}")

    def where(self, name: str) -> str:
        """A file, as it is shown."""
        return f"{self.address.rstrip('/')}/{name}".rstrip("/") if name else self.address

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Turns what the storage raises into a UserError that names the file."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # each protocol has its own
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if isinstance(error, FileNotFoundError):
                reason = "no such file"
            said = " ".join(str(reason).split())[:_MAX_REASON]
            raise UserError(f"{self.where(name)} can't be reached: {said}") from error


def absolute_address(address: str | Path) -> str:
    """A local path made absolute, for workers that run elsewhere; an address as it is.

    An address may come as a `Path`, which makes one slash of "//".
    """
    text = str(address)
    if isinstance(address, Path):
        text = re.sub(r"^(\w{2,}):/(?=[^/])", r"\1://", text)
    return text if "://" in text or "::" in text else os.path.abspath(text)
