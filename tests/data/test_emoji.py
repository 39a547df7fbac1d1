"""The whole build, from eight small packages that the test writes."""

import io
import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from undiffuse.data import emoji
from undiffuse.data.emoji_sets import EMOJI_SETS, EMOJIBASE, Package
from undiffuse.data.iconify import decode_png
from undiffuse.data.shards import find_shards, read_shards
from undiffuse.errors import UserError

CIRCLE = '<circle cx="16" cy="16" r="14" fill="#d22"/>'
BROKEN = "<circle"
NAMES = [
    {"hexcode": "1F34E", "label": "red apple", "group": 0, "subgroup": 0, "tags": ["fruit"]},
    {"hexcode": "1FAB6", "label": "feather", "group": 0, "subgroup": 0},
    {"hexcode": "1F431", "label": "cat face", "group": 0, "subgroup": 0},
    {"hexcode": "1F44B-FE0F", "label": "waving hand", "group": 1, "subgroup": 0,
     "skins": [{"hexcode": "1F44B-1F3FF", "label": "waving hand: dark skin tone", "tone": 5}]},
]  # fmt: skip
MESSAGES = {
    "groups": [{"order": 0, "message": "food & drink"}, {"order": 1, "message": "people & body"}],
    "subgroups": [{"order": 0, "message": "things"}],
}


def pack(folder: Path, package: Package, files: dict[str, Any]) -> None:
    files = {"package.json": {"version": package.version}, **files}
    with tarfile.open(folder / package.tarball, "w:gz") as tar:
        for name, data in files.items():
            raw = data if isinstance(data, bytes) else json.dumps(data).encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))


def png(side: int = 64, alpha: int = 255) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (side, side), (30, 160, 60, alpha)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    pack(folder, EMOJIBASE, {"en/data.json": NAMES, "en/messages.json": MESSAGES})
    sprites = {
        "img/x/64/1f34e.png": png(), "img/x/64/1fab6.png": png(), "img/x/64/1f431.png": png(),
        "img/x/64/1f44b.png": png(side=32), "img/x/64/1f44b-1f3ff.png": png(alpha=0),
        "img/x/128/1f431.png": png(128),
    }  # fmt: skip
    for emoji_set in EMOJI_SETS.values():
        icons = {
            "red-apple": {"body": CIRCLE},
            "feather": {"body": CIRCLE},
            "cat-face": {"body": CIRCLE, "width": 40, "height": 40, "left": -4, "top": -4},
            "hand": {"body": CIRCLE},
            "waving-hand-dark": {"body": BROKEN},
        }
        more = {"waving-hand": {"parent": "hand"}} if emoji_set.style != "blob" else {}
        chars = {"1f34e": "red-apple"}
        files = {
            "icons.json": {"icons": icons, "aliases": more, "width": 32, "height": 32},
            "chars.json": chars,
        }
        pack(folder, emoji_set.package, sprites if emoji_set.has_png_files else files)
    return folder


@pytest.fixture(scope="module")
def built(packages: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emoji, "COMPOSITES", 12)
        log: list[str] = []
        report = emoji.build(out, packages, offline=True, workers=1, log=log.append)
    return report, list(read_shards(find_shards(out))), log


def test_the_report_counts_what_was_rendered_and_names_the_rest(built) -> None:
    report, samples, log = built
    count = Counter(s.record["family"] for s in samples if not s.record.get("composite"))
    assert count == dict(report.drawn)
    assert count == {
        "noto": 3, "twemoji": 3, "fluent": 4, "flat": 4, "emojione": 4, "blob": 3, "openmoji": 4,
    }  # fmt: skip
    assert report.absent["blob"] == ["waving hand"]
    assert report.absent["noto"] == []
    assert "noto/waving hand: it is 32x32 pixels, not 64x64" in report.broken
    assert "noto/waving hand: dark skin tone: the picture is empty" in report.broken
    broken_svg = [line for line in report.broken if line.startswith("blob/")]
    assert len(broken_svg) == 1
    assert broken_svg[0].startswith("blob/waving hand: dark skin tone: ")
    assert "noto: 3 pictures, 0 emoji not in this set" in log
    assert f"could not be rendered: {broken_svg[0]}" in log


def test_records_have_names_colors_and_splits(built) -> None:
    records = {s.key: s.record for s in built[1]}
    assert records["noto_1f34e"] == {
        "name": "red apple", "keywords": ["fruit"], "family": "noto", "group": "food & drink",
        "subgroup": "things", "tone": "", "code": "1f34e", "concept": "1f34e", "colour": "green",
        "split": "train",
    }  # fmt: skip
    assert records["flat_1f34e"]["colour"] == "red"
    assert records["openmoji_1f34e"]["split"] == "evaluation"
    assert records["flat_1f431"]["split"] == "held-out cell"
    assert records["noto_1f431"]["split"] == "train"
    assert {r["split"] for k, r in records.items() if k.endswith("_1fab6")} == {
        "held-out concept", "evaluation",
    }  # fmt: skip


def test_composites_are_made_of_training_pictures(built) -> None:
    made = [s for s in built[1] if s.record.get("composite")]
    assert len(made) == 12
    sources = {key for s in made for key in s.record["made_of"]}
    assert not any("1fab6" in key or key.startswith("openmoji") for key in sources)
    assert "flat_1f431" not in sources


def test_icons_are_rendered_in_their_own_view_box(built) -> None:
    by_key = {s.key: s.picture for s in built[1]}
    whole, inset = (by_key[f"flat_{code}"][..., 3] > 128 for code in ("1f34e", "1f431"))
    assert np.ptp(np.nonzero(whole)[0]) == pytest.approx(55, abs=1)
    assert np.ptp(np.nonzero(inset)[0]) == pytest.approx(44, abs=1)


def test_a_missing_file_or_package_is_named(packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    shutil.copytree(packages, folder)
    pack(folder, EMOJI_SETS["blob"].package, {})
    with pytest.raises(UserError, match=r"noto-v1.* has no icons\.json"):
        emoji.build(tmp_path / "out", folder, offline=True, workers=1)
    (folder / EMOJIBASE.tarball).unlink()
    with pytest.raises(UserError, match="has no emojibase-data"):
        emoji.build(tmp_path / "out", folder, offline=True)


def test_packages_without_any_picture_are_refused(packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    shutil.copytree(packages, folder)
    for emoji_set in EMOJI_SETS.values():
        pack(folder, emoji_set.package, {"icons.json": {"icons": {}}, "chars.json": {}})
    with pytest.raises(UserError, match="no picture could be rendered"):
        emoji.build(tmp_path / "out", folder, offline=True, workers=1)


def test_files_that_are_no_icon_are_refused() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        decode_png(b"no picture", 64)
    with pytest.raises(ValueError, match="32x32"):
        decode_png(png(32), 64)
