"""The committed test data: its contents, and that the script makes it again."""

from collections import Counter

import numpy as np
import pytest

from tests.data.make_subset import KEPT_TONES, choose, with_composites
from tests.sample import FOLDER, originals, samples
from undiffuse.config import STYLES
from undiffuse.data.emoji_sets import EMOJI_SETS, EMOJIBASE, TRAINED_STYLES
from undiffuse.data.split import split_concepts
from undiffuse.errors import UserError


def test_the_subset_has_what_the_tests_need() -> None:
    records = [sample.record for sample in originals()]
    count = Counter(record["split"] for record in records)
    assert len(records) == 254
    assert count == {"train": 220, "held-out cell": 18, "held-out concept": 16}
    apples = {r["family"] for r in records if r["name"] == "red apple"}
    assert apples == set(TRAINED_STYLES)
    assert {r["tone"] for r in records} == set(KEPT_TONES)
    assert {"flags", "people & body", "smileys & emotion"} <= {r["group"] for r in records}
    assert len(samples()) - len(records) == 20


def test_share_alike_sets_are_not_in_the_subset() -> None:
    assert {sample.record["family"] for sample in samples()} == set(TRAINED_STYLES)
    assert "openmoji" not in TRAINED_STYLES
    assert TRAINED_STYLES == STYLES
    assert not any("SA" in EMOJI_SETS[name].license for name in TRAINED_STYLES)


def test_concepts_have_all_their_styles_so_that_the_split_is_the_same() -> None:
    styles: dict[str, set[str]] = {}
    for sample in originals():
        styles.setdefault(sample.record["concept"], set()).add(sample.record["family"])
    flags = {s.record["concept"] for s in originals() if s.record["group"] == "flags"}
    held_out = split_concepts(styles, flags)
    for sample in originals():
        what = held_out[sample.record["concept"]]
        split = "held-out cell" if what == sample.record["family"] else "train"
        assert sample.record["split"] == ("held-out concept" if what == "concept" else split)


def test_the_subset_of_the_subset_is_the_subset() -> None:
    made = dict(with_composites(choose(samples(), 250)))
    assert list(made) == [*TRAINED_STYLES, "composite"]
    again = {sample.key: sample for part in made.values() for sample in part}
    assert again.keys() == {sample.key for sample in samples()}
    for sample in samples():
        assert again[sample.key].record == sample.record
        # Another version of Pillow can round differently.
        difference = again[sample.key].picture.astype(int) - sample.picture
        assert np.abs(difference).max() <= 2


def test_the_order_of_the_samples_does_not_matter() -> None:
    keys = {sample.key for sample in choose(samples(), 100)}
    assert {sample.key for sample in choose(samples()[::-1], 100)} == keys
    assert 100 <= len(keys) < 120


def test_choosing_more_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match="only 254 pictures to choose 300 from"):
        choose(samples(), 300)


def test_readme_names_every_package() -> None:
    text = (FOLDER.parent / "README.md").read_text()
    for name in TRAINED_STYLES:
        emoji_set, package = EMOJI_SETS[name], EMOJI_SETS[name].package
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert f"{package.name} {package.version}" in row
        assert emoji_set.license.replace("-2.0", " 2.0").replace("CC-BY-", "CC BY ") in row
    assert f"{EMOJIBASE.name} {EMOJIBASE.version} (MIT)" in text
