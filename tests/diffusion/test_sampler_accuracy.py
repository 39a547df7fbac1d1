"""Samplers against oracles: the distribution they draw, and how fast they converge."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.diffusion import oracles
from tests.diffusion.helpers import (
    ALL_SCHEDULES,
    DEVIATIONS,
    LINEAR,
    MEANS,
    WEIGHTS,
    last,
    mixture,
)
from undiffuse.diffusion import (
    SAMPLERS,
    Schedule,
    blend,
    ddim,
    ddpm,
    dpmpp_2m,
    euler,
    heun,
    previous,
    uniform_times,
)

# --- the distribution


LANDING: list[tuple[Callable, dict[str, Any], int]] = [
    (blend, {"freshness": 0.0}, 100),
    (blend, {"freshness": 0.2}, 250),
    (ddpm, {}, 300),
    (ddim, {}, 100),
    (ddim, {"eta": 0.5}, 250),
    (euler, {}, 100),
    (heun, {}, 40),
    (dpmpp_2m, {}, 40),
]
ALL_LANDING = pytest.mark.parametrize(
    ("sampler", "options", "steps"),
    LANDING,
    ids=[f"{sampler.__name__}{''.join(map(str, o.values()))}" for sampler, o, _ in LANDING],
)


def check_landing(
    sampler: Callable, options: dict[str, Any], steps: int, schedule: Schedule
) -> None:
    """The mean, the deviation and four projections of the samples are those of the mixture."""
    count = 2000
    fresh = oracles.normals(11, (count, 2))
    options = {"schedule": schedule, "times": uniform_times(steps), "fresh": fresh} | options
    drawn = last(sampler(mixture(schedule), fresh(0), None, **options))
    data = oracles.draw_mixture(np.random.default_rng(5), count, WEIGHTS, MEANS, DEVIATIONS)
    variance = WEIGHTS @ (DEVIATIONS[:, None] ** 2 + MEANS**2) - (WEIGHTS @ MEANS) ** 2
    assert (abs(drawn.mean(axis=0) - WEIGHTS @ MEANS) < 4 * np.sqrt(variance / count) + 0.01).all()
    assert (abs(drawn.std(axis=0) / np.sqrt(variance) - 1.0) < 0.04).all()
    for direction in ([1.0, 0.0], [0.0, 1.0], [0.7, 0.7], [0.7, -0.7]):
        assert oracles.kolmogorov_smirnov(drawn @ direction, data @ direction) < 1.95


@ALL_LANDING
def test_a_sampler_draws_from_the_mixture(
    sampler: Callable, options: dict[str, Any], steps: int
) -> None:
    check_landing(sampler, options, steps, LINEAR)


@pytest.mark.slow
@ALL_LANDING
def test_a_sampler_draws_from_the_mixture_on_curved_schedules(
    sampler: Callable, options: dict[str, Any], steps: int
) -> None:
    for schedule in ALL_SCHEDULES:
        if schedule.curved:
            check_landing(sampler, options, steps, schedule)


@pytest.mark.slow
def test_the_two_sample_test_detects_the_over_fresh_blend_and_the_old_way() -> None:
    count = 4000
    fresh = oracles.normals(11, (count, 2))
    data = oracles.draw_mixture(np.random.default_rng(5), count, WEIGHTS, MEANS, DEVIATIONS)
    for schedule in ALL_SCHEDULES:
        options = {"schedule": schedule, "times": uniform_times(200), "fresh": fresh}
        for sampler in (blend, previous):
            drawn = last(sampler(mixture(schedule), fresh(0), None, **options))
            assert oracles.kolmogorov_smirnov(drawn[:, 1], data[:, 1]) > 2.5


def test_every_sampler_draws_the_pictures_of_a_finite_set() -> None:
    pictures = oracles.normals(4, (4, 1, 3, 3))(0)
    fresh = oracles.normals(2, (64, 1, 3, 3))
    for schedule in ALL_SCHEDULES:
        ideal = oracles.finite_set(schedule, pictures)
        options = {"schedule": schedule, "times": uniform_times(50), "fresh": fresh}
        for sampler in SAMPLERS.values():
            drawn = last(sampler(ideal, fresh(0), None, **options)).reshape(64, 1, -1)
            distance = abs(drawn - pictures.reshape(1, 4, -1)).max(axis=-1)  # (64, 4)
            assert (distance.min(axis=1) < 0.05).all(), (sampler, schedule.name)
            found = set(distance.argmin(axis=1).tolist())
            assert found == {0, 1, 2, 3} if sampler is not previous else len(found) < 3


@pytest.mark.slow
def test_the_spread_on_gaussian_data_is_that_of_the_paper() -> None:
    fresh = oracles.normals(0, (10_000, 1))
    ideal = oracles.gaussian(LINEAR, 0.0, 1.0)
    for sampler, steps, low, high in (
        (blend, 20, 0.64, 0.68),
        (blend, 2000, 0.68, 0.72),
        (ddpm, 20, 0.86, 0.91),
        (ddpm, 500, 0.98, 1.02),
        (ddim, 20, 0.91, 0.95),
        (ddim, 500, 0.98, 1.02),
        (previous, 20, -1.0, 1e-9),
        (previous, 500, -1.0, 1e-9),
    ):
        options = {"schedule": LINEAR, "times": uniform_times(steps), "fresh": fresh}
        assert low < last(sampler(ideal, fresh(0), None, **options)).std() < high, (sampler, steps)


@pytest.mark.slow
def test_freshness_above_that_of_ddpm_loses_spread() -> None:
    fresh = oracles.normals(1, (5000, 1))
    for schedule in ALL_SCHEDULES:
        ideal = oracles.gaussian(schedule, 0.0, 0.5)
        options = {"schedule": schedule, "times": uniform_times(300), "fresh": fresh}
        spread = [
            last(blend(ideal, fresh(0), None, **options, freshness=share)).std() / 0.5
            for share in (0.0, 0.05, 0.5, 1.0)
        ]
        assert min(spread[:2]) > 0.95
        assert spread[2] < 0.97
        assert spread[3] < 0.75


# --- the order of convergence

ORDERS = ((euler, 1), (heun, 2), (dpmpp_2m, 2))


@pytest.mark.slow
def test_the_order_of_convergence_on_the_mixture() -> None:
    noise = oracles.normals(3, (128, 2))(0)

    def draw(method: Callable, steps: int, schedule: Schedule) -> np.ndarray:
        times = [0.9 - 0.8 * k / steps for k in range(steps + 1)]
        return last(method(mixture(schedule), noise, None, schedule=schedule, times=times))

    for schedule in ALL_SCHEDULES:
        exact = draw(heun, 640, schedule)
        for sampler, order in ORDERS:
            errors = [float(np.median(abs(draw(sampler, n, schedule) - exact))) for n in (40, 160)]
            found = math.log2(errors[0] / errors[1]) / 2
            assert order - 0.12 < found < order + 0.35, (sampler, schedule.name)


def edm_times(steps: int, schedule: Schedule) -> list[float]:
    """EDM's noise levels (arXiv 2206.00364, equation 5): sigma / alpha from 80 to 0.002, then 0."""
    ratios = np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), steps) ** 7
    grid = np.linspace(1e-3, 1 - 1e-3, 100_000) ** 2  # dense near 0
    known = schedule.sigma(grid) / schedule.alpha(grid)
    return [*np.interp(ratios, known, grid).tolist(), 0.0]


def test_the_order_of_convergence_from_noise_to_picture() -> None:
    noise = oracles.normals(3, (64, 1))(0)
    for schedule in ALL_SCHEDULES:
        ideal = oracles.gaussian(schedule, 0.4, 0.5)
        for sampler, order in ORDERS:
            errors = []
            for steps in (40, 160):
                times = edm_times(steps, schedule)
                start = schedule.sigma(times[0]) * noise
                exact = oracles.gaussian_flow(schedule, 0.4, 0.5, times[0], start)
                drawn = last(sampler(ideal, noise, None, schedule=schedule, times=times))
                errors.append(abs(drawn - exact).max())
            found = math.log2(errors[0] / errors[1]) / 2
            assert order - 0.12 < found < order + 0.35, (sampler, schedule.name)


def test_second_order_is_better_from_pure_noise_on_uniform_steps() -> None:
    noise = oracles.normals(3, (64, 1))(0)
    exact = oracles.gaussian_flow(LINEAR, 0.4, 0.5, 1.0, noise)
    ideal = oracles.gaussian(LINEAR, 0.4, 0.5)
    options = {"schedule": LINEAR, "times": uniform_times(20)}
    error = {
        sampler: abs(last(sampler(ideal, noise, None, **options)) - exact).max()
        for sampler, _ in ORDERS
    }
    assert error[heun] < 0.1 * error[euler]
    assert error[dpmpp_2m] < 0.3 * error[euler]
