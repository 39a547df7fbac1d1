"""npm packages as bytes: fetched by the ordinary npm client, read without unpacking to disk."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from undiffuse.data.families import Package
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
        [npm, "pack", "--silent", "--pack-destination", str(folder), *specs],
        capture_output=True,
        text=True,
        check=False,
    )
    for package in missing:
        if not (folder / package.tarball).exists():
            errors = [line for line in done.stderr.splitlines() if "warn" not in line]
            reason = errors[0] if errors else "it is not there"
            raise UserError(f"npm could not fetch {package.name}@{package.version}: {reason}")


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
    found = json.loads(files.pop("package.json", b"{}")).get("version", "unknown")
    if found != package.version:
        raise UserError(
            f"{package.name} in {folder} is version {found}; {package.version} is pinned"
        )
    return files


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
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{tarball} can't be read ({error}): delete it and run again") from error
    return files
