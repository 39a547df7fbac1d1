"""Composites: the same again, captioned as made, and never a pair that is kept for judging."""

from collections import Counter

import numpy as np
import pytest

from tests.sample import originals
from undiffuse.data import composites as module
from undiffuse.data.colours import NAMES, dominant
from undiffuse.data.composites import (
    GROUNDS,
    WORN,
    can_be_recoloured,
    composites,
    is_head,
    is_held_out,
    noun,
    plural,
    wear,
    with_article,
)
from undiffuse.data.picture_set import on_white
from undiffuse.data.shards import Sample
from undiffuse.errors import UserError

MADE = list(composites(originals(), 300))
BY_KEY = {sample.key: sample for sample in originals()}


def of_kind(kind: str) -> list[Sample]:
    return [sample for sample in MADE if sample.record["composite"] == kind]


def test_number_k_depends_on_seed_and_k_alone() -> None:
    again = list(composites(originals(), 40))
    for one, other in zip(again, MADE, strict=False):
        assert one.record == other.record
        assert np.array_equal(one.picture, other.picture)
    other_seed = list(composites(originals(), 40, seed=1))
    names = [[s.record["name"] for s in made] for made in (again, other_seed)]
    assert names[0] != names[1]


def test_every_kind_is_made_in_its_share() -> None:
    count = Counter(sample.record["composite"] for sample in MADE)
    assert count.keys() == {"recoloured", "wearing", "beside", "two", "ground"}
    assert count["recoloured"] > 80
    assert count["wearing"] > 35


def test_made_of_training_pictures_of_one_family() -> None:
    for sample in MADE:
        sources = [BY_KEY[key].record for key in sample.record["made_of"]]
        assert {record["split"] for record in sources} == {"train"} == {sample.record["split"]}
        assert {record["family"] for record in sources} == {sample.record["family"]}
        assert not any(record["tone"] or record["group"] == "flags" for record in sources)
        assert sample.picture.shape == (64, 64, 4)
        assert sample.picture.dtype == np.uint8


@pytest.mark.parametrize("share", [module.PAIR_SHARE, 0.5])
def test_held_out_pairs_are_never_made(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them as well: few heads and hats are in the sample."""
    monkeypatch.setattr(module, "PAIR_SHARE", share)
    pairs = set()
    for sample in composites(originals(), 300):
        record = sample.record
        name = BY_KEY[record["made_of"][0]].record["name"]
        if record["composite"] == "recoloured":
            pairs.add((record["colour"], noun(name)))
        elif record["composite"] == "wearing":
            pairs.add((record["worn"], name))
        elif record["composite"] == "beside":
            pairs.add(tuple(sorted((name, BY_KEY[record["made_of"][1]].record["name"]))))
        elif record["composite"] == "two":
            pairs.add(("two", name))
        else:
            ground = next(word for word in record["name"].split()[::-1] if word in GROUNDS)
            pairs.add(("on", ground, name))
    assert len(pairs) > 100
    assert not any(is_held_out(*pair) for pair in pairs)


def test_some_pairs_are_held_out() -> None:
    share = np.mean([is_held_out("red", f"thing {k}") for k in range(2000)])
    assert share == pytest.approx(module.PAIR_SHARE, abs=0.03)
    held_out = [colour for colour in NAMES[:7] if is_held_out(colour, "apple")]
    assert held_out == ["blue", "pink"]  # fixed, as the split is


def test_captions() -> None:
    for sample in MADE:
        record = sample.record
        source = BY_KEY[record["made_of"][0]].record["name"]
        assert record["concept"] == f"{record['composite']}: {record['name']}"
        if record["composite"] == "recoloured":
            assert record["name"] == f"{record['colour']} {noun(source)}"
            assert not set(record["keywords"]) & set(NAMES)
        elif record["composite"] == "wearing":
            assert record["name"].startswith(f"{source} wearing ")
            assert record["name"].endswith(record["worn"])
            assert record["worn"] in record["keywords"]
        elif record["composite"] == "two":
            assert record["name"] == f"two {plural(source)}"
        else:
            assert record["name"].startswith(f"{source} ")


def test_recoloured_is_another_colour() -> None:
    for sample in of_kind("recoloured"):
        source = BY_KEY[sample.record["made_of"][0]]
        assert can_be_recoloured(source.record)
        assert sample.record["colour"] != source.record["colour"]
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


def test_ground_is_the_colour_that_is_said() -> None:
    for sample in of_kind("ground"):
        assert (sample.picture[..., 3] == 255).all()
        source = BY_KEY[sample.record["made_of"][0]].picture
        behind = source[..., 3] == 0
        if behind.any():
            name, share = dominant(sample.picture[..., :3], behind)
            assert share == 1.0
            assert f" {name} " in sample.record["name"]


def test_hats_sit_on_top_and_glasses_do_not() -> None:
    face = next(s for s in originals() if s.key == "noto_1f600").picture
    hat = next(s for s in originals() if s.key == "noto_1f3a9").picture
    glasses = next(s for s in originals() if s.key == "noto_1f453").picture
    hatted = wear(face, hat, *WORN["1f3a9"][1:])
    spectacled = wear(face, glasses, *WORN["1f453"][1:])
    assert hatted.shape == spectacled.shape == (64, 64, 4)
    ink = face[..., 3] > 128
    assert np.array_equal(spectacled[..., 3] > 128, ink)  # no larger than the face
    assert not np.array_equal(spectacled[16:40], face[16:40])
    assert np.array_equal(on_white(spectacled[48:]), on_white(face[48:]))
    black = (hatted[..., :3].max(-1) < 90) & (hatted[..., 3] > 128)
    assert black[:24].sum() > 100
    small = wear(face, hat, 0.2, 0.05)
    assert np.array_equal(hatted[30:], small[30:])  # the hat is above


@pytest.mark.parametrize(
    ("name", "head"), [("grinning face", True), ("cat face", True), ("cat", False), ("man", False)]
)
def test_heads(name: str, head: bool) -> None:
    assert is_head(next(s.record for s in originals() if s.record["name"] == name)) == head


def test_what_wears_something_already_is_no_head() -> None:
    record = next(s.record for s in originals() if s.record["name"] == "grinning face")
    assert not is_head({**record, "keywords": ["hat"]})


@pytest.mark.parametrize(
    ("text", "expected"), [("apple", "an apple"), ("banana", "a banana"), ("orange", "an orange")]
)
def test_articles(text: str, expected: str) -> None:
    assert with_article(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dog", "dogs"), ("box", "boxes"), ("cherry", "cherries"), ("key", "keys"), ("bus", "buses")],
)
def test_plurals(name: str, expected: str) -> None:
    assert plural(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("red apple", "apple"), ("blue", "blue"), ("large blue diamond", "large diamond")],
)
def test_nouns(name: str, expected: str) -> None:
    assert noun(name) == expected


def test_a_family_without_hats_and_a_set_without_colours() -> None:
    """What can't be made is left out; the rest is made."""
    plain = [s for s in originals() if s.record["concept"] not in WORN]
    kinds = {s.record["composite"] for s in composites(plain, 40)}
    assert "wearing" not in kinds
    assert len(kinds) == 4
    grey = [s for s in plain if s.record["name"] == "man"]
    assert {s.record["composite"] for s in composites(grey, 20)} <= {"two", "ground"}


def test_nothing_to_make_them_of() -> None:
    held_out = [s for s in originals() if s.record["split"] != "train"]
    with pytest.raises(UserError, match="no picture to make composites of"):
        list(composites(held_out, 1))
