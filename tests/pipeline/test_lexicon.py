"""Drawing with a lexicon: what is read is drawn, recorded and drawn again."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clip.lexicons import LANGUAGES, write_lexicon
from tests.conftest import Run
from undiffuse import TextToImage, load
from undiffuse.clip.reading import Reader
from undiffuse.explore.expression import MAX_LENGTH, parse_expression
from undiffuse.imaging.png import read_png
from undiffuse.pipeline.prompt import parse_prompt

FAST: dict[str, Any] = {"steps": 2, "style": ""}


@pytest.fixture(scope="module")
def folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with the lexicon of the tests."""
    copy = tmp_path_factory.mktemp("lexicon") / "model"
    shutil.copytree(model_folder, copy)
    write_lexicon(copy / "lexicon.safetensors")
    return copy


@pytest.fixture(scope="module")
def model(folder: Path) -> TextToImage:
    return load(folder)


def pixels(model: TextToImage, prompt: str, **options: Any) -> np.ndarray:
    return model.generate(prompt, **{**FAST, **options})[0].pixels


def test_an_unknown_word_is_drawn_as_it_is_read(model: TextToImage) -> None:
    (picture,) = model.generate("a steed", **FAST)
    assert np.array_equal(picture.pixels, pixels(model, "a horse", literal=True))
    assert not np.array_equal(picture.pixels, pixels(model, "a steed", literal=True))
    assert picture.record["prompt"] == "a steed"
    assert picture.record["read"] == picture.record["text"] == "a horse"
    assert picture.notes == ("steed: read as horse (kind of)",)


def test_known_words_draw_the_same_as_without_a_lexicon(
    model: TextToImage, model_folder: Path
) -> None:
    bare = load(model_folder)
    assert bare.reader is None
    for prompt in ("a red horse", "", "horse + 0.5*hat - dog", '"a - b"'):
        (picture,) = model.generate(prompt, **FAST)
        assert np.array_equal(picture.pixels, pixels(bare, prompt))
        assert "read" not in picture.record
    assert np.array_equal(pixels(model, "a steed", literal=True), pixels(bare, "a steed"))


def test_a_sum_keeps_its_weights_and_a_negative_prompt_is_read(model: TextToImage) -> None:
    prompt = "steed + 0.3*teh dog - 2*ein Hund"
    (picture,) = model.generate(prompt, negative="a poodle", **FAST)
    terms = parse_expression(picture.record["read"])
    assert [(term.weight, term.text) for term in terms] == [
        (1.0, "horse"), (0.3, "the dog"), (-2.0, "dog"),
    ]  # fmt: skip
    assert picture.record["negative_read"] == "a dog"
    read = {"prompt": picture.record["read"], "negative": "a dog"}
    assert np.array_equal(picture.pixels, pixels(model, **read, literal=True))
    assert "negative prompt: poodle: read as dog (kind of)" in picture.notes


@pytest.mark.parametrize("weight", ["1e-4", "0.1", "123456.789", "3.", ".5"])
def test_the_read_prompt_is_the_same_sum(model: TextToImage, weight: str) -> None:
    assert model.reader is not None
    weight = np.format_float_positional(float(weight), trim="0")
    prompt = f"{weight}*steed - horse.png + {weight}*dog"
    one = parse_prompt(prompt, "", reader=model.reader)
    assert parse_prompt(one.read, "").terms == one.terms
    assert one.read != prompt


def test_a_sum_reads_only_what_means_the_same(model: TextToImage) -> None:
    """ "stripes" is a keyword of the zebra, so the sum would be zero."""
    assert model.reader is not None
    assert parse_prompt("paws", "", reader=model.reader).read == "dog"
    assert parse_prompt("dog - paws", "", reader=model.reader).read == "dog - paws"
    assert parse_prompt("dog - kat", "", reader=model.reader).read == '+ 1.0*"dog" - 1.0*"cat"'


def test_a_text_that_looks_like_a_sum_stays_one_text(model: TextToImage) -> None:
    one = parse_prompt('"steed - dog"', "", reader=model.reader)
    assert [term.text for term in one.terms] == ["horse - dog"]
    assert parse_prompt(one.read, "").terms == one.terms


def test_a_reading_that_is_too_long_to_parse_is_not_used(model: TextToImage) -> None:
    prompt = "nanook " * (MAX_LENGTH // 7)
    one = parse_prompt(prompt, "", reader=model.reader)
    assert one.read == prompt
    assert one.notes == ()


def test_both_ends_of_an_interpolation_are_read(model: TextToImage) -> None:
    read = model.between("a steed", "ein Hund", 3, **FAST)
    plain = model.between("a horse", "dog", 3, **FAST)
    for one, other in zip(read, plain, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_a_recorded_picture_replays_with_another_lexicon(
    run: Run, folder: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("a steed", "--negative", "poodle", "--steps", "2", "-o", "steed.png", "--json")
    status, (line,), err = run("draw", *arguments, model=folder)
    assert status == 0
    assert "steed: read as horse (kind of)" in err
    assert json.loads(line)["prompt"] == "a steed"
    assert json.loads(line)["read"] == "a horse"
    record = read_png(Path("steed.png"))[1]
    assert (record["read"], record["negative_read"]) == ("a horse", "dog")
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    monkeypatch.setitem(LANGUAGES, "horse", LANGUAGES["hund"])
    write_lexicon(other / "lexicon.safetensors")
    for model in (folder, model_folder, other):
        status, lines, _ = run("replay", "steed.png", model=model)
        assert (status, lines) == (0, ["the same, pixel for pixel"])


def test_literal_draws_what_is_typed(run: Run, folder: Path) -> None:
    status, (line,), err = run("draw", "teh dog", "--literal", "--steps", "1", "--json",
                               model=folder)  # fmt: skip
    assert status == 0
    assert "read as" not in err
    assert json.loads(line)["read"] == "teh dog"
    assert "read" not in json.loads(line)["record"]


def test_a_broken_lexicon_is_one_line(run: Run, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "lexicon.safetensors").write_bytes(b"not a lexicon")
    status, lines, err = run("draw", "a steed", model=broken)
    assert (status, lines) == (2, [])
    assert "is no lexicon of undiffuse, or is broken" in err
    assert not list(Path().glob("*.png"))


def test_a_reader_reads_nothing_before_the_first_prompt(tmp_path: Path) -> None:
    from undiffuse.clip.lexicon import Lexicon

    Reader(Lexicon(tmp_path / "absent"))
