"""npm packages, fetched as tarballs by the npm client and read without unpacking them to disk."""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import zlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from undiffuse.data.emoji_sets import Package
from undiffuse.errors import UserError

# The largest file that is read is a JSON file with 100 MB of SVG.
MAX_FILE_BYTES = 256 * 1024 * 1024
_REASON = r"^npm (?:error|ERR!) (?!code |syscall |errno )(.+)"


def fetch(packages: list[Package], folder: Path) -> None:
    """Download the tarballs that `folder` lacks, with `npm pack`.

    Raises UserError if npm is missing, fails, or does not deliver the pinned version.
    """
    missing = [package for package in packages if not (folder / package.tarball).exists()]
    if not missing:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"npm is not installed and {folder} lacks {missing[0].tarball}: install Node.js, "
            "or pass --packages FOLDER with the tarballs of the packages"
        )
    folder.mkdir(parents=True, exist_ok=True)
    specs = [f"{package.name}@{package.version}" for package in missing]
    command = [npm, "pack", "--loglevel=error", "--pack-destination", str(folder), *specs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for package, spec in zip(missing, specs, strict=True):
        if not (folder / package.tarball).exists():
            reasons = re.findall(_REASON, done.stderr, re.MULTILINE) or ["npm gives no reason"]
            raise UserError(f"npm could not fetch {spec}: {reasons[0]}")


def read_files(package: Package, folder: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The files of a package's tarball in `folder` for which `wanted(path)` is true, by path.

    Raises UserError if the tarball is missing, damaged, of another version, or not the pinned file.
    """
    tarball = folder / package.tarball
    if not tarball.is_file():
        raise UserError(f"{folder} has no {package.tarball}: fetch it with npm pack")
    if package.integrity and package.integrity != _integrity(tarball):
        raise UserError(f"{tarball} is not the file that npm lists: delete it and run again")
    files = {}
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            for member in archive:
                path = member.name.partition("/")[2]  # npm puts everything under package/
                if not member.isreg() or not (path == "package.json" or wanted(path)):
                    continue
                if member.size > MAX_FILE_BYTES:
                    raise UserError(f"{tarball}: {path} has {member.size} bytes, too many to read")
                stream = archive.extractfile(member)
                assert stream is not None  # of a regular file
                files[path] = stream.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"{tarball} can't be read ({error}): delete it and run again") from error
    manifest = parse_json(package, "package.json", files.pop("package.json", b"{}"))
    found = manifest.get("version", "unknown") if isinstance(manifest, dict) else "unknown"
    if found != package.version:
        raise UserError(f"{tarball} holds version {found}: delete it and run again")
    return files


def _integrity(path: Path) -> str:
    """npm's name for the content of a file."""
    with path.open("rb") as file:
        return f"sha512-{b64encode(hashlib.file_digest(file, 'sha512').digest()).decode()}"


def read_json(package: Package, folder: Path, *paths: str) -> list[Any]:
    """The values of a package's JSON files. Raises UserError as `read_files` does, and for a file
    that is missing or is not JSON.
    """
    files = read_files(package, folder, lambda path: path in paths)
    for path in paths:
        if path not in files:
            raise UserError(f"{package.tarball} in {folder} has no {path}: delete it and run again")
    return [parse_json(package, path, files[path]) for path in paths]


def parse_json(package: Package, path: str, data: bytes) -> Any:
    """The value of a JSON file of a package. Raises UserError if it is not JSON."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise UserError(f"{path} in {package.tarball} is not JSON: {error}") from error
