"""Duplicates: the fast search against comparing every pair, and what counts as near."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.sources.make import quick
from undiffuse.data.sources import duplicates
from undiffuse.data.sources.duplicates import (
    difference_hash,
    groups_of,
    near_pairs,
    pixel_hash,
)


def drawing(seed: int) -> np.ndarray:
    """Soft blobs: a picture that survives a JPEG."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    return np.array(small.resize((64, 64), Image.Resampling.BICUBIC).convert("RGBA"))


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return (difference_hash(one)[0] ^ difference_hash(other)[0]).bit_count()


def test_a_picture_made_smaller_or_compressed_is_near_and_another_is_not() -> None:
    for seed in range(20):
        image = drawing(seed)
        out = io.BytesIO()
        Image.fromarray(image).convert("RGB").resize((48, 48)).save(out, "JPEG", quality=80)
        copy = np.array(Image.open(out).convert("RGBA"))
        assert distance(image, copy) <= 4
        assert distance(image, drawing(seed + 100)) > 8


def test_exact_means_every_visible_pixel() -> None:
    image = drawing(0)
    same, hidden, shown = image.copy(), image.copy(), image.copy()
    image[0, 0] = (1, 2, 3, 0)
    hidden[0, 0] = (9, 9, 9, 0)
    shown[1, 1, 0] ^= 1
    shown[0, 0] = same[0, 0] = (0, 0, 0, 0)
    assert pixel_hash(image) == pixel_hash(hidden) == pixel_hash(same)
    assert pixel_hash(image) != pixel_hash(shown)
    flat = np.zeros((2, 8, 4), np.uint8)
    assert pixel_hash(flat) != pixel_hash(flat.reshape(4, 4, 4))


def test_the_same_shape_in_another_color_is_no_duplicate() -> None:
    colors = np.array([[200, 0, 0] * 16, [200, 9, 0] * 16, [0, 200, 0] * 16], np.uint8)
    assert near_pairs(np.array([7, 7, 7], np.uint64), colors) == [(0, 1)]
    assert near_pairs(np.array([7, 6, 5], np.uint64), colors) == [(0, 1)]


@pytest.mark.parametrize("block", [3, 1024])
def test_the_search_finds_the_groups_that_all_pairs_give(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", block)

    @quick
    @given(st.integers(0, 2**32))
    def check(seed: int) -> None:
        rng = np.random.default_rng(seed)
        hashes = rng.integers(0, 2**64, 30, np.uint64)[rng.integers(0, 30, 60)]
        for _ in range(2):
            flips = np.uint64(1) << rng.integers(0, 64, 60, np.uint64)
            hashes = np.where(rng.random(60) < 0.4, hashes ^ flips, hashes)
        pairs = [(i, j) for i in range(60) for j in range(i + 1, 60)
                 if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 2]  # fmt: skip
        found = near_pairs(hashes, np.zeros((60, 48), np.uint8))
        assert set(found) <= set(pairs)
        assert groups_of(found) == groups_of(pairs)

    check()
