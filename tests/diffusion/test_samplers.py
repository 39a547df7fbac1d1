"""Samplers against oracles: where they land, how fast, what is the same, and what is refused."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusion import oracles
from undiffuse.diffusion import (
    EPS_START,
    SAMPLERS,
    SCHEDULES,
    TARGETS,
    Schedule,
    Step,
    as_denoiser,
    blend,
    ddim,
    ddpm,
    dpmpp_2m,
    edm,
    euler,
    even,
    heun,
    noise_source,
    previous,
    shifted,
)
from undiffuse.errors import UserError

EVERY = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
EACH = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
LINEAR = SCHEDULES["linear"]

WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-1.0, 0.0], [1.0, 0.5], [0.3, -1.0]])
DEVIATIONS = np.array([0.15, 0.25, 0.1])


def mixture(schedule: Schedule) -> Any:
    return oracles.mixture(schedule, WEIGHTS, MEANS, DEVIATIONS)


def picture(x: np.ndarray, t: float, cond: Any) -> np.ndarray:
    """A denoiser with some curve in x and in t, and a use for cond."""
    x0 = np.tanh(x + t).astype(x.dtype)
    return x0 if cond is None else x0 + cond[:, :1].reshape(-1, *[1] * (x.ndim - 1))


def last(steps: Any) -> np.ndarray:
    return list(steps)[-1].x_t


def paths_agree(a: Any, b: Any, atol: float = 1e-12) -> bool:
    a, b = list(a), list(b)
    return len(a) == len(b) and all(
        np.allclose(one.x_t, two.x_t, rtol=0, atol=atol) for one, two in zip(a, b, strict=True)
    )


# --- the stream


@EVERY
@EACH
@oracles.few
@given(steps=st.integers(1, 12), shift=st.floats(0.5, 3.0))
def test_every_step_says_where_it_is(
    sampler: Callable, schedule: Schedule, steps: int, shift: float
) -> None:
    times = shifted(steps, shift)
    fresh = oracles.normals(1, (2, 3))
    x = schedule.sigma(1.0) * fresh(0)
    walked = list(sampler(picture, fresh(0), None, schedule=schedule, times=times, fresh=fresh))
    assert [step.index for step in walked] == [*range(1, steps + 1)]
    for step, t, s in zip(walked, times[:-1], times[1:], strict=True):
        assert isinstance(step, Step)
        assert (step.steps, step.t, step.s) == (steps, t, s)
        assert (step.alpha, step.sigma) == schedule.shares(s)
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

    steps = blend(denoiser, source(0), None, schedule=LINEAR, times=even(20), fresh=source)
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
        lambda x, t, c: x0, source(0), None, schedule=LINEAR, times=even(20), freshness=0.0
    )
    for step in steps:
        np.testing.assert_allclose(step.x_t, step.alpha * x0 + step.sigma * source(0), atol=1e-5)


def test_fresh_noise_is_asked_for_only_where_it_is_mixed_in() -> None:
    asked: list[int] = []

    def fresh(index: int) -> np.ndarray:
        asked.append(index)
        return np.ones((2, 3))

    options = {"schedule": LINEAR, "times": even(5), "fresh": fresh}
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
        options = {"schedule": schedule, "times": shifted(steps, shift), "fresh": fresh} | options
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
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.shares(t), schedule.shares(s)
    x = sigma_t * x
    eps = (x - alpha_t * step.x0) / sigma_t
    if schedule.curved:
        moved = alpha_s * (x / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * eps)
    else:
        moved = x + (s - t) * (eps - step.x0)
    np.testing.assert_allclose(step.x_t, moved, atol=1e-12)


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
    options = {"schedule": schedule, "times": even(steps), "fresh": fresh} | options
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
            mixture(schedule), fresh(0), None, schedule=schedule, times=even(200), fresh=fresh
        )
        assert oracles.kolmogorov_smirnov(last(steps)[:, 1], data[:, 1]) > 2.5


@EVERY
@EACH
def test_samplers_land_on_pictures_of_a_finite_set(sampler: Callable, schedule: Schedule) -> None:
    pictures = oracles.normals(4, (4, 1, 3, 3))(0)
    fresh = oracles.normals(2, (64, 1, 3, 3))
    ideal = oracles.finite_set(schedule, pictures)
    steps = sampler(ideal, fresh(0), None, schedule=schedule, times=even(50), fresh=fresh)
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
    drawn = sampler(ideal, fresh(0), None, schedule=LINEAR, times=even(steps), fresh=fresh)
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
                times=even(300),
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


@EVERY
@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2), (dpmpp_2m, 2)])
def test_order_of_convergence_from_noise_to_picture(
    sampler: Callable, order: int, schedule: Schedule
) -> None:
    noise = oracles.normals(3, (64, 1))(0)
    ideal = oracles.gaussian(schedule, 0.4, 0.5)
    errors = []
    for steps in (40, 160):
        times = edm(steps, schedule)
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
            last(sampler(ideal, noise, None, schedule=LINEAR, times=even(20))) - exact
        ).max()
        for sampler in (euler, heun, dpmpp_2m)
    }
    assert error[heun] < 0.1 * error[euler]
    assert error[dpmpp_2m] < 0.3 * error[euler]


def test_predictions_per_step() -> None:
    noise = oracles.normals(0, (2, 3))(0)
    for sampler, calls_wanted in [(euler, 10), (dpmpp_2m, 10), (heun, 19)]:
        counting, calls = oracles.counted(picture)
        list(sampler(counting, noise, None, schedule=LINEAR, times=even(10)))
        assert len(calls) == calls_wanted
    # From alpha 0 on a curved schedule Heun's first step is Euler's, too.
    counting, calls = oracles.counted(picture)
    list(heun(counting, noise, None, schedule=SCHEDULES["cosine"], times=even(10)))
    assert len(calls) == 18


# --- every combination


def combination_is_refused(target: str, schedule: Schedule, times: tuple[float, ...]) -> str:
    if target == "eps" and schedule.alpha(times[0]) == 0.0:
        return "'eps' does not tell 'x0' there; start at 0.995"
    if target == "previous" and any(abs(20 * t - round(20 * t)) > 1e-3 for t in times):
        return "is not on the chain=20"
    return ""


@EVERY
@EACH
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "times",
    [even(20), even(10), even(20, start=EPS_START), shifted(20, 2.0)],
    ids=["even", "half", "below", "shifted"],
)
def test_every_combination_works_or_is_refused(
    sampler: Callable, target: str, schedule: Schedule, times: tuple[float, ...]
) -> None:
    ideal = mixture(schedule)
    model = oracles.network(target, schedule, ideal, chain=20)
    denoiser = as_denoiser(target, schedule, model, chain=20)
    fresh = oracles.normals(6, (8, 2))
    options = {"schedule": schedule, "times": times, "fresh": fresh}
    refusal = combination_is_refused(target, schedule, times)
    if refusal:
        with pytest.raises(UserError, match=refusal):
            list(sampler(denoiser, fresh(0), None, **options))
    else:
        wanted = sampler(ideal, fresh(0), None, **options)
        assert paths_agree(sampler(denoiser, fresh(0), None, **options), wanted, atol=1e-7)


@EVERY
@pytest.mark.parametrize("chain", [20, 200])
def test_the_old_way_feeds_the_networks_output_back(schedule: Schedule, chain: int) -> None:
    outputs = []
    ideal = oracles.network("previous", schedule, mixture(schedule), chain=chain)

    def model(x_t: np.ndarray, t: float, cond: Any) -> np.ndarray:
        outputs.append(ideal(x_t, t, cond))
        return outputs[-1]

    noise = oracles.normals(6, (8, 2))(0)
    denoiser = as_denoiser("previous", schedule, model, chain=chain)
    steps = previous(denoiser, noise, None, schedule=schedule, times=even(chain))
    for step in steps:
        np.testing.assert_allclose(step.x_t, outputs[-1], atol=1e-9)
    assert len(outputs) == chain


# --- arrays


@EVERY
@EACH
def test_torch_walks_the_same_path(sampler: Callable, schedule: Schedule) -> None:
    torch = pytest.importorskip("torch")
    source = noise_source(3, [0, 1], (3, 4, 4))
    ideal = oracles.gaussian(schedule, 0.2, 0.6)
    options = {"schedule": schedule, "times": shifted(8, 2.0)}
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
        options = {"schedule": LINEAR, "times": shifted(6, 1.5), "fresh": source}
        return last(sampler(picture, source(0), cond, **options))

    together = draw(indices)
    for row, index in zip(together, indices, strict=True):
        assert np.array_equal(row, draw([index])[0])


# --- what is refused


def one(sampler: Callable = blend, denoiser: Any = picture, **changed: Any) -> list[Step]:
    options: dict[str, Any] = {
        "noise": np.ones((2, 3)),
        "cond": None,
        "schedule": LINEAR,
        "times": even(4),
        "fresh": lambda index: np.ones((2, 3)),
    }
    return list(sampler(denoiser, **(options | changed)))


@EACH
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_denoiser_that_breaks_is_named_with_its_level(sampler: Callable, bad: float) -> None:
    def broken(x_t: np.ndarray, t: float, cond: Any) -> np.ndarray:
        x0 = picture(x_t, t, cond)
        x0[1, 2] = bad if t < 0.6 else 0.0
        return x0

    with pytest.raises(UserError, match=r"the denoiser gave NaN or infinity at t=0\.5"):
        one(sampler, broken)


@EACH
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"times": [1.0]}, r"times=\[1\.0\]"),
        ({"times": []}, r"times=\[\]"),
        ({"times": [1.0, 0.5, 0.5, 0.0]}, "each below the one before"),
        ({"times": [0.0, 1.0]}, "each below the one before"),
        ({"times": [1.5, 0.0]}, r"times=1\.5"),
        ({"times": [1.0, -0.1]}, r"times=-0\.1"),
        ({"times": [math.nan, 0.0]}, "times=nan"),
        ({"times": ["1", "0"]}, "times='1'"),
        ({"noise": np.ones(3)}, r"noise has shape \(3,\)"),
        ({"noise": np.ones((2, 3), int)}, "noise is int64"),
        ({"noise": [[1.0, 2.0]]}, "noise is list"),
        ({"cond": np.ones((3, 5))}, r"cond is of numpy with shape \(3, 5\).*\(2, D\)"),
        ({"cond": np.ones(5)}, r"cond is of numpy with shape \(5,\)"),
        ({"denoiser": lambda x, t, c: x[:1]}, r"x0 is of numpy with shape \(1, 3\).*\(2, 3\)"),
        ({"denoiser": lambda x, t, c: None}, "the denoiser's x0 is NoneType"),
    ],
)
def test_bad_arguments_are_named(sampler: Callable, changed: dict, named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        one(sampler, **changed)
    assert "\n" not in str(caught.value)


def test_options_out_of_range_are_named_at_once() -> None:
    common = (picture, np.ones((2, 3)), None)
    with pytest.raises(UserError, match=r"freshness=1\.1"):
        blend(*common, schedule=LINEAR, times=even(4), freshness=1.1)
    with pytest.raises(UserError, match="eta=-1"):
        ddim(*common, schedule=LINEAR, times=even(4), eta=-1)
    with pytest.raises(UserError, match="warmup=0"):
        one(dpmpp_2m, warmup=0)


@pytest.mark.parametrize("sampler", [blend, ddpm])
def test_missing_or_misshapen_fresh_noise_is_named(sampler: Callable) -> None:
    with pytest.raises(UserError, match="fresh=None"):
        one(sampler, fresh=None)
    with pytest.raises(UserError, match=r"fresh noise is of numpy with shape \(1, 3\)"):
        one(sampler, fresh=lambda index: np.ones((1, 3)))


def test_arrays_of_two_kinds_are_named() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(UserError, match=r"cond is of torch.*give one of numpy"):
        one(cond=torch.ones(2, 5))
    with pytest.raises(UserError, match="the denoiser's x0 is of torch"):
        one(denoiser=lambda x, t, c: torch.from_numpy(x))
    with pytest.raises(UserError, match="fresh noise is of torch"):
        one(fresh=lambda index: torch.ones(2, 3))
