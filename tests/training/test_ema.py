"""Averages of the weights, against the papers' formulas written out."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from undiffuse.training.ema import PowerEma, gamma_of


@pytest.mark.parametrize("length", [0.01, 0.05, 0.10, 0.15, 0.20, 0.25, 0.279])
def test_gamma_gives_the_relative_deviation(length: float) -> None:
    """The profile is proportional to t^gamma on [0, 1] (Karras et al. 2024, section 3.1): its
    standard deviation, by its moments, must be `length`.
    """
    gamma = gamma_of(length)
    mean, square = (gamma + 1) / (gamma + 2), (gamma + 1) / (gamma + 3)
    assert math.sqrt(square - mean**2) == pytest.approx(length, rel=1e-6)


def test_gammas_of_the_paper() -> None:
    """Section 3.2 there: 5% and 10% are gamma = 16.97 and 6.94."""
    assert gamma_of(0.05) == pytest.approx(16.97, abs=0.005)
    assert gamma_of(0.10) == pytest.approx(6.94, abs=0.005)


@pytest.mark.parametrize("length", [0.0, -0.1, 0.28, 1.0, math.nan])
def test_lengths_that_have_no_gamma(length: float) -> None:
    with pytest.raises(ValueError, match=r"not between 0 and 0\.28"):
        gamma_of(length)


def walk(steps: int) -> tuple[PowerEma, list[np.ndarray]]:
    """Averages over a walk of the weights, and the weights after each step."""
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    ema = PowerEma(model)
    seen = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.weight.add_(0.1 * torch.randn(2, 4))
        ema.update(model, step)
        seen.append(model.weight.detach().double().numpy().copy())
    return ema, seen


def test_the_first_step_is_the_weights() -> None:
    ema, seen = walk(1)
    for average in ema.averages:
        assert np.array_equal(average["weight"].double().numpy(), seen[0])


@pytest.mark.parametrize("which", [0, 1])
def test_the_recursion_is_the_weighted_sum(which: int) -> None:
    """beta_k = (1 - 1/k)^(gamma + 1) gives weight k the share that its interval has of t^gamma:
    (k/n)^(gamma + 1) - ((k - 1)/n)^(gamma + 1).
    """
    ema, seen = walk(60)
    power = gamma_of(ema.lengths[which]) + 1
    edges = (np.arange(61) / 60) ** power
    expected = np.einsum("k,kij->ij", np.diff(edges), np.stack(seen))
    assert np.allclose(ema.averages[which]["weight"].double().numpy(), expected, atol=1e-5)


def test_lengths_differ_and_are_restored() -> None:
    ema, _ = walk(30)
    one, other = (average["weight"] for average in ema.averages)
    assert not torch.allclose(one, other)
    tensors = {name: tensor.clone() for name, tensor in ema.tensors().items()}
    assert set(tensors) == {
        f"ema.{length}/{name}" for length in (0.05, 0.10) for name in ("weight", "bias")
    }
    fresh, _ = walk(2)
    fresh.restore(tensors)
    for name, tensor in fresh.tensors().items():
        assert torch.equal(tensor, tensors[name])


def test_the_model_is_not_touched() -> None:
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    ema = PowerEma(model)
    ema.update(model, 5)
    assert torch.equal(model.weight, before)
    with torch.no_grad():
        model.weight.zero_()
    assert ema.averages[0]["weight"].abs().sum() > 0
