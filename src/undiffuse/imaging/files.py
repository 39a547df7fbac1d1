"""File access: bounded reads, atomic writes, and a check that a path is writable."""

import contextlib
import os
from pathlib import Path
from zlib import crc32

from undiffuse.errors import UserError

_MAX_FILE = 16 << 20  # bytes


def read_bytes(path: Path, most: int = _MAX_FILE) -> bytes:
    """The bytes of a file. UserError if it can't be read, or has more than `most` bytes."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no regular file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {_reason(error)}") from error
    if len(data) > most:
        raise UserError(f"{path} is too large: more than {most >> 20} MB")
    return data


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. UserError if it is no UTF-8, and as `read_bytes`."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text") from error


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
    """UserError unless a file can be written at `path` now. Checked before long work."""
    if os.path.exists(path) and not os.path.isfile(path):  # a device must not be replaced
        kind = "a folder" if os.path.isdir(path) else "no regular file"
        raise UserError(f"{path} can't be written: it is {kind}")
    try:
        with contextlib.suppress(FileNotFoundError):
            path.lstat()  # shows a name that is too long, which the temporary file's is not
        _try_writing(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be written: {_reason(error)}") from error


def check_folder(folder: Path) -> None:
    """UserError unless files can be written in `folder` now, or once it has been made."""
    try:
        bases = (folder, *folder.absolute().parents)
        base = next(base for base in bases if base.is_symlink() or base.exists())
        _try_writing(base / "file")
    except (OSError, ValueError) as error:
        raise UserError(f"no files can be written in {folder}: {_reason(error)}") from error


def _try_writing(path: Path) -> None:
    partial = _temporary_path(path)
    partial.open("xb").close()
    partial.unlink()


def _temporary_path(path: Path) -> Path:
    return path.with_name(f".undiffuse-{os.getpid()}-{crc32(os.fsencode(path.name)):08x}")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
