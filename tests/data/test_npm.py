"""npm packages: errors name what is missing, damaged or of another version."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from undiffuse.data import npm
from undiffuse.data.emoji_sets import EMOJI_SETS, Package
from undiffuse.errors import UserError

PACKAGE = Package("@some/icons", "1.2.3")
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


def fake_npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the npm client, first on the path."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_tarballs_are_named_as_npm_pack_names_them() -> None:
    assert PACKAGE.tarball == "some-icons-1.2.3.tgz"
    assert EMOJI_SETS["noto"].package.tarball == "emoji-datasource-google-16.0.0.tgz"


def test_only_the_wanted_files_are_read(tmp_path: Path) -> None:
    tarball(tmp_path)
    found = npm.read_files(PACKAGE, tmp_path, lambda path: path.startswith("x/"))
    assert found == {"x/y.txt": b"y"}
    assert npm.read_json(PACKAGE, tmp_path, "icons.json") == [{"a": 1}]


def test_another_version_is_refused(tmp_path: Path) -> None:
    for manifest, found in ((b'{"version": "1.2.4"}', r"1\.2\.4"), (b"{}", "unknown"),
                            (b"[]", "unknown"), (None, "unknown")):  # fmt: skip
        files = {k: v for k, v in (FILES | {"package.json": manifest}).items() if v is not None}
        tarball(tmp_path, files)
        with pytest.raises(UserError, match=rf"1\.2\.3\.tgz holds version {found}"):
            npm.read_files(PACKAGE, tmp_path, lambda path: True)


def test_a_missing_tarball_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no some-icons-1\.2\.3\.tgz"):
        npm.read_files(PACKAGE, tmp_path, lambda path: True)


def test_a_damaged_tarball_is_named(tmp_path: Path) -> None:
    path = tarball(tmp_path)
    data = path.read_bytes()
    for damaged in (
        b"",
        b"no gzip at all",
        data[: len(data) // 2],
        data[:30] + bytes(20) + data[50:],
        gzip.compress(b"no tar" * 200),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"some-icons-1\.2\.3\.tgz can't be read .*run again"):
            npm.read_files(PACKAGE, tmp_path, lambda path: True)


def test_a_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "MAX_FILE_BYTES", 5)
    tarball(tmp_path, {"package.json": b"{}", "icons.json": b"123456"})
    with pytest.raises(UserError, match=r"icons\.json has 6 bytes"):
        npm.read_files(PACKAGE, tmp_path, lambda path: path == "icons.json")


def test_missing_and_broken_json_is_named(tmp_path: Path) -> None:
    tarball(tmp_path)
    with pytest.raises(UserError, match=r"has no chars\.json"):
        npm.read_json(PACKAGE, tmp_path, "icons.json", "chars.json")
    with pytest.raises(UserError, match=r"x/y\.txt in some-icons-1\.2\.3\.tgz is not JSON"):
        npm.read_json(PACKAGE, tmp_path, "x/y.txt")
    tarball(tmp_path, FILES | {"package.json": b"{"})
    with pytest.raises(UserError, match=r"package\.json in some-icons-1\.2\.3\.tgz is not JSON"):
        npm.read_json(PACKAGE, tmp_path, "icons.json")


def test_a_missing_npm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"npm is not installed and .* lacks some-icons"):
        npm.fetch([PACKAGE], tmp_path / "packages")


def test_existing_tarballs_are_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tarball(tmp_path)
    npm.fetch([PACKAGE], tmp_path)


def test_npm_fetches_the_pinned_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "packages"
    fake_npm(tmp_path / "bin", f'echo "$@" > {tmp_path}/said; touch {folder}/some-icons-1.2.3.tgz',
        monkeypatch)  # fmt: skip
    npm.fetch([PACKAGE], folder)
    said = (tmp_path / "said").read_text().split()
    assert said[0] == "pack"
    assert said[-3:] == ["--pack-destination", str(folder), "@some/icons@1.2.3"]


def test_the_reason_of_npm_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = "npm error code E404\nnpm error 404 Not Found - @some/icons@1.2.3\nnpm error more"
    fake_npm(tmp_path / "bin", f"printf '{errors}' >&2; exit 1".replace("\n", "\\n"), monkeypatch)
    with pytest.raises(UserError) as caught:
        npm.fetch([PACKAGE], tmp_path / "packages")
    assert str(caught.value) == (
        "npm could not fetch @some/icons@1.2.3: 404 Not Found - @some/icons@1.2.3"
    )


def test_a_failure_has_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path / "bin", "exit 0", monkeypatch)
    with pytest.raises(UserError, match=r"@some/icons@1\.2\.3: npm gives no reason"):
        npm.fetch([PACKAGE], tmp_path / "packages")


def test_only_sets_that_let_weights_be_shared_are_trained_on() -> None:
    free = {"MIT", "Apache-2.0", "CC-BY-4.0"}
    for emoji_set in EMOJI_SETS.values():
        assert (emoji_set.license in free) == emoji_set.trained
        assert emoji_set.package.version.count(".") == 2
