"""Composites: reproducible, captioned as made, and never a held-out pair."""

from collections import Counter

import numpy as np
import pytest

from tests.sample import originals
from undiffuse.data import composites as module
from undiffuse.data.colors import NAMES, dominant_color
from undiffuse.data.composites import (
    ACCESSORIES,
    BACKGROUNDS,
    is_held_out_pair,
    main_color,
    make_composites,
    pluralize,
    put_on,
    remove_colors,
    shows_head,
    with_article,
)
from undiffuse.data.shards import Sample
from undiffuse.errors import UserError
from undiffuse.imaging.png import composite_on_white

MADE = list(make_composites(originals(), 300))
BY_KEY = {sample.key: sample for sample in originals()}


def of_kind(kind: str) -> list[Sample]:
    return [sample for sample in MADE if sample.record["composite"] == kind]


def test_number_k_depends_only_on_the_seed_and_k() -> None:
    again = list(make_composites(originals(), 40))
    for one, other in zip(again, MADE, strict=False):
        assert one.record == other.record
        assert np.array_equal(one.picture, other.picture)
    other_seed = list(make_composites(originals(), 40, seed=1))
    names = [[s.record["name"] for s in made] for made in (again, other_seed)]
    assert names[0] != names[1]


def test_every_kind_is_made_in_its_share() -> None:
    count = Counter(sample.record["composite"] for sample in MADE)
    assert count.keys() == {"recoloured", "wearing", "beside", "two", "ground"}
    assert count["recoloured"] > 80
    assert count["wearing"] > 35


def test_composites_are_made_of_training_pictures_of_one_style() -> None:
    for sample in MADE:
        sources = [BY_KEY[key].record for key in sample.record["made_of"]]
        assert {record["split"] for record in sources} == {"train"} == {sample.record["split"]}
        assert {record["family"] for record in sources} == {sample.record["family"]}
        assert not any(record["tone"] or record["group"] == "flags" for record in sources)
        assert sample.picture.shape == (64, 64, 4)
        assert sample.picture.dtype == np.uint8


@pytest.mark.parametrize("share", [module.HELD_OUT_SHARE, 0.5])
def test_held_out_pairs_are_never_made(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with half of all pairs held out, because the sample has few heads and hats."""
    monkeypatch.setattr(module, "HELD_OUT_SHARE", share)
    pairs = set()
    for sample in make_composites(originals(), 300):
        record = sample.record
        name = BY_KEY[record["made_of"][0]].record["name"]
        if record["composite"] == "recoloured":
            pairs.add((record["colour"], remove_colors(name)))
        elif record["composite"] == "wearing":
            pairs.add((record["worn"], name))
        elif record["composite"] == "beside":
            pairs.add(tuple(sorted((name, BY_KEY[record["made_of"][1]].record["name"]))))
        elif record["composite"] == "two":
            pairs.add(("two", name))
        else:
            ground = next(word for word in record["name"].split()[::-1] if word in BACKGROUNDS)
            pairs.add(("on", ground, name))
    assert len(pairs) > 100
    assert not any(is_held_out_pair(*pair) for pair in pairs)


def test_some_pairs_are_held_out() -> None:
    share = np.mean([is_held_out_pair("red", f"thing {k}") for k in range(2000)])
    assert share == pytest.approx(module.HELD_OUT_SHARE, abs=0.03)
    held_out = [color for color in NAMES[:7] if is_held_out_pair(color, "apple")]
    assert held_out == ["blue", "pink"]  # fixed, as the split is


def test_captions_describe_what_was_made() -> None:
    for sample in MADE:
        record = sample.record
        source = BY_KEY[record["made_of"][0]].record["name"]
        assert record["concept"] == f"{record['composite']}: {record['name']}"
        if record["composite"] == "recoloured":
            assert record["name"] == f"{record['colour']} {remove_colors(source)}"
            assert not set(record["keywords"]) & set(NAMES)
        elif record["composite"] == "wearing":
            assert record["name"].startswith(f"{source} wearing ")
            assert record["name"].endswith(record["worn"])
            assert record["worn"] in record["keywords"]
        elif record["composite"] == "two":
            assert record["name"] == f"two {pluralize(source)}"
        else:
            assert record["name"].startswith(f"{source} ")


def test_recolored_pictures_have_another_color() -> None:
    for sample in of_kind("recoloured"):
        source = BY_KEY[sample.record["made_of"][0]]
        assert main_color(source.record)
        assert sample.record["colour"] != main_color(source.record)
        assert np.array_equal(sample.picture[..., 3], source.picture[..., 3])
        assert not np.array_equal(sample.picture, source.picture)


def test_two_and_beside_show_both_halves() -> None:
    for sample in of_kind("two"):
        left, right = np.split(sample.picture, 2, axis=1)
        assert np.array_equal(left, right)
        assert left[..., 3].any()
    for sample in of_kind("beside"):
        for half in np.split(sample.picture, 2, axis=1):
            assert half[..., 3].any()
        assert not sample.picture[:16, :, 3].any()


def test_the_background_has_the_color_of_the_caption() -> None:
    for sample in of_kind("ground"):
        assert (sample.picture[..., 3] == 255).all()
        source = BY_KEY[sample.record["made_of"][0]].picture
        behind = source[..., 3] == 0
        if behind.any():
            name, share = dominant_color(sample.picture[..., :3], behind)
            assert share == 1.0
            assert f" {name} " in sample.record["name"]


def test_hats_sit_on_top_and_glasses_do_not() -> None:
    face = next(s for s in originals() if s.key == "noto_1f600").picture
    hat = next(s for s in originals() if s.key == "noto_1f3a9").picture
    glasses = next(s for s in originals() if s.key == "noto_1f453").picture
    hatted = put_on(face, hat, *ACCESSORIES["1f3a9"][1:])
    spectacled = put_on(face, glasses, *ACCESSORIES["1f453"][1:])
    assert hatted.shape == spectacled.shape == (64, 64, 4)
    ink = face[..., 3] > 128
    assert np.array_equal(spectacled[..., 3] > 128, ink)  # no larger than the face
    assert not np.array_equal(spectacled[16:40], face[16:40])
    assert np.array_equal(composite_on_white(spectacled[48:]), composite_on_white(face[48:]))
    black = (hatted[..., :3].max(-1) < 90) & (hatted[..., 3] > 128)
    assert black[:24].sum() > 100
    small = put_on(face, hat, 0.2, 0.05)
    assert np.array_equal(hatted[30:], small[30:])  # the hat is above


def test_faces_of_people_and_animals_show_a_head() -> None:
    for name, head in (("grinning face", True), ("cat face", True), ("cat", False), ("man", False)):
        record = next(s.record for s in originals() if s.record["name"] == name)
        assert shows_head(record) == head, name


def test_a_head_that_wears_a_hat_gets_no_other() -> None:
    record = next(s.record for s in originals() if s.record["name"] == "grinning face")
    assert not shows_head({**record, "keywords": ["hat"]})


def test_names_get_articles_and_plurals_and_lose_their_colors() -> None:
    for text, expected in (("apple", "an apple"), ("banana", "a banana"), ("orange", "an orange")):
        assert with_article(text) == expected
    plurals = {"dog": "dogs", "box": "boxes", "cherry": "cherries", "key": "keys", "bus": "buses"}
    for name, plural in plurals.items():
        assert pluralize(name) == plural
    nouns = {"red apple": "apple", "blue": "blue", "large blue diamond": "large diamond"}
    for name, noun in nouns.items():
        assert remove_colors(name) == noun


def test_kinds_that_a_set_cannot_have_are_left_out() -> None:
    plain = [s for s in originals() if s.record["concept"] not in ACCESSORIES]
    kinds = {s.record["composite"] for s in make_composites(plain, 40)}
    assert "wearing" not in kinds
    assert len(kinds) == 4
    gray = [s for s in plain if s.record["name"] == "man"]
    assert {s.record["composite"] for s in make_composites(gray, 20)} <= {"two", "ground"}


def test_a_set_without_training_pictures_is_refused() -> None:
    held_out = [s for s in originals() if s.record["split"] != "train"]
    with pytest.raises(UserError, match="no training picture"):
        list(make_composites(held_out, 1))
