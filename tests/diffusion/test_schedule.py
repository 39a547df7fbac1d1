"""Schedules: alpha and sigma, their ends; and the noise levels that a sampler visits."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.diffusion import oracles
from tests.diffusion.helpers import ALL_SCHEDULES
from undiffuse.diffusion import (
    SCHEDULES,
    cosine_schedule,
    ddpm_schedule,
    lookup,
    posterior_std,
    shifted_times,
    uniform_times,
)
from undiffuse.errors import UserError

LEVELS = st.floats(0.0, 1.0)


@oracles.few
@given(t=LEVELS)
def test_alpha_and_sigma_add_up_to_one(t: float) -> None:
    for schedule in ALL_SCHEDULES:
        alpha, sigma = schedule.alpha_sigma(t)
        assert isinstance(alpha, float)
        assert isinstance(sigma, float)
        total = alpha**2 + sigma**2 if schedule.curved else alpha + sigma
        assert total == pytest.approx(1.0, abs=1e-14)


def test_alpha_falls_and_sigma_rises() -> None:
    for schedule in ALL_SCHEDULES:
        t = np.linspace(0.0, 1.0, 10_001)
        assert schedule.alpha_sigma(0.0) == (1.0, 0.0)
        assert (np.diff(schedule.alpha(t)) < 0.0).all()
        assert (np.diff(schedule.sigma(t)) > 0.0).all()


def test_terminal_alpha_is_that_of_the_papers() -> None:
    assert SCHEDULES["linear"].terminal_alpha() == 0.0
    assert SCHEDULES["cosine"].terminal_alpha() == 0.0
    # arXiv 2305.08891, table 1: sqrt(alpha_bar_T) of DDPM's linear betas
    assert SCHEDULES["ddpm"].terminal_alpha() == pytest.approx(0.006353, abs=1e-6)


def test_the_linear_schedule_is_a_blend() -> None:
    assert SCHEDULES["linear"].alpha_sigma(0.25) == (0.75, 0.25)


@oracles.few
@given(t=LEVELS, offset=st.floats(0.0, 0.1))
def test_cosine_is_the_formula_of_the_paper(t: float, offset: float) -> None:
    def f(t: float) -> float:
        return math.cos((t + offset) / (1.0 + offset) * math.pi / 2) ** 2

    alpha, sigma = cosine_schedule(offset).alpha_sigma(t)
    assert alpha**2 == pytest.approx(f(t) / f(0.0), abs=1e-14)
    assert sigma**2 == pytest.approx(1.0 - f(t) / f(0.0), abs=1e-14)


def test_cosine_keeps_its_digits_at_both_ends() -> None:
    schedule = SCHEDULES["cosine"]
    slope = math.pi / 2 / 1.008
    assert schedule.alpha(1.0 - 1e-12) == pytest.approx(
        1e-12 * slope / math.cos(0.008 * slope), rel=1e-3
    )
    assert schedule.sigma(1e-12) ** 2 == pytest.approx(
        2e-12 * slope * math.tan(0.008 * slope), rel=1e-6
    )


def test_ddpm_passes_through_its_discrete_chain() -> None:
    for steps in [20, 1000]:
        betas = np.linspace(1e-4, 0.02, steps)
        alpha_bar = np.cumprod(1.0 - betas)
        t = np.arange(1, steps + 1) / steps
        schedule = ddpm_schedule(steps=steps)
        np.testing.assert_allclose(schedule.alpha(t) ** 2, alpha_bar, rtol=1e-12)
        np.testing.assert_allclose(schedule.sigma(t) ** 2, 1.0 - alpha_bar, rtol=1e-10)


def test_alpha_and_sigma_keep_the_type_of_t() -> None:
    for schedule in ALL_SCHEDULES:
        torch = pytest.importorskip("torch")
        t = np.linspace(0.0, 1.0, 7)
        for share in (schedule.alpha, schedule.sigma):
            exact = np.array([share(float(level)) for level in t])
            for dtype in (np.float32, np.float64):
                values = share(t.astype(dtype))
                assert values.dtype == dtype
                np.testing.assert_allclose(values, exact, atol=1e-6)
                tensor = share(torch.from_numpy(t.astype(dtype)))
                assert tensor.dtype == torch.from_numpy(values).dtype
                assert np.array_equal(tensor.numpy(), values)


def test_levels_outside_0_to_1_are_refused() -> None:
    for schedule in ALL_SCHEDULES:
        for t in [-0.1, 1.0001, math.nan, math.inf]:
            with pytest.raises(UserError, match="t="):
                schedule.alpha(t)
            with pytest.raises(UserError, match="t="):
                schedule.sigma(np.array([0.5, t]))


def test_levels_that_are_no_float_array_are_refused() -> None:
    for t in [[0.5], "0.5", None, np.array([0, 1])]:
        with pytest.raises(UserError, match=r"t is .*: give a float array"):
            SCHEDULES["linear"].alpha(t)


def test_an_unknown_schedule_is_refused_with_a_list_of_names() -> None:
    assert lookup(SCHEDULES, "linear", "schedule") is SCHEDULES["linear"]
    with pytest.raises(UserError, match="schedule='sine' is unknown: choose one of linear, cosine"):
        lookup(SCHEDULES, "sine", "schedule")


@oracles.few
@given(levels=st.lists(LEVELS, min_size=2, max_size=2, unique=True))
def test_posterior_std_is_that_of_ddpm(levels: list[float]) -> None:
    for schedule in ALL_SCHEDULES:
        s, t = sorted(levels)
        assume(t > 1e-6)
        (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule.alpha_sigma(s), schedule.alpha_sigma(t)
        c = posterior_std(alpha_t, sigma_t, alpha_s, sigma_s)
        assert 0.0 <= c <= sigma_s
        # In the chain x_t = a x_s + noise of variance b; q(x_s | x_t, x0) has precision
        # 1 / sigma_s^2 + a^2 / b.
        a = alpha_t / alpha_s
        b = sigma_t**2 - (a * sigma_s) ** 2
        assume(sigma_s > 1e-6 and b > 1e-6)
        assert c**2 == pytest.approx(1.0 / (1.0 / sigma_s**2 + a**2 / b), rel=1e-6)


def test_20_uniform_steps_are_those_of_the_film() -> None:
    assert uniform_times(20) == tuple((20 - k) / 20 for k in range(21))
    assert uniform_times(1) == (1.0, 0.0)
    assert uniform_times(4, start=0.8) == pytest.approx((0.8, 0.6, 0.4, 0.2, 0.0))


@oracles.few
@given(steps=st.integers(1, 300), shift=st.floats(0.1, 10.0), start=st.floats(0.01, 1.0))
def test_times_fall_from_start_to_zero(steps: int, shift: float, start: float) -> None:
    for grid in (uniform_times(steps, start=start), shifted_times(steps, shift, start=start)):
        assert len(grid) == steps + 1
        assert (grid[0], grid[-1]) == (start, 0.0)
        assert all(s < t for t, s in pairwise(grid))
        assert all(type(t) is float for t in grid)


@oracles.few
@given(steps=st.integers(2, 100), shift=st.floats(1.1, 8.0))
def test_shift_above_one_puts_more_steps_near_noise(steps: int, shift: float) -> None:
    assert all(
        a > b
        for a, b in zip(shifted_times(steps, shift)[1:-1], uniform_times(steps)[1:-1], strict=True)
    )
    assert shifted_times(steps, 1.0) == pytest.approx(uniform_times(steps))


def test_shift_is_the_formula_of_the_paper() -> None:
    assert shifted_times(4, 3.0) == pytest.approx((1.0, 0.9, 0.75, 0.5, 0.0))


def test_bad_steps_are_refused() -> None:
    for steps in [0, -3, 2.5, True, "20"]:
        for grid in (
            uniform_times,
            lambda n: shifted_times(n, 2.0),
        ):
            with pytest.raises(UserError, match=f"steps={steps!r}"):
                grid(steps)


def test_bad_options_are_refused() -> None:
    with pytest.raises(UserError, match="start=0"):
        uniform_times(5, start=0.0)
    with pytest.raises(UserError, match=r"start=1\.5"):
        shifted_times(5, 2.0, start=1.5)
    with pytest.raises(UserError, match="shift=0"):
        shifted_times(5, 0.0)
