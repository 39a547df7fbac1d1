import math

import numpy as np
import pytest

from undiffuse.errors import UserError
from undiffuse.evaluation.statistics import (
    Figure,
    bootstrap_mean,
    bootstrap_ratio,
    mean_figure,
    ratio_figure,
    resamples,
)


def test_resamples_are_uniform_and_the_same_for_the_same_seed() -> None:
    rows = np.concatenate(list(resamples(10, 4000, seed=3)))
    assert rows.shape == (4000, 10)
    assert (rows == np.concatenate(list(resamples(10, 4000, seed=3)))).all()
    assert (rows != np.concatenate(list(resamples(10, 4000, seed=4)))).any()
    counts = np.bincount(rows.ravel(), minlength=10)
    chi_square = np.square(counts - 4000).sum() / 4000
    assert chi_square < 27.9  # the 99.9% point with 9 degrees of freedom


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        _, low, high = bootstrap_mean(rng.random(80) < 0.3, seed=trial, draws=500)
        inside += low <= 0.3 <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_the_interval_of_a_ratio_uses_that_scores_are_paired() -> None:
    rng = np.random.default_rng(0)
    below = rng.gamma(1.0, size=300)
    value, low, high = bootstrap_ratio(0.8 * below, below)
    assert value == pytest.approx(0.8)
    assert high - low < 1e-9
    inside = 0
    for trial in range(200):
        below = rng.random(100) < 0.8
        above = below & (rng.random(100) < 0.75)
        _, low, high = bootstrap_ratio(above, below, seed=trial, draws=500)
        inside += low <= 0.75 <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_a_ratio_to_nothing_is_no_number_and_not_reached() -> None:
    figure = ratio_figure("share", [1, 0], [0, 0], at_least=0.5)
    assert math.isnan(figure.value)
    assert figure.passed is False
    assert figure.to_dict()["value"] is None


def test_no_items_are_refused() -> None:
    with pytest.raises(UserError, match="at least one item"):
        bootstrap_mean([])
    with pytest.raises(ValueError, match="pairs"):
        bootstrap_ratio([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("value", "bounds", "passed"),
    [
        (0.85, {"at_least": 0.85}, True),
        (0.849, {"at_least": 0.85}, False),
        (1.3, {"at_least": 0.75, "at_most": 1.25}, False),
        (0.9, {"at_most": 1.0}, True),
        (0.0, {}, None),
    ],
)
def test_bounds(value: float, bounds: dict[str, float], passed: bool | None) -> None:
    assert Figure("x", value, value, value, 1, **bounds).passed is passed


def test_a_figure_counts_its_items() -> None:
    figure = mean_figure("x", [True, False, True, True], real=0.9)
    assert (figure.count, figure.value, figure.real) == (4, 0.75, 0.9)
    assert figure.low <= figure.value <= figure.high
