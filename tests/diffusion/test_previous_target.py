"""The old way's target: the picture one step less noisy, of one Markov chain with `x_t`."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusion import oracles
from tests.diffusion.helpers import ALL_SCHEDULES, PLAIN, three_normals
from undiffuse.diffusion import (
    SCHEDULES,
    add_noise,
    convert,
    previous_time,
    target,
    to_x0,
)
from undiffuse.errors import UserError


@oracles.few
@given(share=st.floats(0.0, 1.0), chain=st.sampled_from([1, 20, 200]))
def test_a_prediction_is_converted_to_previous_and_back(share: float, chain: int) -> None:
    for schedule, name in product(ALL_SCHEDULES, PLAIN):
        highest = chain - (name == "eps" and schedule.terminal_alpha() == 0.0)
        if highest < 1:
            continue
        number = 1 + round(share * (highest - 1))
        x0, noise, _ = three_normals(number, (2, 3))
        t, s = number / chain, (number - 1) / chain
        x_t, output = add_noise(schedule, x0, noise, t), target(name, schedule, x0, noise, t)
        mean = convert(name, "previous", schedule, output, x_t, t, chain=chain)
        # arXiv 2006.11239, equation 7, for any schedule: with a = alpha_t / alpha_s and
        # b = sigma_t^2 - a^2 sigma_s^2,  mean = (a sigma_s^2 x_t + alpha_s b x0) / sigma_t^2
        (alpha_t, sigma_t), (alpha_s, sigma_s) = map(schedule.alpha_sigma, (t, s))
        a = alpha_t / alpha_s
        b = sigma_t**2 - (a * sigma_s) ** 2
        wanted = (a * sigma_s**2 * x_t + alpha_s * b * x0) / sigma_t**2
        np.testing.assert_allclose(mean, wanted, atol=1e-9)
        back = to_x0("previous", schedule, mean, x_t, t, chain=chain)
        np.testing.assert_allclose(back, x0, atol=1e-6)


def test_previous_and_x_t_come_from_one_markov_chain() -> None:
    size = 200_000
    rng = np.random.default_rng(3)
    error = 4.5 / np.sqrt(size)
    for schedule, (number, chain) in product(ALL_SCHEDULES, [(1, 20), (10, 20), (20, 20)]):
        t, s = number / chain, (number - 1) / chain
        noise, fresh = rng.standard_normal((2, size, 1))
        x0 = np.full((size, 1), 0.7)
        x_t = add_noise(schedule, x0, noise, t)
        x_s = target("previous", schedule, x0, noise, t, chain=chain, fresh=fresh)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = map(schedule.alpha_sigma, (t, s))
        # x_s is the picture mixed at s, and x_t - (alpha_t / alpha_s) x_s is new noise.
        assert abs(x_s.mean() - alpha_s * 0.7) <= error * sigma_s + 1e-12
        assert abs(x_s.std() - sigma_s) <= error * sigma_s + 1e-12
        a = alpha_t / alpha_s
        added = x_t - a * x_s
        assert abs((added * (x_s - alpha_s * 0.7)).mean()) <= error * sigma_s * sigma_t + 1e-12
        assert abs(added.std() ** 2 - (sigma_t**2 - (a * sigma_s) ** 2)) <= 2 * error


def test_convert_gives_the_mean_of_the_previous_target() -> None:
    # The mean over the fresh noise of the target is the mean of the step before.
    schedule, (x0, noise, fresh) = SCHEDULES["linear"], three_normals(5, (2, 3))
    pair = [
        target("previous", schedule, x0, noise, 0.5, chain=20, fresh=z) for z in (fresh, -fresh)
    ]
    x_t = add_noise(schedule, x0, noise, 0.5)
    mean = convert("x0", "previous", schedule, x0, x_t, 0.5, chain=20)
    np.testing.assert_allclose((pair[0] + pair[1]) / 2, mean, atol=1e-12)


def test_previous_time_keeps_the_type_of_t() -> None:
    torch = pytest.importorskip("torch")
    assert previous_time(1.0, 20) == 0.95
    assert previous_time(0.05, 20) == 0.0
    t = np.float32([0.1, 1.0])
    np.testing.assert_allclose(previous_time(t, 20), [0.05, 0.95], rtol=1e-6)
    assert previous_time(torch.tensor([0.1]), 20).dtype == torch.float32


def test_levels_off_the_chain_are_refused() -> None:
    for t in [0.0, 0.51, 0.025]:
        x0, noise, fresh = three_normals(0, (2, 3))
        with pytest.raises(UserError, match=f"t={t:g} is not on the chain=20"):
            target("previous", SCHEDULES["linear"], x0, noise, t, chain=20, fresh=fresh)


def test_previous_needs_its_chain_and_its_second_noise() -> None:
    x0, noise, fresh = three_normals(0, (2, 3))
    with pytest.raises(UserError, match="chain=0"):
        target("previous", SCHEDULES["linear"], x0, noise, 0.5, fresh=fresh)
    with pytest.raises(UserError, match="fresh is NoneType"):
        target("previous", SCHEDULES["linear"], x0, noise, 0.5, chain=20)
