import numpy as np
import pytest

from tests.evaluation.fakes import unit
from undiffuse.evaluation.kid import kid, kid_metric


def cloud(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, 16))
    rows[:, 0] += shift
    return unit(rows)


def by_the_formula(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 4 of Binkowski et al., written out; features at unit RMS."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        width = len(a)
        return float((a * width**0.5 @ (b * width**0.5) / width + 1) ** 3)

    m, n = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    across = sum(kernel(a, b) for a in x for b in y)
    return within_x / (m * (m - 1)) + within_y / (n * (n - 1)) - 2 * across / (m * n)


def test_kid_equals_the_formula_of_the_paper() -> None:
    x, y = cloud(12, 0).astype(np.float64), cloud(9, 1, shift=1.0).astype(np.float64)
    assert kid(x, y) == pytest.approx(by_the_formula(x, y), rel=1e-9)


def test_kid_of_equal_distributions_is_unbiased_around_zero() -> None:
    values = [kid(cloud(100, seed), cloud(100, 1000 + seed)) for seed in range(40)]
    error = np.std(values) / 40**0.5
    assert abs(np.mean(values)) < 4 * error  # unbiased
    assert min(values) < 0 < max(values)


def test_kid_grows_with_a_shift_of_the_distribution() -> None:
    still, little, much = (kid(cloud(200, 0), cloud(200, 1, shift=s)) for s in (0.0, 0.5, 2.0))
    assert still < little < much
    metric = kid_metric("KID", cloud(200, 0, shift=2.0), cloud(200, 1), cloud(200, 2))
    assert metric.real is not None
    assert metric.real < metric.low < metric.value < metric.high
    assert metric.count == 200


def test_resampling_does_not_bias_the_interval() -> None:
    covered = 0
    for seed in range(20):
        found = kid_metric("KID", cloud(60, seed), cloud(60, 500 + seed), cloud(60, 900), seed)
        covered += found.low <= 0 <= found.high
    assert covered >= 17
