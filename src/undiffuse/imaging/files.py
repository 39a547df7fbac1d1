"""File access: bounded reads, atomic writes, and a check that a path is writable."""

import contextlib
import os
from pathlib import Path
from zlib import crc32

from undiffuse.errors import UserError

_MAX_FILE = 16 << 20  # bytes


def read_bytes(path: Path, most: int = _MAX_FILE) -> bytes:
    """What a file holds. UserError if it is none, can't be read, or has more than `most` bytes."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {_reason(error)}") from error
    if len(data) > most:
        raise UserError(f"{path} is too large: more than {most >> 20} MB")
    return data


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all. UserError if it can't be written."""
    partial = _temporary_path(path)
    try:
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} can't be written: {_reason(error)}") from error


def check_writable(path: Path) -> None:
    """UserError unless a file could be written there now: so that nothing is drawn in vain."""
    if os.path.isdir(path):
        raise UserError(f"{path} can't be written: it is a folder")
    partial = _temporary_path(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.lstat()  # a name too long shows here, and not in the partial file's
        partial.open("xb").close()
        partial.unlink()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be written: {_reason(error)}") from error


def _temporary_path(path: Path) -> Path:
    return path.with_name(f".undiffuse-{os.getpid()}-{crc32(os.fsencode(path.name)):08x}")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
