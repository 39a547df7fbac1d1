"""Colours by program."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.sample import originals
from undiffuse.data.colours import NAMES, TINTS, classify, dominant, recolour, to_hsv, to_rgb
from undiffuse.data.composites import can_be_recoloured

pixels = hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(3)))


@given(pixels)
def test_hsv_and_back(rgb: np.ndarray) -> None:
    hsv = to_hsv(rgb)
    assert (hsv >= 0).all()
    assert (hsv[..., 0] < 360).all()
    assert (hsv[..., 1:] <= 1).all()
    assert np.array_equal(to_rgb(hsv), rgb)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_hsv_is_the_standard_librarys(rgb: tuple[int, int, int]) -> None:
    hue, saturation, value = to_hsv(np.array([rgb], np.uint8))[0]
    expected = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
    assert hue / 360 == pytest.approx(expected[0], abs=1e-5)
    assert (saturation, value) == pytest.approx(expected[1:], abs=1e-5)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((220, 30, 40), "red"),
        ((255, 0, 0), "red"),
        ((245, 140, 20), "orange"),
        ((250, 215, 50), "yellow"),
        ((40, 160, 60), "green"),
        ((40, 90, 220), "blue"),
        ((0, 190, 230), "blue"),
        ((140, 60, 190), "purple"),
        ((240, 100, 170), "pink"),
        ((255, 180, 190), "pink"),
        ((120, 70, 30), "brown"),
        ((10, 10, 10), "black"),
        ((250, 250, 250), "white"),
        ((130, 130, 130), "grey"),
    ],
)
def test_plain_colours(rgb: tuple[int, int, int], name: str) -> None:
    assert NAMES[classify(np.array(rgb, np.uint8))] == name


@given(pixels)
def test_every_pixel_has_a_colour(rgb: np.ndarray) -> None:
    index = classify(rgb)
    assert index.shape == rgb.shape[:-1]
    assert ((index >= 0) & (index < len(NAMES))).all()


def test_dominant() -> None:
    rgb = np.full((4, 4, 3), (220, 30, 40), np.uint8)
    rgb[0] = (40, 90, 220)
    ink = np.ones((4, 4), bool)
    assert dominant(rgb, ink) == ("red", 0.75)
    ink[2:] = False
    assert dominant(rgb, ink)[1] == 0.5
    assert dominant(rgb, np.zeros((4, 4), bool)) == ("", 0.0)


@pytest.mark.parametrize("target", [name for name in TINTS if name != "red"])
def test_recolour_a_red_apple(target: str) -> None:
    apple = next(s for s in originals() if s.key == "noto_1f34e").picture
    before = apple.copy()
    moved = recolour(apple, "red", target)
    assert np.array_equal(apple, before)
    assert np.array_equal(moved[..., 3], apple[..., 3])
    was_red = (classify(apple[..., :3]) == NAMES.index("red")) & (apple[..., 3] > 0)
    assert np.array_equal(moved[~was_red], apple[~was_red])  # the leaf stays green
    assert dominant(moved[..., :3], was_red & (apple[..., 3] > 128))[0] == target


def test_recoloured_pictures_show_the_colour() -> None:
    """Asked of each thing of one colour in the sample, in each of the seven colours. What is pale
    comes out pink where red is asked for, and what is dark brown.
    """
    right = []
    for sample in originals():
        if can_be_recoloured(sample.record):
            for target in TINTS:
                moved = recolour(sample.picture, sample.record["colour"], target)
                right.append(dominant(moved[..., :3], moved[..., 3] > 128)[0] == target)
    assert len(right) > 300
    assert np.mean(right) > 0.93
