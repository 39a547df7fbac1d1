"""`undiffuse data check`: the report on a messy folder, its JSON, its sheet and its exit status."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.data.sources.make import BAR, noise, picture, write
from undiffuse.cli import progress_bar
from undiffuse.cli.data import command
from undiffuse.errors import UserError


def check(*arguments: object) -> tuple[int, str, str]:
    """`undiffuse data check ...`: exit status, stdout, stderr."""
    result = CliRunner().invoke(command, ["check", *map(str, arguments)])
    if isinstance(result.exception, UserError):
        return 2, "", str(result.exception)  # as `main` reports it
    assert result.exception is None, result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    write(tmp_path / "set", {
        "cats/one.png": noise(1), "cats/one.txt": "a cat",
        "cats/two.png": noise(2, 32), "cats/two.txt": "a cat\n" + "very " * 40 + "long",
        "dogs/three.png": noise(1), "dogs/three.txt": "",
        "dogs/wide.jpg": picture("JPEG", size=(40, 10)), "dogs/wide.txt": "a bar",
        "dogs/wide2.jpg": picture("JPEG", (199, 31, 41), (40, 10)), "dogs/wide2.txt": "a dog",
        "dogs/bar.svg": BAR,
        "broken.png": b"x", "photo.heic": b"x",
    })  # fmt: skip
    return tmp_path / "set"


def test_the_report_of_a_messy_folder(messy: Path) -> None:
    out = messy.parent / "sheet.png"
    status, text, err = check(messy, "-o", out)
    assert (status, err) == (0, "")
    for wanted in (
        f"{messy}: folder with caption files: 8 pictures, 5 of them with a caption file",
        "pictures: 6, 0 with transparency",
        "width 8 to 128, median 36; height 8 to 256, median 10",
        "at 64x64 with --fit pad: 1 reduced, 5 enlarged, 3 padded",
        "! pictures without a caption: 2\n    dogs/bar.svg\n    dogs/three.png",
        "! captions above 32 tokens, which are cut: 1\n    43 tokens: very very",
        "2: a cat",
        "labels: dogs 4, cats 2",
        "! exact duplicates: 1 in 1 groups\n    cats/one.png, dogs/three.png",
        "! near duplicates: 1 groups\n    dogs/wide.jpg, dogs/wide2.jpg",
        "! broken: 2",
        f"    {messy}/photo.heic: .heic can't be read: convert it to PNG or JPEG",
    ):
        assert wanted in text, wanted
    assert text.endswith(f"\n{out}\n")
    with Image.open(out) as sheet:
        assert sheet.width > 1000


def test_json_holds_the_same_figures(messy: Path) -> None:
    status, text, _ = check(messy, "--json", "--fit", "crop", "--size", "16")
    found = json.loads(text)
    assert status == 0
    assert found["format"] == "folder with caption files"
    assert found["pictures"] == 6
    assert found["fit"]["cropped"] == 3
    assert found["fit"]["most_lost"] == 0.75
    assert found["broken"]["count"] == 2
    assert found["captions"]["pictures_without"] == 2
    assert found["duplicates"]["first_exact"] == [["cats/one.png", "dogs/three.png"]]
    assert json.loads(check(messy, "--json", "--limit", "2")[1])["pictures"] == 2


def test_nothing_usable_is_exit_status_2(tmp_path: Path) -> None:
    root = write(tmp_path / "set", {"a.png": b"x"})
    status, _, err = check(root)
    assert status == 2
    assert f"none can be used; {root}/a.png: the file is no picture" in err
    assert "\n" not in err
    assert check(tmp_path / "nowhere")[0] == 2
    assert check(root, "-o", tmp_path / "x.jpg")[0] == 2


def test_a_sheet_is_not_replaced_unasked(messy: Path) -> None:
    sheet = messy.parent / "sheet.png"
    sheet.write_bytes(b"mine")
    status, _, err = check(messy, "-o", sheet)
    assert status == 2
    assert "sheet.png exists already" in err
    assert sheet.read_bytes() == b"mine"
    assert check(messy, "-o", sheet, "--overwrite")[0] == 0


def test_progress_with_the_time_left_goes_to_stderr(
    messy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, show = 0.0, progress_bar.Progress.show

    def show_late(*args: Any) -> None:  # a minute after the item before
        nonlocal now
        now += 61
        show(*args)

    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now)
    monkeypatch.setattr(progress_bar.Progress, "show", show_late)
    err = check(messy)[2].splitlines()
    assert err[0] == "reading: 2 samples, 1 broken, 25%, 3 min left"
    assert err[-2] == "reading: 7 samples, 1 broken, 88%, 52 s left"
    assert err[-1] == "reading: done in 6 min"


def test_the_sheet_shows_the_same_pictures_whatever_the_order(tmp_path: Path) -> None:
    from undiffuse.data.sources import open_source
    from undiffuse.data.sources.check import SHEET, Check

    write(tmp_path, {f"{k:03d}.png": noise(k) for k in range(100)})
    kept = []
    for shuffle in (0, 10):
        check = Check(16, "pad")
        for item in open_source(tmp_path, shuffle=shuffle):
            check.add(item)
        kept.append(np.stack([square for _, _, square in check.sheet]))
    assert len(kept[0]) == SHEET
    assert np.array_equal(*kept)
