"""Guidance: for each option, where it has no effect and where it has one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusion import oracles
from undiffuse.diffusion import (
    SCHEDULES,
    clamp_x0,
    classifier_free_guidance,
    heun,
    switch_cond,
    uniform_times,
)
from undiffuse.errors import UserError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 2, 4, 4))
COND = RNG.standard_normal((3, 8))
NEGATIVE = RNG.standard_normal((3, 8))
PULL = RNG.standard_normal((8, 32))


class Model:
    """A denoiser that cond pulls about, and that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, float, Any]] = []

    def __call__(self, x_t: np.ndarray, t: float, cond: np.ndarray | None) -> np.ndarray:
        self.calls.append((x_t, t, cond))
        return plain(x_t, t, cond)


def plain(x_t: np.ndarray, t: float, cond: np.ndarray | None) -> np.ndarray:
    pull = 0.0 if cond is None else (cond @ PULL).reshape(x_t.shape)
    return np.tanh(x_t * (1 - t) + pull)


NONE = np.zeros_like(COND)
WITH, WITHOUT, AGAINST = (plain(X, 0.5, cond) for cond in (COND, NONE, NEGATIVE))


# --- scale


def test_scale_one_is_off() -> None:
    model = Model()
    assert classifier_free_guidance(model, 1.0) is model
    assert classifier_free_guidance(model, 1, negative=NEGATIVE) is model


@oracles.few
@given(scale=st.floats(-2.0, 10.0).filter(lambda scale: scale != 1.0))
def test_scale_moves_x0_away_from_the_unconditional_prediction(scale: float) -> None:
    model = Model()
    found = classifier_free_guidance(model, scale)(X, 0.5, COND)
    np.testing.assert_allclose(found, WITHOUT + scale * (WITH - WITHOUT), atol=1e-12)


def test_both_come_from_one_batch_with_the_steered_first() -> None:
    model = Model()
    classifier_free_guidance(model, 3.0)(X, 0.5, COND)
    ((x_t, t, cond),) = model.calls
    assert t == 0.5
    assert np.array_equal(x_t, np.concatenate([X, X]))
    assert np.array_equal(cond, np.concatenate([COND, NONE]))


def test_scale_zero_is_the_unconditional_prediction() -> None:
    np.testing.assert_allclose(
        classifier_free_guidance(plain, 0.0)(X, 0.5, COND), WITHOUT, atol=1e-12
    )


def test_without_cond_and_negative_the_denoiser_is_called_as_it_is() -> None:
    model = Model()
    assert np.array_equal(classifier_free_guidance(model, 3.0)(X, 0.5, None), plain(X, 0.5, None))
    ((x_t, _, cond),) = model.calls
    assert x_t is X
    assert cond is None


def test_a_cond_of_zeros_has_no_effect() -> None:
    np.testing.assert_allclose(
        classifier_free_guidance(plain, 5.0)(X, 0.5, NONE), WITHOUT, atol=1e-12
    )


# --- negative


def test_negative_takes_the_place_of_the_zeros() -> None:
    found = classifier_free_guidance(plain, 3.0, negative=NEGATIVE)(X, 0.5, COND)
    np.testing.assert_allclose(found, AGAINST + 3.0 * (WITH - AGAINST), atol=1e-12)
    zeros = classifier_free_guidance(plain, 3.0, negative=NONE)(X, 0.5, COND)
    np.testing.assert_allclose(
        zeros, classifier_free_guidance(plain, 3.0)(X, 0.5, COND), atol=1e-12
    )


def test_the_same_negative_and_cond_cancel() -> None:
    np.testing.assert_allclose(
        classifier_free_guidance(plain, 3.0, negative=COND)(X, 0.5, COND), WITH, atol=1e-12
    )


def test_one_row_of_negative_serves_every_picture() -> None:
    found = classifier_free_guidance(plain, 3.0, negative=NEGATIVE[:1])(X, 0.5, COND)
    rows = classifier_free_guidance(plain, 3.0, negative=NEGATIVE[[0, 0, 0]])(X, 0.5, COND)
    assert np.array_equal(found, rows)


def test_negative_alone_steers_away() -> None:
    for rows in (1, 3):
        found = classifier_free_guidance(plain, 3.0, negative=NEGATIVE[:rows])(X, 0.5, None)
        against = plain(X, 0.5, NEGATIVE[[row % rows for row in range(3)]])
        np.testing.assert_allclose(found, against + 3.0 * (WITHOUT - against), atol=1e-12)


def test_arguments_are_not_changed() -> None:
    before = [a.copy() for a in (X, COND, NEGATIVE)]
    classifier_free_guidance(plain, 3.0, negative=NEGATIVE)(X, 0.5, COND)
    assert all(np.array_equal(a, b) for a, b in zip(before, (X, COND, NEGATIVE), strict=True))


# --- band


def test_guidance_acts_in_its_band_and_costs_nothing_outside() -> None:
    for t in (0.2, 0.5, 0.8, 0.81, 0.19, 0.0, 1.0):
        model, inside = Model(), 0.2 <= t <= 0.8
        found = classifier_free_guidance(model, 3.0, band=(0.2, 0.8))(X, t, COND)
        wanted = classifier_free_guidance(plain, 3.0)(X, t, COND) if inside else plain(X, t, COND)
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        assert len(model.calls[0][0]) == (6 if inside else 3)


# --- clamping


def test_clamping_has_no_effect_inside_the_range_and_clips_outside() -> None:
    inside = clamp_x0(plain, -2.0, 2.0)(X, 0.5, COND)
    assert np.array_equal(inside, WITH)
    cut = clamp_x0(lambda x_t, t, cond: 3.0 * plain(x_t, t, cond))(X, 0.5, COND)
    assert np.array_equal(cut, np.clip(3.0 * WITH, -1.0, 1.0))
    assert cut.max() == 1.0


def test_a_wrapper_may_wrap_a_wrapper() -> None:
    denoiser = clamp_x0(classifier_free_guidance(plain, 8.0))
    steps = list(heun(denoiser, X, COND, schedule=SCHEDULES["linear"], times=uniform_times(5)))
    assert abs(steps[-1].x0).max() <= 1.0
    assert abs(classifier_free_guidance(plain, 8.0)(X, 0.5, COND)).max() > 1.0


# --- arrays


def elementwise(x_t: Any, t: float, cond: Any) -> Any:
    return x_t * (1 - t) + 0.1 * cond[:, :1].reshape(-1, 1, 1, 1) * x_t * x_t


def steer(a: Any, c: Any, n: Any, options: dict[str, Any]) -> Any:
    chosen = options | ({"negative": n} if "negative" in options else {})
    denoiser = classifier_free_guidance(elementwise, 4.0, **chosen)
    return [denoiser(a, t, c) for t in (0.9, 0.5)]


def test_torch_agrees_and_a_picture_does_not_depend_on_the_batch() -> None:
    torch = pytest.importorskip("torch")
    arrays = [a.astype(np.float32) for a in (X, COND, NEGATIVE)]
    for options in ({}, {"negative": 1}):
        ours = steer(*arrays, options)
        theirs = steer(*map(torch.from_numpy, arrays), options)
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == np.float32
            assert b.dtype == torch.float32
            np.testing.assert_allclose(b.numpy(), a, atol=1e-5)
        for row in range(3):
            alone = steer(*(a[row : row + 1] for a in arrays), options)
            assert all(np.array_equal(a[0], b[row]) for a, b in zip(alone, ours, strict=True))


# --- what is refused


BAD_ARGUMENTS: list[tuple[Callable, str]] = [
    (lambda: classifier_free_guidance(plain, float("nan")), "scale=nan"),
    (lambda: classifier_free_guidance(plain, "3"), "scale='3'"),
    (lambda: classifier_free_guidance(plain, 3.0, band=(0.8, 0.2)), r"band=\(0\.8, 0\.2\)"),
    (lambda: classifier_free_guidance(plain, 3.0, band=(-0.1, 0.2)), r"band=\(-0\.1, 0\.2\)"),
    (lambda: clamp_x0(plain, 1.0, 1.0), r"low=1\.0, high=1\.0"),
    (
        lambda: classifier_free_guidance(plain, 3.0)(X, 0.5, COND[:2]),
        r"cond is of numpy with shape \(2, 8\)",
    ),
    (
        lambda: classifier_free_guidance(plain, 3.0)(X, 0.5, COND[0]),
        r"cond is of numpy with shape \(8,\)",
    ),
    (
        lambda: classifier_free_guidance(plain, 3.0, negative=NEGATIVE[:2])(X, 0.5, COND),
        r"negative is of numpy with shape \(2, 8\)",
    ),
    (
        lambda: classifier_free_guidance(plain, 3.0, negative=NEGATIVE[:, :5])(X, 0.5, COND),
        r"negative is of numpy with shape \(6, 5\): it must be of numpy with shape \(6, 8\)",
    ),
    (
        lambda: classifier_free_guidance(plain, 3.0, negative=[0.0])(X, 0.5, COND),
        "negative is list",
    ),
    (
        lambda: classifier_free_guidance(lambda x, t, c: x[:3], 3.0)(X, 0.5, COND),
        r"the denoiser's x0 is of numpy with shape \(3, 2, 4, 4\)",
    ),
]


def test_a_bad_argument_is_named_in_one_line() -> None:
    for build, message in BAD_ARGUMENTS:
        with pytest.raises(UserError, match=message) as caught:
            build()
        assert "\n" not in str(caught.value)


def test_a_negative_of_another_array_kind_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(UserError, match="negative is of torch"):
        classifier_free_guidance(plain, 3.0, negative=torch.ones(3, 8, dtype=torch.float64))(
            X, 0.5, COND
        )


def test_another_cond_is_used_below_a_level() -> None:
    model, others = Model(), COND[::-1]
    denoiser = switch_cond(model, others, 0.5)
    for t, cond in ((0.9, COND), (0.5, COND), (0.49, others), (0.1, others)):
        assert np.array_equal(denoiser(X, t, COND), plain(X, t, cond)), t
    assert np.array_equal(switch_cond(model, others, 0.0)(X, 0.0, COND), plain(X, 0.0, COND))
    with pytest.raises(UserError, match="cond"):
        switch_cond(classifier_free_guidance(model, 2.0), COND[:2], 0.5)(X, 0.1, COND)
    with pytest.raises(UserError, match="below"):
        switch_cond(model, COND, 1.5)
