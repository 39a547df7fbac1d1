"""Metrics with bootstrap confidence intervals (Efron 1979: percentiles over resampled items)."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.random import Philox
from numpy.typing import ArrayLike, NDArray

from undiffuse.errors import UserError

DRAWS = 2000
LEVEL = 0.95
_CHUNK = 1 << 21  # indices in memory at once


@dataclass(frozen=True)
class Metric:
    """A measured number with its 95% interval, the number of items, and its target.

    `real`: the same measurement on real pictures, the ceiling of a share or the floor of a
    distance.
    """

    name: str
    value: float
    low: float
    high: float
    count: int
    real: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "share"
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the value reaches its target; None without a target."""
        if self.at_least is None and self.at_most is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON. NaN and infinity become None."""
        fields = {**asdict(self), "passed": self.passed}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in fields.items()
        }


def mean_metric(name: str, scores: ArrayLike, seed: int = 0, **fields: Any) -> Metric:
    """The mean of per-item scores `(N,)`. `fields`: of `Metric`."""
    return ratio_metric(name, scores, np.ones(np.shape(scores)), seed, **fields)


def ratio_metric(
    name: str, numerator: ArrayLike, denominator: ArrayLike, seed: int = 0, **fields: Any
) -> Metric:
    """The ratio of the means of paired per-item scores `(N,)`. `fields`: of `Metric`."""
    value, low, high = bootstrap_ratio(numerator, denominator, seed)
    return Metric(name, value, low, high, **{"count": np.size(numerator), **fields})


def bootstrap_ratio(
    numerator: ArrayLike, denominator: ArrayLike, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float, float]:
    """(ratio of the two means, low, high) of paired scores `(N,)`, resampled together.

    Scores that belong together (seeds of one prompt) must be averaged to one score first, or the
    interval is too narrow.
    """
    pair = [np.asarray(scores, np.float64) for scores in (numerator, denominator)]
    if pair[0].shape != pair[1].shape or pair[0].ndim != 1:
        raise ValueError(f"paired scores (N,) are needed, not {pair[0].shape} and {pair[1].shape}")
    if not pair[0].size:
        raise UserError("a metric needs at least one item: is the data set complete?")
    every = np.arange(pair[0].size)[None]
    ratios = [
        _divide(*(scores[rows].mean(1) for scores in pair))
        for rows in (every, *resamples(pair[0].size, draws, seed))
    ]
    return (float(ratios[0][0]), *percentiles(np.concatenate(ratios[1:])))


def resamples(count: int, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`draws` rows of `count` random indices, in chunks `(chunk, count)`; equal for equal seeds.

    Made from the raw bits of a counter-based generator, which are the same in all versions of
    NumPy. The bias of scaling 32 bits down to `count` is below count / 2^32.
    """
    bits = Philox(key=[seed, 0xB007])
    rows = max(1, _CHUNK // max(count, 1))
    for start in range(0, draws, rows):
        shape = (min(rows, draws - start), count)
        raw = bits.random_raw(shape[0] * shape[1]).reshape(shape) >> np.uint64(32)
        yield ((raw * np.uint64(count)) >> np.uint64(32)).astype(np.int64)


def percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95% interval of resampled values, without NaN."""
    if np.isnan(values).all():
        return math.nan, math.nan
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _divide(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
