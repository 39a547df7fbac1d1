import math

import numpy as np
import pytest

from undiffuse.errors import UserError
from undiffuse.evaluation.statistics import (
    Metric,
    bootstrap_ratio,
    mean_metric,
    ratio_metric,
    resamples,
)


def test_resamples_are_uniform_and_reproducible() -> None:
    rows = np.concatenate(list(resamples(10, 4000, seed=3)))
    assert rows.shape == (4000, 10)
    assert (rows == np.concatenate(list(resamples(10, 4000, seed=3)))).all()
    assert (rows != np.concatenate(list(resamples(10, 4000, seed=4)))).any()
    counts = np.bincount(rows.ravel(), minlength=10)
    chi_square = np.square(counts - 4000).sum() / 4000
    assert chi_square < 27.9  # the 99.9% point with 9 degrees of freedom


def test_the_interval_of_a_mean_has_its_nominal_coverage() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        hits = rng.random(80) < 0.3
        _, low, high = bootstrap_ratio(hits, np.ones(80), seed=trial, draws=500)
        inside += low <= 0.3 <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_the_interval_of_a_ratio_uses_the_pairing() -> None:
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


def test_a_ratio_to_zero_is_nan_and_misses_its_target() -> None:
    figure = ratio_metric("share", [1, 0], [0, 0], at_least=0.5)
    assert math.isnan(figure.value)
    assert figure.passed is False
    assert figure.to_dict()["value"] is None


def test_empty_and_unpaired_scores_are_refused() -> None:
    with pytest.raises(UserError, match="at least one item"):
        mean_metric("x", [])
    with pytest.raises(ValueError, match="paired"):
        bootstrap_ratio([1.0], [1.0, 2.0])


def test_a_metric_passes_if_it_is_within_its_targets() -> None:
    cases: list[tuple[float, dict[str, float], bool | None]] = [
        (0.85, {"at_least": 0.85}, True),
        (0.849, {"at_least": 0.85}, False),
        (1.3, {"at_least": 0.75, "at_most": 1.25}, False),
        (0.9, {"at_most": 1.0}, True),
        (0.0, {}, None),
    ]
    for value, bounds, passed in cases:
        assert Metric("x", value, value, value, 1, **bounds).passed is passed, (value, bounds)


def test_a_metric_counts_its_items() -> None:
    figure = mean_metric("x", [True, False, True, True], real=0.9)
    assert (figure.count, figure.value, figure.real) == (4, 0.75, 0.9)
    assert figure.low <= figure.value <= figure.high
