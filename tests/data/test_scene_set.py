"""A data set with scenes and icons in color behind its pictures."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.test_mixture import pictures
from undiffuse.data.composites import pluralize
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.scene_layers import COLORS
from undiffuse.data.scene_set import add_scenes, of_styles
from undiffuse.errors import UserError

COUNT = 120


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PictureSet:
    return add_scenes(pictures(), tmp_path_factory.mktemp("scenes") / "out", COUNT, 3, "discs")


def test_the_pictures_come_first_and_are_unchanged(made: PictureSet) -> None:
    own = pictures()
    assert len(made.records) == len(own.records) + COUNT
    assert np.array_equal(made.pictures[: len(own.records)], own.pictures)
    expected = [{**record, "key": key} for record, key in zip(own.records, own.keys, strict=True)]
    assert made.records[: len(expected)] == expected


def test_a_colored_icon_has_the_color_that_its_captions_name(made: PictureSet) -> None:
    tinted = made.rows(lambda record: record.get("composite") == "tinted")
    assert 8 < len(tinted) < COUNT / 3
    for row in tinted:
        (color,) = (name for name in COLORS if name in made.records[row]["captions"][0].split())
        rgba = made.pictures[row]
        solid = rgba[:3, rgba[3] == 255]
        assert (solid == np.array(COLORS[color])[:, None]).all()
        assert all(color in caption for caption in made.records[row]["captions"])


def test_scenes_have_a_caption_and_the_style_of_their_things(made: PictureSet) -> None:
    scenes = made.rows(lambda record: str(record.get("composite")).startswith("scene"))
    styles = {made.records[row]["family"] for row in scenes}
    assert styles <= {"noto", "flat", "solid", "ultimate"}
    assert len(styles) > 1
    assert all(made.records[row]["captions"][0] for row in scenes)
    assert all(made.records[row]["split"] == "train" for row in scenes)


def test_emoji_are_recolored_and_set_beside_each_other(made: PictureSet) -> None:
    kinds = {str(record.get("composite")) for record in made.records}
    assert {"beside", "two", "ground"} <= kinds


def test_nothing_is_white_on_white(made: PictureSet) -> None:
    for row in made.rows(lambda record: bool(record.get("composite"))):
        rgba = made.pictures[row].astype(int)
        on_white = rgba[:3] + 255 - rgba[3:]
        assert (on_white < 230).any(), made.records[row]["name"]


def test_the_same_seed_makes_the_same_set(made: PictureSet, tmp_path: Path) -> None:
    again = add_scenes(pictures(), tmp_path / "again", COUNT, 3, "discs")
    assert again.digest == made.digest
    other = add_scenes(pictures(), tmp_path / "other", COUNT, 4, "discs")
    assert other.digest != made.digest


def test_pictures_without_transparency_and_a_folder_that_exists_are_refused(tmp_path: Path) -> None:
    opaque = PictureSet(pictures().pictures[:, :3], pictures().records, pictures().keys)
    with pytest.raises(UserError, match="--alpha"):
        add_scenes(opaque, tmp_path / "out", 3, 0, "discs")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="exists"):
        add_scenes(pictures(), tmp_path, 3, 0, "discs")


def test_most_scenes_are_of_emoji(made: PictureSet) -> None:
    emoji = {r["family"] for r in pictures().records if r["style_group"] == "emoji"}
    scenes = made.rows(lambda record: str(record.get("composite")).startswith("scene"))
    families = [made.records[row]["family"] for row in scenes]
    assert 0.6 < np.mean([family in emoji for family in families]) < 0.95
    assert not {"", *emoji} >= set(families)


def test_only_composites_of_some_kinds_and_styles_are_made(tmp_path: Path) -> None:
    own = of_styles(pictures(), ["noto"])
    assert {record["family"] for record in own.records} == {"noto"}
    made = add_scenes(own, tmp_path / "out", 12, 0, "discs", kinds=["ground", "two"])
    kinds = [record.get("composite") for record in made.records[len(own.records) :]]
    assert len(kinds) == 12
    assert set(kinds) <= {"ground", "two"}
    every = add_scenes(own, tmp_path / "every", 40, 0, "discs", kinds=["two"],
                       held_out=lambda *pair: False)  # fmt: skip
    words = [record["concept"] for record in every.records[len(own.records) :]]
    assert set(words) == {f"two {pluralize(record['name'])}" for record in own.records}
    for bad, message in ((["scene"], "'scene' are unknown"), (["wearing"], "nothing for")):
        with pytest.raises(UserError, match=message):
            add_scenes(own, tmp_path / "bad", 12, 0, "discs", kinds=bad)
        assert not (tmp_path / "bad").exists()
    with pytest.raises(UserError, match="no emoji"):
        add_scenes(of_styles(pictures(), ["solid"]), tmp_path / "bad", 3, 0, "d", kinds=["two"])
    with pytest.raises(UserError, match="no picture has the style 'none'"):
        of_styles(pictures(), ["none"])
