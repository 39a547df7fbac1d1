"""What a network predicts: the forward process, the four targets, and the way between them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusion import oracles
from tests.diffusion.helpers import ALL_SCHEDULES, PLAIN, SHAPES, column, three_normals
from undiffuse.diffusion import (
    EPS_START,
    SCHEDULES,
    TARGETS,
    Schedule,
    add_noise,
    as_denoiser,
    convert,
    loss_weight,
    target,
    to_x0,
)
from undiffuse.errors import UserError


@oracles.few
@given(shape=SHAPES, seed=st.integers(0, 99))
def test_add_noise_is_the_forward_process(shape: tuple, seed: int) -> None:
    for schedule in ALL_SCHEDULES:
        x0, noise, _ = three_normals(seed, shape)
        t = np.random.default_rng(seed).random(shape[0])
        alpha, sigma = (column(share, shape) for share in schedule.alpha_sigma(t))
        np.testing.assert_allclose(add_noise(schedule, x0, noise, t), alpha * x0 + sigma * noise)
        assert np.array_equal(add_noise(schedule, x0, noise, 0.0), x0)
        row = add_noise(schedule, x0[:1], noise[:1], float(t[0]))
        np.testing.assert_allclose(row, add_noise(schedule, x0, noise, t)[:1], rtol=1e-12)


def test_v_is_the_velocity_on_the_line_and_that_of_salimans_and_ho_on_the_curves() -> None:
    x0, noise, _ = three_normals(0, (2, 3))
    assert np.array_equal(target("v", SCHEDULES["linear"], x0, noise, 0.3), noise - x0)
    for name in ("cosine", "ddpm"):
        alpha, sigma = SCHEDULES[name].alpha_sigma(0.3)
        wanted = alpha * noise - sigma * x0
        np.testing.assert_allclose(target("v", SCHEDULES[name], x0, noise, 0.3), wanted)


@oracles.few
@given(t=st.floats(0.01, 0.99))
def test_v_on_the_line_is_d_x_t_d_t(t: float) -> None:
    for schedule in ALL_SCHEDULES:
        if schedule.curved:
            continue
        x0, noise, _ = three_normals(1, (2, 3))
        slope = (
            add_noise(schedule, x0, noise, t + 1e-3) - add_noise(schedule, x0, noise, t - 1e-3)
        ) / 2e-3
        np.testing.assert_allclose(target("v", schedule, x0, noise, t), slope, atol=1e-9)


@pytest.mark.slow
@oracles.few
@given(data=st.data(), shape=SHAPES, seed=st.integers(0, 99))
def test_a_prediction_is_converted_to_every_other_target(
    data: st.DataObject, shape: tuple, seed: int
) -> None:
    levels = data.draw(st.lists(st.floats(0.0, 1.0), min_size=shape[0], max_size=shape[0]))
    for schedule, have, want in product(ALL_SCHEDULES, PLAIN, PLAIN):
        t = np.array(levels)
        if have != want:
            alpha, sigma = schedule.alpha_sigma(t)
            t = t[{"x0": sigma > 1e-9, "eps": alpha > 1e-9, "v": sigma >= 0.0}[have]]
        if t.size:
            for dtype in (np.float32, np.float64):
                check_conversion(schedule, have, want, t, (len(t), *shape[1:]), seed, dtype)


def check_conversion(
    schedule: Schedule, have: str, want: str, t: np.ndarray, shape: tuple, seed: int, dtype: type
) -> None:
    x0, noise, _ = (x.astype(np.float64) for x in three_normals(seed, shape, dtype))
    alpha, sigma = (column(share, shape) for share in schedule.alpha_sigma(t))
    # x_t is rounded after mixing in float64: the conversion is tested, not the mixing.
    x_t = (alpha * x0 + sigma * noise).astype(dtype)
    output = target(have, schedule, x0, noise, t).astype(dtype)
    found = convert(have, want, schedule, output, x_t, t)
    assert found.dtype == dtype
    exact = target(want, schedule, x0, noise, t)
    # Rounding is enlarged by 1 / alpha and 1 / sigma; float64 has 1e9 times the digits to lose.
    digits = 1.0 if dtype == np.float32 else 1e-9
    enlarged = np.maximum(1.0, digits * np.maximum(1 / (alpha + 1e-30), 1 / (sigma + 1e-30)))
    size = np.maximum(1.0, np.maximum(abs(x0), abs(noise)).max())
    assert (abs(found - exact) <= 1e-6 * size * enlarged).all()


def test_eps_is_refused_at_pure_noise_with_a_level_to_start_at() -> None:
    for schedule in ["linear", "cosine"]:
        x_t = np.ones((2, 3))
        for t in (1.0, np.array([0.5, 1.0])):
            with pytest.raises(UserError, match=r"t=1: 'eps' does not tell 'x0'.*start at 0\.995"):
                to_x0("eps", SCHEDULES[schedule], x_t, x_t, t)
        assert np.isfinite(to_x0("eps", SCHEDULES[schedule], x_t, x_t, EPS_START)).all()


def test_ddpm_leaves_enough_for_eps() -> None:
    x0, noise, _ = three_normals(0, (2, 3))
    x_t = add_noise(SCHEDULES["ddpm"], x0, noise, 1.0)
    np.testing.assert_allclose(to_x0("eps", SCHEDULES["ddpm"], noise, x_t, 1.0), x0, atol=1e-9)


def test_x0_is_refused_where_no_noise_is_left() -> None:
    for schedule in ALL_SCHEDULES:
        x_t = np.ones((2, 3))
        for want in ("eps", "v"):
            with pytest.raises(UserError, match=f"t=0: 'x0' does not tell '{want}'"):
                convert("x0", want, schedule, x_t, x_t, 0.0)
        # v tells everything everywhere, eps the picture at t = 0, and all of them themselves.
        for t in (0.0, 1.0):
            assert np.isfinite(convert("v", "x0", schedule, x_t, x_t, t)).all()
            assert np.isfinite(convert("v", "eps", schedule, x_t, x_t, t)).all()
            for name in PLAIN:
                assert convert(name, name, schedule, x_t, x_t, t) is x_t
        assert np.array_equal(to_x0("eps", schedule, x_t, 2 * x_t, 0.0), 2 * x_t)


def test_torch_agrees_with_numpy_to_the_last_bits() -> None:
    for schedule in ALL_SCHEDULES:
        for name in TARGETS:
            torch = pytest.importorskip("torch")
            x0, noise, fresh = three_normals(7, (3, 2, 4, 4), np.float32)
            t = np.float32([0.05, 0.5, 0.95])
            a = [x0, noise, t, fresh]
            b = [torch.from_numpy(x) for x in a]
            results = []
            for x, z, level, extra in (a, b):
                options = {"chain": 20, "fresh": extra} if name == "previous" else {}
                told = target(name, schedule, x, z, level, **options)
                noisy = add_noise(schedule, x, z, level)
                picture = to_x0(name, schedule, told, noisy, level, chain=20)
                results.append((told, noisy, picture, loss_weight(name, schedule, level)))
            for ours, theirs in zip(*results, strict=True):
                assert theirs.dtype == torch.float32
                assert ours.dtype == np.float32
                np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-5, atol=1e-6)


def test_as_denoiser_returns_x0_whatever_the_network_predicts() -> None:
    x0, noise, _ = three_normals(9, (2, 3))

    def ideal(x_t: np.ndarray, t: float, cond: object) -> np.ndarray:
        assert (t, cond) == (0.5, "the cond")
        return x0

    for schedule, name in product(ALL_SCHEDULES, TARGETS):
        x_t = add_noise(schedule, x0, noise, 0.5)
        network = oracles.network(name, schedule, ideal, chain=20)
        denoiser = as_denoiser(name, schedule, network, chain=20)
        np.testing.assert_allclose(denoiser(x_t, 0.5, "the cond"), x0, atol=1e-9)


@oracles.few
@given(t=st.floats(0.06, 1.0))
def test_weighted_x0_error_is_the_error_of_v(t: float) -> None:
    for schedule in ALL_SCHEDULES:
        if schedule.sigma(t) <= 0.05:
            continue
        x0, noise, guess = three_normals(2, (2, 3))
        x_t = add_noise(schedule, x0, noise, t)
        error = convert("x0", "v", schedule, guess, x_t, t) - target("v", schedule, x0, noise, t)
        weighted = loss_weight("x0", schedule, t) * (guess - x0) ** 2
        np.testing.assert_allclose(weighted, error**2, rtol=1e-6, atol=1e-9)


def test_loss_weights_are_those_of_the_formula() -> None:
    t = np.float32([0.0, 0.05, 0.5, 1.0])
    weight = loss_weight("x0", SCHEDULES["linear"], t)
    np.testing.assert_allclose(weight, [400.0, 400.0, 4.0, 1.0], rtol=1e-6)
    assert loss_weight("x0", SCHEDULES["linear"], 0.5, floor=0.8) == pytest.approx(1 / 0.64)
    for name in ("eps", "v", "previous"):
        assert loss_weight(name, SCHEDULES["linear"], 0.5) == 1.0
        assert np.array_equal(loss_weight(name, SCHEDULES["cosine"], t), np.ones(4))


def test_a_bad_argument_is_named() -> None:
    torch = pytest.importorskip("torch")
    x0, noise, _ = three_normals(0, (2, 3))
    schedule = SCHEDULES["linear"]
    with pytest.raises(UserError, match="target='noise' is unknown: choose one of x0, eps, v"):
        target("noise", schedule, x0, noise, 0.5)
    with pytest.raises(UserError, match="target='x1' is unknown"):
        as_denoiser("x1", schedule, lambda x_t, t, cond: x_t)
    with pytest.raises(UserError, match=r"noise is of torch with shape \(2, 3\)"):
        add_noise(schedule, x0, torch.from_numpy(noise), 0.5)
    with pytest.raises(UserError, match=r"output is of numpy with shape \(2, 2\)"):
        to_x0("v", schedule, noise[:, :2], x0, 0.5)
    with pytest.raises(UserError, match="noise is int64"):
        add_noise(schedule, x0, np.zeros((2, 3), int), 0.5)
    with pytest.raises(UserError, match="noise is list"):
        add_noise(schedule, x0, noise.tolist(), 0.5)
    with pytest.raises(UserError, match="x0 is uint8"):
        add_noise(schedule, np.zeros((2, 3), np.uint8), noise, np.array([0.5, 0.5]))
    with pytest.raises(UserError, match="x0 is uint8"):
        target("v", schedule, np.zeros((2, 3), np.uint8), noise, 0.5)
    with pytest.raises(UserError, match="x_t is list"):
        to_x0("v", schedule, noise, noise.tolist(), 0.5)
    with pytest.raises(UserError, match=r"t has shape \(3,\)"):
        add_noise(schedule, x0, noise, np.array([0.1, 0.2, 0.3]))
    with pytest.raises(UserError, match=r"t=1\.2"):
        add_noise(schedule, x0, noise, 1.2)
