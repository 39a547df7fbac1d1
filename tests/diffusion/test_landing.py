"""Samplers against oracles: where they land, and how fast."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.diffusion import oracles
from tests.diffusion.walks import (
    DEVIATIONS,
    EACH,
    EVERY,
    LINEAR,
    MEANS,
    WEIGHTS,
    last,
    mixture,
)
from undiffuse.diffusion import (
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

# --- where they land


LANDING = [
    (blend, {"freshness": 0.0}, 100),
    (blend, {"freshness": 0.2}, 250),
    (ddpm, {}, 300),
    (ddim, {}, 100),
    (ddim, {"eta": 0.5}, 250),
    (euler, {}, 100),
    (heun, {}, 40),
    (dpmpp_2m, {}, 40),
]


@EVERY
@pytest.mark.parametrize(
    ("sampler", "options", "steps"),
    LANDING,
    ids=[f"{sampler.__name__}{''.join(map(str, o.values()))}" for sampler, o, _ in LANDING],
)
def test_samplers_land_on_the_mixture(
    sampler: Callable, options: dict, steps: int, schedule: Schedule
) -> None:
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


@EVERY
def test_the_two_sample_test_sees_the_over_fresh_blend_and_the_old_way(schedule: Schedule) -> None:
    count = 4000
    fresh = oracles.normals(11, (count, 2))
    data = oracles.draw_mixture(np.random.default_rng(5), count, WEIGHTS, MEANS, DEVIATIONS)
    for sampler in (blend, previous):
        steps = sampler(
            mixture(schedule),
            fresh(0),
            None,
            schedule=schedule,
            times=uniform_times(200),
            fresh=fresh,
        )
        assert oracles.kolmogorov_smirnov(last(steps)[:, 1], data[:, 1]) > 2.5


@EVERY
@EACH
def test_samplers_land_on_pictures_of_a_finite_set(sampler: Callable, schedule: Schedule) -> None:
    pictures = oracles.normals(4, (4, 1, 3, 3))(0)
    fresh = oracles.normals(2, (64, 1, 3, 3))
    ideal = oracles.finite_set(schedule, pictures)
    steps = sampler(ideal, fresh(0), None, schedule=schedule, times=uniform_times(50), fresh=fresh)
    drawn = last(steps).reshape(64, 1, -1)
    distance = abs(drawn - pictures.reshape(1, 4, -1)).max(axis=-1)  # (64, 4)
    assert (distance.min(axis=1) < 0.05).all()
    found = set(distance.argmin(axis=1).tolist())
    assert found == {0, 1, 2, 3} if sampler is not previous else len(found) < 3


@pytest.mark.parametrize(
    ("sampler", "steps", "low", "high"),
    [
        (blend, 20, 0.64, 0.68),
        (blend, 2000, 0.68, 0.72),
        (ddpm, 20, 0.86, 0.91),
        (ddpm, 500, 0.98, 1.02),
        (ddim, 20, 0.91, 0.95),
        (ddim, 500, 0.98, 1.02),
        (previous, 20, -1.0, 1e-9),
        (previous, 500, -1.0, 1e-9),
    ],
)
def test_spread_of_what_is_drawn_on_gaussian_data(
    sampler: Callable, steps: int, low: float, high: float
) -> None:
    fresh = oracles.normals(0, (10_000, 1))
    ideal = oracles.gaussian(LINEAR, 0.0, 1.0)
    drawn = sampler(ideal, fresh(0), None, schedule=LINEAR, times=uniform_times(steps), fresh=fresh)
    assert low < last(drawn).std() < high


@EVERY
def test_freshness_above_ddpms_loses_spread_and_below_does_not(schedule: Schedule) -> None:
    fresh = oracles.normals(1, (5000, 1))
    spread = [
        last(
            blend(
                oracles.gaussian(schedule, 0.0, 0.5),
                fresh(0),
                None,
                schedule=schedule,
                times=uniform_times(300),
                fresh=fresh,
                freshness=freshness,
            )
        ).std()
        / 0.5
        for freshness in (0.0, 0.05, 0.5, 1.0)
    ]
    assert spread[0] > 0.95
    assert spread[1] > 0.95
    assert spread[2] < 0.97
    assert spread[3] < 0.75


# --- how fast


@EVERY
@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2), (dpmpp_2m, 2)])
def test_order_of_convergence_on_the_mixture(
    sampler: Callable, order: int, schedule: Schedule
) -> None:
    noise = oracles.normals(3, (128, 2))(0)

    def at(steps: int, method: Callable = sampler) -> np.ndarray:
        times = [0.9 - 0.8 * k / steps for k in range(steps + 1)]
        return last(method(mixture(schedule), noise, None, schedule=schedule, times=times))

    exact = at(640, heun)
    errors = [float(np.median(abs(at(steps) - exact))) for steps in (40, 160)]
    assert order - 0.12 < math.log2(errors[0] / errors[1]) / 2 < order + 0.35


def edm_times(steps: int, schedule: Schedule) -> list[float]:
    """EDM's noise levels (arXiv 2206.00364, equation 5): sigma / alpha from 80 to 0.002, then 0."""
    ratios = np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), steps) ** 7
    grid = np.linspace(1e-3, 1 - 1e-3, 100_000) ** 2  # dense near 0
    known = schedule.sigma(grid) / schedule.alpha(grid)
    return [*np.interp(ratios, known, grid).tolist(), 0.0]


@EVERY
@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2), (dpmpp_2m, 2)])
def test_order_of_convergence_from_noise_to_picture(
    sampler: Callable, order: int, schedule: Schedule
) -> None:
    noise = oracles.normals(3, (64, 1))(0)
    ideal = oracles.gaussian(schedule, 0.4, 0.5)
    errors = []
    for steps in (40, 160):
        times = edm_times(steps, schedule)
        start = schedule.sigma(times[0]) * noise
        exact = oracles.gaussian_flow(schedule, 0.4, 0.5, times[0], start)
        drawn = last(sampler(ideal, noise, None, schedule=schedule, times=times))
        errors.append(abs(drawn - exact).max())
    assert order - 0.12 < math.log2(errors[0] / errors[1]) / 2 < order + 0.35


def test_second_order_is_worth_it_from_pure_noise_on_even_steps() -> None:
    noise = oracles.normals(3, (64, 1))(0)
    exact = oracles.gaussian_flow(LINEAR, 0.4, 0.5, 1.0, noise)
    ideal = oracles.gaussian(LINEAR, 0.4, 0.5)
    error = {
        sampler: abs(
            last(sampler(ideal, noise, None, schedule=LINEAR, times=uniform_times(20))) - exact
        ).max()
        for sampler in (euler, heun, dpmpp_2m)
    }
    assert error[heun] < 0.1 * error[euler]
    assert error[dpmpp_2m] < 0.3 * error[euler]
