"""Noise is a function of (seed, index, step), and standard normal."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusion import oracles
from undiffuse.diffusion import batch_noise, noise_source
from undiffuse.diffusion.noise import noise
from undiffuse.errors import UserError

KEYS = st.integers(0, 2**64 - 1)


# Recomputed from the definition of Philox-4x64-10 in plain integers, so that a golden value is not
# only what the code once said.
def philox_words(key: tuple[int, int], counter: list[int], blocks: int) -> list[int]:
    mask, words = 2**64 - 1, []
    for block in range(1, blocks + 1):
        c, k = [counter[0] + block, *counter[1:]], list(key)
        for turn in range(10):
            if turn:
                k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
            low, high = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
            c = [(high >> 64) ^ c[1] ^ k[0], high & mask, (low >> 64) ^ c[3] ^ k[1], low & mask]
        words += c
    return words


def reference(seed: int, index: int, step: int, size: int) -> list[float]:
    words = philox_words((seed, index), [0, step, 0, 0], (size + 3) // 4 + 1)
    values: list[float] = []
    for one, two in zip(words[::2], words[1::2], strict=True):
        radius = math.sqrt(-2.0 * math.log(((one >> 11) + 1) * 2.0**-53))
        angle = 2.0 * math.pi * ((two >> 11) * 2.0**-53)
        values += [radius * math.cos(angle), radius * math.sin(angle)]
    return values[:size]


GOLDEN = {
    (0, 0, 0): [0.158533841, 2.9828794, -1.92569196, -0.824925542, -0.202503279, 1.15576422],
    (7, 3, 1): [0.365636617, -1.04823554, -0.69075036, -1.78375101, 0.065845713, -0.00514741195],
    (2**64 - 1, 2**64 - 1, 2**64 - 1): [
        -0.166444644,
        0.910072863,
        1.78786075,
        1.59504879,
        -1.6830014,
        -0.189862534,
    ],
}


def test_golden_values_never_change() -> None:
    for key in GOLDEN:
        assert np.array_equal(noise(*key, (1, 2, 3)).reshape(-1), np.float32(GOLDEN[key]))


@oracles.few
@given(seed=KEYS, index=KEYS, step=KEYS, size=st.integers(1, 9))
def test_agrees_with_philox_and_box_muller_written_out(
    seed: int, index: int, step: int, size: int
) -> None:
    expected = np.array(reference(seed, index, step, size))
    np.testing.assert_allclose(noise(seed, index, step, (size,)), expected, rtol=2e-7, atol=1e-9)


@oracles.few
@given(
    seed=KEYS,
    step=st.integers(0, 2000),
    indices=st.lists(st.integers(0, 10_000), min_size=1, max_size=5),
    shape=st.tuples(*[st.integers(1, 5)] * 3),
)
def test_a_picture_has_the_same_noise_in_every_batch(
    seed: int, step: int, indices: list[int], shape: tuple[int, int, int]
) -> None:
    batch = batch_noise(seed, indices, step, shape)
    assert batch.shape == (len(indices), *shape)
    assert batch.dtype == np.float32
    for row, index in zip(batch, indices, strict=True):
        assert np.array_equal(row, noise(seed, index, step, shape))
    assert np.array_equal(noise_source(seed, indices, shape)(step), batch)


def test_a_larger_shape_begins_with_the_smaller_ones_values() -> None:
    assert np.array_equal(noise(1, 2, 3, (7,)), noise(1, 2, 3, (2, 3, 4)).reshape(-1)[:7])


@oracles.few
@given(a=st.tuples(KEYS, KEYS, KEYS), b=st.tuples(KEYS, KEYS, KEYS))
def test_other_keys_give_other_noise(a: tuple[int, int, int], b: tuple[int, int, int]) -> None:
    assert (a == b) == bool(np.array_equal(noise(*a, (8,)), noise(*b, (8,))))


def test_standard_normal_and_uncorrelated_between_seeds_indices_and_steps() -> None:
    size = 200_000
    draws = np.stack([noise(*key, (size,)) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]])
    moments = np.stack([(draws.astype(np.float64) ** k).mean(axis=1) for k in (1, 2, 3, 4)], axis=1)
    # The deviation of the mean of x^k over n draws is sqrt((E x^2k - (E x^k)^2) / n).
    error = np.sqrt(np.array([1.0, 2.0, 15.0, 96.0]) / size)
    assert (abs(moments - [0.0, 1.0, 0.0, 3.0]) < 4.5 * error).all()
    assert (abs(np.corrcoef(draws) - np.eye(4)) < 4.5 / np.sqrt(size)).all()
    assert np.isfinite(draws).all()


def test_a_bad_key_is_refused() -> None:
    for key, message in (
        ((-1, 0, 0), "seed=-1"),
        ((2**64, 0, 0), "seed=18446744073709551616"),
        ((1.5, 0, 0), "seed=1.5"),
        ((True, 0, 0), "seed=True"),
        (("7", 0, 0), "seed='7'"),
        ((0, -1, 0), "index=-1"),
        ((0, 0, -1), "step=-1"),
    ):
        with pytest.raises(UserError, match=message):
            noise(*key, (1,))  # type: ignore[arg-type]


def test_bad_shapes_and_empty_batches_are_refused() -> None:
    with pytest.raises(UserError, match="shape=0"):
        noise(0, 0, 0, (3, 0, 2))
    with pytest.raises(UserError, match="indices is empty"):
        batch_noise(0, [], 0, (1,))
