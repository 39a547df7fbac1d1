"""npm packages as bytes: fetched by the ordinary npm client, read without unpacking to disk."""

import json
import re
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from undiffuse.data.emoji_sets import Package
from undiffuse.errors import UserError

# The largest member wanted is 100 MB of SVG in one JSON file.
MEMBER_LIMIT = 256 * 1024 * 1024


def fetch(packages: list[Package], folder: Path) -> None:
    """Put each package's tarball into `folder` with `npm pack`, unless it lies there already.

    Raises UserError when npm is missing, answers with an error, or brings another version.
    """
    missing = [package for package in packages if not (folder / package.tarball).exists()]
    if not missing:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"npm is not installed, and {folder} lacks {missing[0].tarball}: install Node.js, "
            "or put the tarballs of the packages there and pass --packages"
        )
    folder.mkdir(parents=True, exist_ok=True)
    specs = [f"{package.name}@{package.version}" for package in missing]
    done = subprocess.run(
        [npm, "pack", "--loglevel=error", "--pack-destination", str(folder), *specs],
        capture_output=True,
        text=True,
        check=False,
    )
    for package in missing:
        if not (folder / package.tarball).exists():
            reason = _reason(done.stderr)
            raise UserError(f"npm could not fetch {package.name}@{package.version}: {reason}")


def _reason(errors: str) -> str:
    """The first line of npm's that says something: codes and numbers come before it."""
    lines = [re.sub(r"^npm (error|ERR!) ?", "", line) for line in errors.splitlines()]
    said = [
        line for line in lines if line and not re.match(r"(code|syscall|errno|npm warn) ", line)
    ]
    return said[0] if said else "it gave no reason"


def read(package: Package, folder: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The package's files for whose path `wanted` is true: path inside the package -> bytes.

    `folder` holds the tarball as `npm pack` names it, or the unpacked package under its own name
    (as in node_modules). Raises UserError when it is not there or is another version.
    """
    tarball, unpacked = folder / package.tarball, folder / package.name
    if tarball.is_file():
        files = _from_tarball(tarball, lambda path: path == "package.json" or wanted(path))
    elif unpacked.is_dir():
        paths = {p.relative_to(unpacked).as_posix(): p for p in unpacked.rglob("*") if p.is_file()}
        files = {
            name: path.read_bytes()
            for name, path in paths.items()
            if name == "package.json" or wanted(name)
        }
    else:
        raise UserError(f"{folder} holds neither {package.tarball} nor a folder {package.name}")
    manifest = parse(package, "package.json", files.pop("package.json", b"{}"))
    found = manifest.get("version", "unknown") if isinstance(manifest, dict) else "unknown"
    if found != package.version:
        raise UserError(
            f"{package.name} in {folder} is version {found}; {package.version} is pinned"
        )
    return files


def read_json(package: Package, folder: Path, *paths: str) -> list[Any]:
    """What the package's JSON files at `paths` hold. Raises UserError as `read` does, and when one
    is missing or is no JSON.
    """
    files = read(package, folder, lambda path: path in paths)
    for path in paths:
        if path not in files:
            raise UserError(f"{package.name} in {folder} holds no {path}: is it all there?")
    return [parse(package, path, files[path]) for path in paths]


def parse(package: Package, path: str, data: bytes) -> Any:
    """The JSON file's value. Raises UserError when it is none."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise UserError(f"{path} of {package.name} is no JSON: {error}") from error


def _from_tarball(tarball: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    files = {}
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            for member in archive:
                path = member.name.partition("/")[2]  # npm puts everything under package/
                if not member.isreg() or not wanted(path):
                    continue
                if member.size > MEMBER_LIMIT:
                    raise UserError(f"{tarball.name}: {path} declares {member.size} bytes")
                stream = archive.extractfile(member)
                if stream is not None:
                    files[path] = stream.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"{tarball} can't be read ({error}): delete it and run again") from error
    return files
