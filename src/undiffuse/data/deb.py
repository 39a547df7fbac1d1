"""Debian packages, fetched by apt and read without installing or unpacking them."""

import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from undiffuse.errors import UserError

MAX_FILE = 16 << 20  # bytes of a file that is read


@dataclass(frozen=True)
class DebianPackage:
    """A package for all architectures at a pinned version."""

    name: str
    version: str

    @property
    def file(self) -> str:
        """The file name that `apt-get download` gives it."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"


def fetch(package: DebianPackage, folder: Path) -> None:
    """Download the package if `folder` lacks it; apt checks its hash.

    UserError if there is no apt-get, or it fails.
    """
    if (folder / package.file).exists():
        return
    apt = shutil.which("apt-get")
    if apt is None:
        raise UserError(f"apt-get is not installed and {folder} lacks {package.file}: use Debian, "
                        "or pass --packages FOLDER with the packages")  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    spec = f"{package.name}={package.version}"
    done = subprocess.run(
        [apt, "download", spec], cwd=folder, capture_output=True, text=True, check=False
    )
    if not (folder / package.file).exists():
        reason = next((line for line in done.stderr.splitlines() if line.startswith("E:")), "")
        raise UserError(f"apt-get could not fetch {spec}: {reason or 'it gives no reason'}")


def read_files(
    package: DebianPackage, folder: Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    """Path and contents of the package's files for which `wanted(path)` is true, in its order.

    UserError if the package is missing or damaged, or there is no dpkg-deb.
    """
    path = folder / package.file
    if not path.is_file():
        raise UserError(f"{folder} has no {package.file}: fetch it with apt-get download")
    dpkg = shutil.which("dpkg-deb")
    if dpkg is None:
        raise UserError(f"dpkg-deb is not installed, which reads {path.name}: use Debian")
    command = [dpkg, "--fsys-tarfile", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        try:
            with tarfile.open(fileobj=child.stdout, mode="r|") as archive:
                for member in archive:
                    name = member.name.removeprefix("./")
                    stream = archive.extractfile(member) if member.isreg() else None
                    if stream and member.size <= MAX_FILE and wanted(name):
                        yield name, stream.read()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise UserError(f"{path} can't be read ({error}): delete it and run again") from error
