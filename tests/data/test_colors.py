"""Color names of pixels, and recoloring."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.sample import originals
from undiffuse.data.colors import (
    NAMES,
    TINTS,
    classify_pixels,
    dominant_color,
    hsv_to_rgb,
    recolor,
    rgb_to_hsv,
)
from undiffuse.data.composites import is_recolorable

pixels = hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(3)))


@given(pixels)
def test_hsv_converts_back_to_the_same_rgb(rgb: np.ndarray) -> None:
    hsv = rgb_to_hsv(rgb)
    assert (hsv >= 0).all()
    assert (hsv[..., 0] < 360).all()
    assert (hsv[..., 1:] <= 1).all()
    assert np.array_equal(hsv_to_rgb(hsv), rgb)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_hsv_equals_that_of_colorsys(rgb: tuple[int, int, int]) -> None:
    hue, saturation, value = rgb_to_hsv(np.array([rgb], np.uint8))[0]
    expected = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
    assert hue / 360 == pytest.approx(expected[0], abs=1e-5)
    assert (saturation, value) == pytest.approx(expected[1:], abs=1e-5)


def test_plain_colors_have_their_names() -> None:
    names = {
        (220, 30, 40): "red",
        (255, 0, 0): "red",
        (245, 140, 20): "orange",
        (250, 215, 50): "yellow",
        (40, 160, 60): "green",
        (40, 90, 220): "blue",
        (0, 190, 230): "blue",
        (140, 60, 190): "purple",
        (240, 100, 170): "pink",
        (255, 180, 190): "pink",
        (120, 70, 30): "brown",
        (10, 10, 10): "black",
        (250, 250, 250): "white",
        (130, 130, 130): "grey",
    }
    found = classify_pixels(np.array(list(names), np.uint8))
    assert [NAMES[index] for index in found] == list(names.values())


@given(pixels)
def test_every_pixel_has_a_color(rgb: np.ndarray) -> None:
    index = classify_pixels(rgb)
    assert index.shape == rgb.shape[:-1]
    assert ((index >= 0) & (index < len(NAMES))).all()


def test_the_dominant_color_is_the_most_common_one_in_the_mask() -> None:
    rgb = np.full((4, 4, 3), (220, 30, 40), np.uint8)
    rgb[0] = (40, 90, 220)
    ink = np.ones((4, 4), bool)
    assert dominant_color(rgb, ink) == ("red", 0.75)
    ink[2:] = False
    assert dominant_color(rgb, ink)[1] == 0.5
    assert dominant_color(rgb, np.zeros((4, 4), bool)) == ("", 0.0)


def test_recoloring_changes_the_red_of_an_apple_and_keeps_its_leaf() -> None:
    apple = next(s for s in originals() if s.key == "noto_1f34e").picture
    before = apple.copy()
    was_red = (classify_pixels(apple[..., :3]) == NAMES.index("red")) & (apple[..., 3] > 0)
    for target in TINTS.keys() - {"red"}:
        moved = recolor(apple, "red", target)
        assert np.array_equal(apple, before)
        assert np.array_equal(moved[..., 3], apple[..., 3])
        assert np.array_equal(moved[~was_red], apple[~was_red])
        assert dominant_color(moved[..., :3], was_red & (apple[..., 3] > 128))[0] == target


def test_recolored_pictures_show_the_color() -> None:
    """Every object of one color in the sample, in each of the seven colors. Pale objects become
    pink instead of red, dark ones brown.
    """
    right = []
    for sample in originals():
        if is_recolorable(sample.record):
            for target in TINTS:
                moved = recolor(sample.picture, sample.record["colour"], target)
                right.append(dominant_color(moved[..., :3], moved[..., 3] > 128)[0] == target)
    assert len(right) > 300
    assert np.mean(right) > 0.93
