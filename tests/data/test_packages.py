"""npm packages: what is missing, broken or of another version is named."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from undiffuse.data import packages
from undiffuse.data.emoji_sets import FAMILIES, Package
from undiffuse.errors import UserError

PACKAGE = Package("@some/icons", "1.2.3", "MIT")
FILES = {"package.json": b'{"version": "1.2.3"}', "icons.json": b'{"a": 1}', "x/y.txt": b"y"}


def tarball(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    """As `npm pack` writes it."""
    path = folder / PACKAGE.tarball
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def unpacked(folder: Path, files: dict[str, bytes] = FILES) -> None:
    """As it lies in node_modules."""
    for name, data in files.items():
        path = folder / PACKAGE.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the npm client, first on the path."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_names_of_tarballs() -> None:
    assert PACKAGE.tarball == "some-icons-1.2.3.tgz"
    assert FAMILIES["noto"].package.tarball == "emoji-datasource-google-16.0.0.tgz"


@pytest.mark.parametrize("lay", [tarball, unpacked])
def test_reads_what_is_wanted_and_no_more(lay, tmp_path: Path) -> None:
    lay(tmp_path)
    assert packages.read(PACKAGE, tmp_path, lambda path: path.startswith("x/")) == {"x/y.txt": b"y"}
    assert packages.read_json(PACKAGE, tmp_path, "icons.json") == [{"a": 1}]


@pytest.mark.parametrize("lay", [tarball, unpacked])
def test_another_version(lay, tmp_path: Path) -> None:
    lay(tmp_path, FILES | {"package.json": b'{"version": "1.2.4"}'})
    with pytest.raises(UserError, match=r"@some/icons .* is version 1\.2\.4; 1\.2\.3 is pinned"):
        packages.read(PACKAGE, tmp_path, lambda path: True)


@pytest.mark.parametrize("manifest", [None, b"{}", b"[]"])
def test_no_version(manifest: bytes | None, tmp_path: Path) -> None:
    files = {k: v for k, v in (FILES | {"package.json": manifest}).items() if v is not None}
    tarball(tmp_path, files)
    with pytest.raises(UserError, match="is version unknown"):
        packages.read(PACKAGE, tmp_path, lambda path: True)


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"neither some-icons-1\.2\.3\.tgz nor a folder @some/icons"
    ):
        packages.read(PACKAGE, tmp_path, lambda path: True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"no gzip at all",
        lambda data: data[: len(data) // 2],
        lambda data: data[:30] + bytes(20) + data[50:],
        lambda data: gzip.compress(b"no tar" * 200),
    ],
)
def test_broken_tarball(spoil, tmp_path: Path) -> None:
    path = tarball(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=r"some-icons-1\.2\.3\.tgz can't be read .*run again"):
        packages.read(PACKAGE, tmp_path, lambda path: True)


def test_member_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "MEMBER_LIMIT", 5)
    tarball(tmp_path, {"package.json": b"{}", "icons.json": b"123456"})
    with pytest.raises(UserError, match=r"icons\.json declares 6 bytes"):
        packages.read(PACKAGE, tmp_path, lambda path: path == "icons.json")


def test_json_missing_or_broken(tmp_path: Path) -> None:
    tarball(tmp_path)
    with pytest.raises(UserError, match=r"holds no chars\.json"):
        packages.read_json(PACKAGE, tmp_path, "icons.json", "chars.json")
    with pytest.raises(UserError, match=r"x/y\.txt of @some/icons is no JSON"):
        packages.read_json(PACKAGE, tmp_path, "x/y.txt")
    tarball(tmp_path, FILES | {"package.json": b"{"})
    with pytest.raises(UserError, match=r"package\.json of @some/icons is no JSON"):
        packages.read_json(PACKAGE, tmp_path, "icons.json")


def test_npm_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"npm is not installed, .* lacks some-icons-1\.2\.3\.tgz"):
        packages.fetch([PACKAGE], tmp_path / "packages")


def test_what_is_there_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tarball(tmp_path)
    packages.fetch([PACKAGE], tmp_path)


def test_npm_is_asked_for_pinned_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "packages"
    npm(tmp_path / "bin", f'echo "$@" > {tmp_path}/said; touch {folder}/some-icons-1.2.3.tgz',
        monkeypatch)  # fmt: skip
    packages.fetch([PACKAGE], folder)
    said = (tmp_path / "said").read_text().split()
    assert said[0] == "pack"
    assert said[-3:] == ["--pack-destination", str(folder), "@some/icons@1.2.3"]


def test_npm_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = "npm error code E404\nnpm error 404 Not Found - @some/icons@1.2.3\nnpm error more"
    npm(tmp_path / "bin", f"printf '{errors}' >&2; exit 1".replace("\n", "\\n"), monkeypatch)
    with pytest.raises(UserError) as caught:
        packages.fetch([PACKAGE], tmp_path / "packages")
    assert str(caught.value) == (
        "npm could not fetch @some/icons@1.2.3: 404 Not Found - @some/icons@1.2.3"
    )


def test_npm_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path / "bin", "exit 0", monkeypatch)
    with pytest.raises(UserError, match=r"could not fetch @some/icons@1\.2\.3: it gave no reason"):
        packages.fetch([PACKAGE], tmp_path / "packages")


def test_every_licence_lets_weights_be_shared() -> None:
    free = {"MIT", "Apache-2.0", "CC-BY-4.0"}
    for family in FAMILIES.values():
        assert (family.package.licence in free) == family.trained
        assert json.dumps(family.package.version).strip('"').count(".") == 2
