"""What the last steps get more of: the color that a prompt says of a noun."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse import Picture, TextToImage, UserError, load
from undiffuse.config import DrawConfig
from undiffuse.explore.space import Space
from undiffuse.layout.words import COLORS
from undiffuse.pipeline.prompt import parse_prompt, without_color
from undiffuse.pipeline.record import parse_record

SAID = {
    "a green car": "a car", "Blue  banana in noto style": "banana in noto style",
    "woman: red hair": "woman: hair", "orange juice": "juice",
}  # fmt: skip
NOT_SAID = (
    "", "a car", "an orange", "an orange in noto style", "an orange and a pear", "blue-eyed cat",
    "red and white fish", "a gray cat on a red sofa", "a violin in brown", "a red 3", "blue style",
    "predator", "orange on a plate",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(model_folder: Path) -> TextToImage:
    return load(model_folder)


def draw(model: TextToImage, prompt: str, **options: Any) -> Picture:
    return model.generate(prompt, steps=3, **options)[0]


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize(("text", "wanted"), [*SAID.items(), *zip(NOT_SAID, NOT_SAID, strict=True)])
def test_one_color_before_a_noun_is_left_out(text: str, wanted: str) -> None:
    assert without_color(text) == wanted


@given(st.text(), st.sampled_from(sorted(COLORS)), st.text())
def test_a_text_without_its_color_has_no_color(before: str, color: str, after: str) -> None:
    text = f"{before} {color} {after}"
    left = without_color(text)
    assert left in (text, f"{before} {after.lstrip(' ')}")
    assert without_color(left) == left


def test_the_vector_gets_the_direction_of_the_color(model: TextToImage) -> None:
    encode = Space(model.clip).encode_term
    blue, plain = (parse_prompt(text, "").embed(encode) for text in ("a blue cat", "a cat"))
    wanted = blue + 0.5 * (blue - plain)
    found = parse_prompt("a blue cat", "").embed(encode, color_strength=0.5)
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-6)


def test_the_last_steps_get_more_of_a_color(model: TextToImage) -> None:
    usual, none = draw(model, "a blue cat"), draw(model, "a blue cat", color_strength=0.0)
    assert usual.record["color_strength"] == DrawConfig().color_strength > 0
    assert not same(usual, none)
    assert same(none, draw(model, "a blue cat", literal=True))
    literal = draw(model, "a blue cat", literal=True, color_strength=DrawConfig().color_strength)
    assert same(usual, literal)
    for prompt in ("a cat", "cat + blue hat", "a red and white cat"):
        plain = draw(model, prompt)
        assert plain.record["color_strength"] == 0.0
        assert same(plain, draw(model, prompt, color_strength=5.0)), "no color to make stronger"
    beside = model.generate(["a cat", "a blue cat"], steps=3)
    assert same(beside[0], draw(model, "a cat"))
    assert same(beside[1], usual)


def test_the_color_of_a_negative_prompt_stays(model: TextToImage) -> None:
    encode = Space(model.clip).encode_term
    negative = parse_prompt("a blue car", "")
    assert parse_prompt("a cat", "").subtract(negative).colorless == (
        parse_prompt("a cat", "").subtract(negative).terms
    )
    red, cat = (parse_prompt(text, "").subtract(negative) for text in ("a red cat", "a cat"))
    one, other = red.embed(encode), cat.embed(encode)
    found = red.embed(encode, color_strength=1.0)
    wanted = one + (one - other)
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-6)


def test_a_record_keeps_the_strength(model: TextToImage) -> None:
    for options in ({}, {"color_strength": 0.0}, {"color_strength": 2}, {"negative": "a red hat"}):
        drawn = draw(model, "a blue cat", **options)
        assert same(replayed(model, drawn), drawn)
    older = draw(model, "a blue cat", literal=True)
    del older.record["color_strength"]
    assert same(replayed(model, older), older)


def replayed(model: TextToImage, drawn: Picture) -> Picture:
    config, options = parse_record(drawn.record, Path("x.png"))
    return replace(model, defaults=config).generate(**options)[0]


def test_a_strength_out_of_range_is_refused(model: TextToImage) -> None:
    with pytest.raises(UserError, match="color_strength=11"):
        draw(model, "a blue cat", color_strength=11.0)
