"""Samplers: their steps, which of them are the same, and what they share with torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusion import oracles
from tests.diffusion.walks import EACH, EVERY, LINEAR, last, mixture, paths_agree, picture
from undiffuse.diffusion import (
    SAMPLERS,
    SCHEDULES,
    Schedule,
    Step,
    blend,
    ddim,
    ddpm,
    dpmpp_2m,
    euler,
    heun,
    noise_source,
    previous,
    register_sampler,
    shifted_times,
    uniform_times,
)
from undiffuse.errors import UserError

# --- the stream


@EVERY
@EACH
@oracles.few
@given(steps=st.integers(1, 12), shift=st.floats(0.5, 3.0))
def test_every_step_says_where_it_is(
    sampler: Callable, schedule: Schedule, steps: int, shift: float
) -> None:
    times = shifted_times(steps, shift)
    fresh = oracles.normals(1, (2, 3))
    x = schedule.sigma(1.0) * fresh(0)
    walked = list(sampler(picture, fresh(0), None, schedule=schedule, times=times, fresh=fresh))
    assert [step.index for step in walked] == [*range(1, steps + 1)]
    for step, t, s in zip(walked, times[:-1], times[1:], strict=True):
        assert isinstance(step, Step)
        assert (step.steps, step.t, step.s) == (steps, t, s)
        assert (step.alpha, step.sigma) == schedule.alpha_sigma(s)
        assert np.array_equal(step.x0, picture(x, t, None))
        x = step.x_t
    # The last step is the denoiser's own word.
    np.testing.assert_allclose(walked[-1].x_t, walked[-1].x0, atol=1e-12)


def test_the_twenty_step_blend_is_the_lesson_to_the_letter() -> None:
    source = noise_source(7, [0, 1], (3, 4, 4))
    pictures = np.linspace(-1, 1, 96, dtype=np.float32).reshape(2, 3, 4, 4)
    asked = []

    def denoiser(x_t: np.ndarray, t: float, cond: Any) -> np.ndarray:
        asked.append((x_t, t))
        return pictures

    steps = blend(denoiser, source(0), None, schedule=LINEAR, times=uniform_times(20), fresh=source)
    for k, step in enumerate(steps, start=1):
        mixed = (5 * k / 100) * pictures + (1 - 5 * k / 100) * (source(k) if k < 20 else 0.0)
        np.testing.assert_allclose(step.x_t, mixed, atol=1e-6)
        assert round(100 * step.alpha, 9) == 5 * k
        assert round(100 * step.sigma, 9) == 100 - 5 * k
    assert np.array_equal(asked[0][0], source(0))
    assert [t for _, t in asked] == [(20 - k) / 20 for k in range(20)]


def test_the_blend_without_freshness_keeps_the_old_noise() -> None:
    source = noise_source(7, [0], (3, 4, 4))
    x0 = np.ones((1, 3, 4, 4), np.float32)
    steps = blend(
        lambda x, t, c: x0, source(0), None, schedule=LINEAR, times=uniform_times(20), freshness=0.0
    )
    for step in steps:
        np.testing.assert_allclose(step.x_t, step.alpha * x0 + step.sigma * source(0), atol=1e-5)


def test_fresh_noise_is_asked_for_only_where_it_is_mixed_in() -> None:
    asked: list[int] = []

    def fresh(index: int) -> np.ndarray:
        asked.append(index)
        return np.ones((2, 3))

    options = {"schedule": LINEAR, "times": uniform_times(5), "fresh": fresh}
    for sampler, wanted in [(blend, [1, 2, 3, 4]), (ddpm, [1, 2, 3, 4]), (ddim, []), (heun, []),
                            (euler, []), (dpmpp_2m, []), (previous, [])]:  # fmt: skip
        asked.clear()
        list(sampler(picture, np.ones((2, 3)), None, **options))
        assert asked == wanted


# --- what is the same thing


@EVERY
@oracles.few
@given(steps=st.integers(1, 15), shift=st.floats(0.3, 4.0), seed=st.integers(0, 9))
def test_identities(schedule: Schedule, steps: int, shift: float, seed: int) -> None:
    fresh = oracles.normals(seed, (3, 2))

    def draw(sampler: Callable, **options: Any) -> list[Step]:
        options = {
            "schedule": schedule,
            "times": shifted_times(steps, shift),
            "fresh": fresh,
        } | options
        return list(sampler(mixture(schedule), fresh(0), None, **options))

    ode = draw(euler)
    assert paths_agree(ode, draw(ddim, eta=0.0))
    assert paths_agree(ode, draw(blend, freshness=0.0))
    assert paths_agree(ode, draw(dpmpp_2m, warmup=steps))
    assert paths_agree(draw(ddpm), draw(ddim, eta=1.0))
    assert paths_agree(draw(previous), draw(ddpm, fresh=lambda index: np.zeros((3, 2))))
    if steps == 1:
        for sampler in SAMPLERS.values():
            x0 = mixture(schedule)(schedule.sigma(1.0) * fresh(0), 1.0, None)
            np.testing.assert_allclose(draw(sampler)[-1].x_t, x0, atol=1e-12)


@EVERY
@oracles.few
@given(seed=st.integers(0, 9), t=st.floats(0.3, 0.9), share=st.floats(0.1, 0.9))
def test_euler_is_the_flows_slope_times_the_step(
    schedule: Schedule, seed: int, t: float, share: float
) -> None:
    x = oracles.normals(seed, (3, 2))(0)
    s = share * t
    step = next(euler(picture, x, None, schedule=schedule, times=(t, s)))
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.alpha_sigma(t), schedule.alpha_sigma(s)
    x = sigma_t * x
    eps = (x - alpha_t * step.x0) / sigma_t
    if schedule.curved:
        moved = alpha_s * (x / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * eps)
    else:
        moved = x + (s - t) * (eps - step.x0)
    np.testing.assert_allclose(step.x_t, moved, atol=1e-12)


def test_predictions_per_step() -> None:
    noise = oracles.normals(0, (2, 3))(0)
    for sampler, calls_wanted in [(euler, 10), (dpmpp_2m, 10), (heun, 19)]:
        counting, calls = oracles.counted(picture)
        list(sampler(counting, noise, None, schedule=LINEAR, times=uniform_times(10)))
        assert len(calls) == calls_wanted
    # From alpha 0 on a curved schedule Heun's first step is Euler's, too.
    counting, calls = oracles.counted(picture)
    list(heun(counting, noise, None, schedule=SCHEDULES["cosine"], times=uniform_times(10)))
    assert len(calls) == 18


# --- arrays


@EVERY
@EACH
def test_torch_walks_the_same_path(sampler: Callable, schedule: Schedule) -> None:
    torch = pytest.importorskip("torch")
    source = noise_source(3, [0, 1], (3, 4, 4))
    ideal = oracles.gaussian(schedule, 0.2, 0.6)
    options = {"schedule": schedule, "times": shifted_times(8, 2.0)}
    ours = list(sampler(ideal, source(0), None, fresh=source, **options))
    theirs = list(
        sampler(
            ideal,
            torch.from_numpy(source(0)),
            None,
            fresh=lambda index: torch.from_numpy(source(index)),
            **options,
        )
    )
    for a, b in zip(ours, theirs, strict=True):
        assert a.x_t.dtype == a.x0.dtype == np.float32
        assert b.x_t.dtype == b.x0.dtype == torch.float32
        np.testing.assert_allclose(b.x_t.numpy(), a.x_t, atol=1e-5)
        np.testing.assert_allclose(b.x0.numpy(), a.x0, atol=1e-5)


@EACH
@oracles.few
@given(indices=st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True))
def test_a_picture_is_the_same_in_every_batch(sampler: Callable, indices: list[int]) -> None:
    def draw(indices: list[int]) -> np.ndarray:
        source = noise_source(5, indices, (2, 3, 3))
        cond = np.stack([np.full(4, 0.1 * index, np.float32) for index in indices])
        options = {"schedule": LINEAR, "times": shifted_times(6, 1.5), "fresh": source}
        return last(sampler(picture, source(0), cond, **options))

    together = draw(indices)
    for row, index in zip(together, indices, strict=True):
        assert np.array_equal(row, draw([index])[0])


def test_a_registered_sampler_is_found_by_name_and_a_taken_name_is_refused() -> None:
    register_sampler("mine", blend)
    try:
        assert SAMPLERS["mine"] is blend
        with pytest.raises(UserError, match="'mine' exists already"):
            register_sampler("mine", ddpm)
    finally:
        del SAMPLERS["mine"]
