"""The sample: what it must hold, and that the committed command gives it again."""

from collections import Counter

import numpy as np
import pytest

from tests.sample import FOLDER, originals, samples
from undiffuse.config import STYLES
from undiffuse.data.emoji_sets import FAMILIES, NAMES, TRAINED
from undiffuse.data.test_subset import KEPT_TONES, choose, with_composites
from undiffuse.errors import UserError


def test_what_tests_need_is_there() -> None:
    records = [sample.record for sample in originals()]
    count = Counter(record["split"] for record in records)
    assert len(records) == 254
    assert count == {"train": 220, "held-out cell": 18, "held-out concept": 16}
    apples = {r["family"] for r in records if r["name"] == "red apple"}
    assert apples == set(TRAINED)
    assert {r["tone"] for r in records} == set(KEPT_TONES)
    assert {"flags", "people & body", "smileys & emotion"} <= {r["group"] for r in records}
    assert len(samples()) - len(records) == 20


def test_no_family_whose_licence_asks_for_the_same() -> None:
    assert {sample.record["family"] for sample in samples()} == set(TRAINED)
    assert "openmoji" not in TRAINED
    assert TRAINED == STYLES
    assert not any("SA" in FAMILIES[name].package.licence for name in TRAINED)


def test_concepts_are_whole() -> None:
    """All families that draw a concept are there: the split, which depends on them, comes out."""
    from undiffuse.data.split import split_cells

    families: dict[str, set[str]] = {}
    for sample in originals():
        families.setdefault(sample.record["concept"], set()).add(sample.record["family"])
    flags = {s.record["concept"] for s in originals() if s.record["group"] == "flags"}
    held_out = split_cells(families, flags)
    for sample in originals():
        what = held_out[sample.record["concept"]]
        split = "held-out cell" if what == sample.record["family"] else "train"
        assert sample.record["split"] == ("held-out concept" if what == "concept" else split)


def test_the_sample_of_the_sample_is_the_sample() -> None:
    made = dict(with_composites(choose(samples(), 250)))
    assert list(made) == [*TRAINED, "composite"]
    again = {sample.key: sample for part in made.values() for sample in part}
    assert again.keys() == {sample.key for sample in samples()}
    for sample in samples():
        assert again[sample.key].record == sample.record
        # Resampling may round otherwise in another version of Pillow.
        difference = again[sample.key].picture.astype(int) - sample.picture
        assert np.abs(difference).max() <= 2


def test_order_of_the_samples_does_not_matter() -> None:
    keys = {sample.key for sample in choose(samples(), 100)}
    assert {sample.key for sample in choose(samples()[::-1], 100)} == keys
    assert 100 <= len(keys) < 120


def test_too_few_to_choose_from() -> None:
    with pytest.raises(UserError, match="only 254 pictures to choose 300 from"):
        choose(samples(), 300)


def test_readme_names_every_package() -> None:
    text = (FOLDER.parent / "README.md").read_text()
    for name in TRAINED:
        package = FAMILIES[name].package
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert f"{package.name} {package.version}" in row
        assert package.licence.replace("-2.0", " 2.0").replace("CC-BY-", "CC BY ") in row
    assert f"{NAMES.name} {NAMES.version} ({NAMES.licence})" in text
