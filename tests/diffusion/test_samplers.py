"""Samplers: their steps, which of them are equal, and that torch tensors take the same path."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusion import oracles
from tests.diffusion.helpers import (
    ALL_SCHEDULES,
    LINEAR,
    curved_denoiser,
    last,
    mixture,
    paths_agree,
)
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

# --- the steps


def check_steps(sampler: Callable, schedule: Schedule, times: tuple[float, ...]) -> None:
    fresh = oracles.normals(1, (2, 3))
    x = schedule.sigma(1.0) * fresh(0)
    options = {"schedule": schedule, "times": times, "fresh": fresh}
    steps = list(sampler(curved_denoiser, fresh(0), None, **options))
    assert [step.index for step in steps] == [*range(1, len(times))]
    for step, t, s in zip(steps, times[:-1], times[1:], strict=True):
        assert isinstance(step, Step)
        assert (step.steps, step.t, step.s) == (len(times) - 1, t, s)
        assert (step.alpha, step.sigma) == schedule.alpha_sigma(s)
        assert np.array_equal(step.x0, curved_denoiser(x, t, None))
        x = step.x_t
    # The last step is the prediction itself.
    np.testing.assert_allclose(steps[-1].x_t, steps[-1].x0, atol=1e-12)


@oracles.few
@given(steps=st.integers(1, 12), shift=st.floats(0.5, 3.0))
def test_every_step_holds_its_levels_and_its_prediction(steps: int, shift: float) -> None:
    for schedule in ALL_SCHEDULES:
        for sampler in SAMPLERS.values():
            check_steps(sampler, schedule, shifted_times(steps, shift))


def test_the_20_step_blend_is_the_loop_of_the_film() -> None:
    source = noise_source(7, [0, 1], (3, 4, 4))
    pictures = np.linspace(-1, 1, 96, dtype=np.float32).reshape(2, 3, 4, 4)
    calls = []

    def denoiser(x_t: np.ndarray, t: float, cond: Any) -> np.ndarray:
        calls.append((x_t, t))
        return pictures

    steps = blend(denoiser, source(0), None, schedule=LINEAR, times=uniform_times(20), fresh=source)
    for k, step in enumerate(steps, start=1):
        mixed = (5 * k / 100) * pictures + (1 - 5 * k / 100) * (source(k) if k < 20 else 0.0)
        np.testing.assert_allclose(step.x_t, mixed, atol=1e-6)
        assert round(100 * step.alpha, 9) == 5 * k
        assert round(100 * step.sigma, 9) == 100 - 5 * k
    assert np.array_equal(calls[0][0], source(0))
    assert [t for _, t in calls] == [(20 - k) / 20 for k in range(20)]


def test_the_blend_without_freshness_keeps_the_old_noise() -> None:
    source = noise_source(7, [0], (3, 4, 4))
    x0 = np.ones((1, 3, 4, 4), np.float32)
    steps = blend(
        lambda x, t, c: x0, source(0), None, schedule=LINEAR, times=uniform_times(20), freshness=0.0
    )
    for step in steps:
        np.testing.assert_allclose(step.x_t, step.alpha * x0 + step.sigma * source(0), atol=1e-5)


def test_fresh_noise_is_drawn_only_where_it_is_added() -> None:
    indices: list[int] = []

    def fresh(index: int) -> np.ndarray:
        indices.append(index)
        return np.ones((2, 3))

    options = {"schedule": LINEAR, "times": uniform_times(5), "fresh": fresh}
    for sampler in SAMPLERS.values():
        indices.clear()
        list(sampler(curved_denoiser, np.ones((2, 3)), None, **options))
        assert indices == ([1, 2, 3, 4] if sampler in (blend, ddpm) else [])


# --- samplers that coincide


@oracles.few
@given(steps=st.integers(1, 15), shift=st.floats(0.3, 4.0), seed=st.integers(0, 9))
def test_samplers_coincide_as_documented(steps: int, shift: float, seed: int) -> None:
    fresh = oracles.normals(seed, (3, 2))
    for schedule in ALL_SCHEDULES:
        base = {"schedule": schedule, "times": shifted_times(steps, shift), "fresh": fresh}
        ideal = mixture(schedule)

        def draw(sampler: Callable, base: Any = base, ideal: Any = ideal, **more: Any) -> Any:
            return list(sampler(ideal, fresh(0), None, **(base | more)))

        ode = draw(euler)
        assert paths_agree(ode, draw(ddim, eta=0.0))
        assert paths_agree(ode, draw(blend, freshness=0.0))
        assert paths_agree(ode, draw(dpmpp_2m, warmup=steps))
        assert paths_agree(draw(ddpm), draw(ddim, eta=1.0))
        assert paths_agree(draw(previous), draw(ddpm, fresh=lambda index: np.zeros((3, 2))))
        if steps == 1:
            x0 = ideal(schedule.sigma(1.0) * fresh(0), 1.0, None)
            for sampler in SAMPLERS.values():
                np.testing.assert_allclose(draw(sampler)[-1].x_t, x0, atol=1e-12)


@oracles.few
@given(seed=st.integers(0, 9), t=st.floats(0.3, 0.9), share=st.floats(0.1, 0.9))
def test_euler_is_the_slope_of_the_flow_times_the_step(seed: int, t: float, share: float) -> None:
    noise, s = oracles.normals(seed, (3, 2))(0), share * t
    for schedule in ALL_SCHEDULES:
        step = next(euler(curved_denoiser, noise, None, schedule=schedule, times=(t, s)))
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.alpha_sigma(t), schedule.alpha_sigma(s)
        x = sigma_t * noise
        eps = (x - alpha_t * step.x0) / sigma_t
        if schedule.curved:
            moved = alpha_s * (x / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * eps)
        else:
            moved = x + (s - t) * (eps - step.x0)
        np.testing.assert_allclose(step.x_t, moved, atol=1e-12)


def test_euler_and_dpmpp_predict_once_per_step_and_heun_twice() -> None:
    noise = oracles.normals(0, (2, 3))(0)
    cosine = SCHEDULES["cosine"]  # from alpha 0 on a curved schedule Heun's first step is Euler's
    for sampler, schedule, count in (
        (euler, LINEAR, 10), (dpmpp_2m, LINEAR, 10), (heun, LINEAR, 19), (heun, cosine, 18),
    ):  # fmt: skip
        denoiser, calls = oracles.counted(curved_denoiser)
        list(sampler(denoiser, noise, None, schedule=schedule, times=uniform_times(10)))
        assert len(calls) == count


# --- arrays


def test_torch_tensors_take_the_same_path_as_arrays() -> None:
    torch = pytest.importorskip("torch")
    source = noise_source(3, [0, 1], (3, 4, 4))
    x = source(0)
    for schedule in ALL_SCHEDULES:
        ideal = oracles.gaussian(schedule, 0.2, 0.6)
        options = {"schedule": schedule, "times": shifted_times(8, 2.0)}
        for sampler in SAMPLERS.values():
            arrays = sampler(ideal, x, None, fresh=source, **options)
            tensors = sampler(
                ideal, torch.from_numpy(x), None, **options,
                fresh=lambda index: torch.from_numpy(source(index)),
            )  # fmt: skip
            for a, b in zip(arrays, tensors, strict=True):
                assert a.x_t.dtype == a.x0.dtype == np.float32
                assert b.x_t.dtype == b.x0.dtype == torch.float32
                np.testing.assert_allclose(b.x_t.numpy(), a.x_t, atol=1e-5)
                np.testing.assert_allclose(b.x0.numpy(), a.x0, atol=1e-5)


@oracles.few
@given(indices=st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True))
def test_a_picture_is_the_same_in_every_batch(indices: list[int]) -> None:
    def draw(sampler: Callable, indices: list[int]) -> np.ndarray:
        source = noise_source(5, indices, (2, 3, 3))
        cond = np.stack([np.full(4, 0.1 * index, np.float32) for index in indices])
        options = {"schedule": LINEAR, "times": shifted_times(6, 1.5), "fresh": source}
        return last(sampler(curved_denoiser, source(0), cond, **options))

    for sampler in SAMPLERS.values():
        together = draw(sampler, indices)
        for row, index in zip(together, indices, strict=True):
            assert np.array_equal(row, draw(sampler, [index])[0])


def test_a_registered_sampler_is_found_by_name_and_a_taken_name_is_refused() -> None:
    register_sampler("mine", blend)
    try:
        assert SAMPLERS["mine"] is blend
        with pytest.raises(UserError, match="'mine' exists already"):
            register_sampler("mine", ddpm)
    finally:
        del SAMPLERS["mine"]
