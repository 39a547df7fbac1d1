"""Weight averages, compared with the paper's formulas."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from undiffuse.training.ema import PowerEma, gamma_from_length


def test_gamma_gives_the_relative_deviation() -> None:
    """The profile is proportional to t^gamma on [0, 1] (Karras et al. 2024, section 3.1); its
    standard deviation, computed from its moments, must be `length`.
    """
    for length in (0.01, 0.05, 0.10, 0.15, 0.20, 0.25, 0.279):
        gamma = gamma_from_length(length)
        mean, square = (gamma + 1) / (gamma + 2), (gamma + 1) / (gamma + 3)
        assert math.sqrt(square - mean**2) == pytest.approx(length, rel=1e-6)


def test_gamma_is_the_papers() -> None:
    """Section 3.2: lengths of 5% and 10% are gamma = 16.97 and 6.94."""
    assert gamma_from_length(0.05) == pytest.approx(16.97, abs=0.005)
    assert gamma_from_length(0.10) == pytest.approx(6.94, abs=0.005)


def test_a_length_out_of_range_is_refused() -> None:
    for length in (0.0, -0.1, 0.28, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"not between 0 and 0\.28"):
            gamma_from_length(length)


def random_walk(steps: int) -> tuple[PowerEma, list[np.ndarray]]:
    """Averages over a random walk of the weights, and the weights after each step."""
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    ema = PowerEma(model)
    weights = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.weight.add_(0.1 * torch.randn(2, 4))
        ema.update(model, step)
        weights.append(model.weight.detach().double().numpy().copy())
    return ema, weights


def test_the_average_after_one_step_is_the_weights() -> None:
    ema, weights = random_walk(1)
    for average in ema.averages:
        assert np.array_equal(average["weight"].double().numpy(), weights[0])


def test_the_recursion_is_the_weighted_sum() -> None:
    """beta_k = (1 - 1/k)^(gamma + 1) gives step k the share of its interval in t^gamma:
    (k/n)^(gamma + 1) - ((k - 1)/n)^(gamma + 1).
    """
    ema, weights = random_walk(60)
    for length, average in zip(ema.lengths, ema.averages, strict=True):
        shares = np.diff((np.arange(61) / 60) ** (gamma_from_length(length) + 1))
        expected = np.einsum("k,kij->ij", shares, np.stack(weights))
        assert np.allclose(average["weight"].double().numpy(), expected, atol=1e-5)


def test_averages_differ_by_length_and_are_restored() -> None:
    ema, _ = random_walk(30)
    one, other = (average["weight"] for average in ema.averages)
    assert not torch.allclose(one, other)
    tensors = {name: tensor.clone() for name, tensor in ema.tensors().items()}
    assert set(tensors) == {
        f"ema.{length}/{name}" for length in (0.05, 0.10) for name in ("weight", "bias")
    }
    fresh, _ = random_walk(2)
    fresh.restore(tensors)
    for name, tensor in fresh.tensors().items():
        assert torch.equal(tensor, tensors[name])


def test_the_model_is_not_changed() -> None:
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    ema = PowerEma(model)
    ema.update(model, 5)
    assert torch.equal(model.weight, before)
    with torch.no_grad():
        model.weight.zero_()
    assert ema.averages[0]["weight"].abs().sum() > 0
