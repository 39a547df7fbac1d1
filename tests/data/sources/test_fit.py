"""Resizing: where a picture lies afterwards, and that transparency lends no color."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.sources.make import quick
from undiffuse.data.sources import fit
from undiffuse.data.sources.fit import Mode, flatten, plan_fit

RED = (200, 30, 40, 255)


def plain(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 4), RED, np.uint8)


def test_pad_keeps_the_whole_picture_in_the_center() -> None:
    out = fit(plain(40, 20), 16)
    assert out.shape == (16, 16, 4)
    assert (out[4:12] == RED).all()
    assert not out[:4].any()
    assert not out[12:].any()
    assert (fit(plain(40, 20), 16, background=(1, 2, 3))[0, 0] == (1, 2, 3, 255)).all()


def test_crop_keeps_the_square_in_the_center() -> None:
    image = plain(40, 20)
    image[:, :10] = image[:, 30:] = (0, 0, 255, 255)
    assert (fit(image, 20, "crop") == RED).all()
    assert np.abs(fit(image, 10, "crop").astype(int) - RED).max() <= 30  # the filter's width


def test_transparent_pixels_lend_no_color() -> None:
    image = plain(32, 32)
    image[:, :16] = (0, 255, 0, 0)
    out = fit(image, 8)
    seen = out[out[..., 3] > 8]
    assert np.abs(seen[:, :3].astype(int) - RED[:3]).max() <= 12


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    assert np.array_equal(fit(image, 16), image)
    assert np.array_equal(fit(image, 16, "crop"), image)


def test_flatten_mixes_by_alpha() -> None:
    image = np.array([[[200, 0, 0, 128], [9, 9, 9, 0], [255, 255, 255, 255]]], np.uint8)
    flat = flatten(image, (255, 255, 255))[0]
    assert flat[:, :3].tolist() == [[227, 127, 127], [255, 255, 255], [255, 255, 255]]
    assert (flat[:, 3] == 255).all()


@pytest.mark.parametrize("mode", ["pad", "crop"])
def test_any_size_fits(mode: Mode) -> None:
    @quick
    @given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64))
    def check(width: int, height: int, side: int) -> None:
        out = fit(plain(width, height), side, mode)
        plan = plan_fit(width, height, side, mode)
        assert out.shape == (side, side, 4)
        assert (out[..., 3] == 255).sum() == plan.width * plan.height
        assert max(plan.width, plan.height) == side
        assert 0 <= plan.box[0] < plan.box[2] <= width

    check()


def test_the_plan_says_what_happens() -> None:
    assert plan_fit(100, 50, 50).scale == 0.5
    assert plan_fit(100, 50, 50, "crop").box == (25, 0, 75, 50)
    assert plan_fit(10, 10, 50).scale == 5
