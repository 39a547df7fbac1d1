import numpy as np
import pytest

from tests.evaluation.fakes import unit
from undiffuse.evaluation.kid import kid, kid_figure


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


def test_it_is_the_formula() -> None:
    x, y = cloud(12, 0).astype(np.float64), cloud(9, 1, shift=1.0).astype(np.float64)
    assert kid(x, y) == pytest.approx(by_the_formula(x, y), rel=1e-9)


def test_equal_distributions_are_near_zero_on_both_sides_of_it() -> None:
    values = [kid(cloud(100, seed), cloud(100, 1000 + seed)) for seed in range(40)]
    error = np.std(values) / 40**0.5
    assert abs(np.mean(values)) < 4 * error  # unbiased
    assert min(values) < 0 < max(values)


def test_a_shift_shows_and_more_of_it_shows_more() -> None:
    still, little, much = (kid(cloud(200, 0), cloud(200, 1, shift=s)) for s in (0.0, 0.5, 2.0))
    assert still < little < much
    figure = kid_figure("KID", cloud(200, 0, shift=2.0), cloud(200, 1), cloud(200, 2))
    assert figure.real is not None
    assert figure.real < figure.low < figure.value < figure.high
    assert figure.count == 200


def test_the_interval_is_not_pushed_up_by_pictures_drawn_twice() -> None:
    covered = 0
    for seed in range(40):
        figure = kid_figure(
            "KID", cloud(60, seed), cloud(60, 500 + seed), cloud(60, 900), seed, 200
        )
        covered += figure.low <= 0 <= figure.high
    assert covered >= 34
