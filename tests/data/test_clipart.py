"""Open clip art: names, mended files, the frame around a drawing, and the Debian package."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from undiffuse.data import clipart, deb
from undiffuse.data.clipart import OPENCLIPART, frame, mend, page, titles
from undiffuse.data.sources.svg import render
from undiffuse.errors import UserError

BOX = b'<svg width="200mm" height="100mm"><rect x="300" y="40" width="50" height="100"/></svg>'


def pixels(svg: bytes, side: int = 100) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(render(svg, side))).convert("RGBA"))


def test_titles_come_before_the_words_of_the_file_name() -> None:
    svg = b"<svg><dc:title>Red Apple's</dc:title></svg>"
    assert titles(svg, "food/apple_simon_01.svg") == ("red apple", "apple simon", "apple")
    assert titles(b"<svg/>", "food/arrow_01.svg") == ()
    long = b"<svg><dc:title>a very long title of a drawing</dc:title></svg>"
    assert titles(long, "pear.svg") == ("pear",)


def test_a_page_has_90_pixels_an_inch() -> None:
    assert page('<svg width="2in" height="90">') == (0, 0, 180, 90)
    assert page('<svg width="100pt" height="50pt">') == (0, 0, 125, 62.5)
    assert page('<svg viewBox="1 2, 3 4" width="9">') == (1, 2, 3, 4)
    with pytest.raises(ValueError, match="no size"):
        page('<svg width="100%" height="100%">')


def test_a_file_without_view_box_and_namespaces_is_mended() -> None:
    with pytest.raises(ValueError, match="can't be rendered"):
        render(b'<svg width="20mm" height="9mm"><x:y/><rect width="9" height="9"/></svg>', 64)
    drawn = pixels(mend(BOX))
    assert drawn.shape == (50, 100, 4)
    assert drawn[15, 45, 3] == 255
    ghost = mend(
        b'<svg width="9" height="9" inkscape:x="1"><dc:a/><rect width="9" height="9"/></svg>'
    )
    assert (pixels(ghost)[..., 3] == 255).all()


def test_the_frame_is_a_square_around_what_is_drawn() -> None:
    drawn = pixels(frame(BOX))[..., 3] > 127
    assert drawn.shape == (100, 100)
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    assert len(rows) == pytest.approx(93, abs=5)  # twice as tall as wide, and a margin
    assert len(columns) == pytest.approx(46, abs=5)
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(50, abs=3)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(50, abs=3)


def test_an_empty_drawing_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        frame(b'<svg width="9" height="9"/>'.replace(b"/>", b"></svg>"))
    with pytest.raises(ValueError, match="outer element"):
        mend(b"<html/>")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is Debian's")
def test_files_are_read_out_of_a_debian_package(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: openclipart-svg\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\n"
        "Description: test\n"
    )
    (root / "usr/share/openclipart/svg/food").mkdir(parents=True)
    (root / "usr/share/openclipart/svg/food/pear.svg").write_bytes(BOX)
    (root / "usr/share/openclipart/svg/food/flag_1.svg").write_bytes(BOX)
    command = ["dpkg-deb", "--build", str(root), str(tmp_path / OPENCLIPART.file)]
    subprocess.run(command, check=True, capture_output=True)
    found = list(clipart.read_clips(tmp_path))
    clips = [clip for clip in found if isinstance(clip, clipart.Clip)]
    assert [(clip.names, clip.svg) for clip in clips] == [(("pear",), BOX)]
    assert ("food/flag_1.svg", "polygon, theme, flag, sign or frame") in found


def test_a_missing_or_damaged_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="has no openclipart-svg"):
        list(clipart.read_clips(tmp_path))
    (tmp_path / OPENCLIPART.file).write_bytes(b"no package")
    if shutil.which("dpkg-deb"):
        with pytest.raises(UserError, match="can't be read"):
            list(clipart.read_clips(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="dpkg-deb is not installed"):
        list(clipart.read_clips(tmp_path))
    with pytest.raises(UserError, match="apt-get is not installed"):
        deb.fetch(OPENCLIPART, tmp_path / "other")


def test_apt_is_called_with_the_pinned_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        called.append(command)
        return subprocess.CompletedProcess(command, 100, "", "E: no such package\n")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UserError, match="E: no such package"):
        deb.fetch(OPENCLIPART, tmp_path)
    assert called == [["/usr/bin/apt-get", "download", "openclipart-svg=1:0.18+dfsg-19"]]
