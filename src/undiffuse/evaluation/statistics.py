"""Figures with bootstrap intervals (Efron 1979: percentiles over resampled items)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.random import Philox
from numpy.typing import ArrayLike, NDArray

from undiffuse.errors import UserError

DRAWS = 2000
LEVEL = 0.95
_CHUNK = 1 << 21  # indices held at once


@dataclass(frozen=True)
class Figure:
    """One measured number, its 95% interval, how many items it rests on, and what it must reach.

    `real` is the same measure on real pictures: the ceiling of a share, the floor of a distance.
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
        """Whether the value lies within its bounds; None where it has none."""
        if self.at_least is None and self.at_most is None:
            return None
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= self.value <= high

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is not finite becomes None."""
        fields = {**asdict(self), "passed": self.passed}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in fields.items()
        }


def resamples(count: int, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`(chunk, count)` indices at a time, `draws` rows in all, the same for the same seed.

    Counter-based raw bits and a fixed transform, so that NumPy's version does not matter. The bias
    of multiplying 32 bits down to `count` is below count / 2^32.
    """
    bits = Philox(key=[seed, 0xB007])
    rows = max(1, _CHUNK // max(count, 1))
    for start in range(0, draws, rows):
        shape = (min(rows, draws - start), count)
        raw = bits.random_raw(shape[0] * shape[1]).reshape(shape) >> np.uint64(32)
        yield ((raw * np.uint64(count)) >> np.uint64(32)).astype(np.int64)


def bootstrap_mean(
    scores: ArrayLike, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float, float]:
    """(mean, low, high) of per-item scores `(N,)`. Items that belong together (seeds of one
    prompt) must come as one score, or the interval is too narrow.
    """
    values = _scores(scores)
    means = [values[rows].mean(1) for rows in resamples(len(values), draws, seed)]
    return (float(values.mean()), *percentiles(np.concatenate(means)))


def bootstrap_ratio(
    above: ArrayLike, below: ArrayLike, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float, float]:
    """(ratio of the two means, low, high) of paired scores `(N,)`, items resampled together."""
    top, bottom = _scores(above), _scores(below)
    if top.shape != bottom.shape:
        raise ValueError(f"scores in pairs are needed, not {len(top)} and {len(bottom)}")
    ratios = []
    for rows in resamples(len(top), draws, seed):
        ratios.append(_divide(top[rows].mean(1), bottom[rows].mean(1)))
    value = float(_divide(top.mean(keepdims=True), bottom.mean(keepdims=True))[0])
    return (value, *percentiles(np.concatenate(ratios)))


def mean_figure(name: str, scores: ArrayLike, seed: int = 0, **fields: Any) -> Figure:
    """The mean of per-item scores as a figure; `fields` as `Figure` has them."""
    value, low, high = bootstrap_mean(scores, seed)
    return Figure(name, value, low, high, **{"count": np.size(np.asarray(scores)), **fields})


def ratio_figure(
    name: str, above: ArrayLike, below: ArrayLike, seed: int = 0, **fields: Any
) -> Figure:
    """The ratio of two paired means as a figure."""
    value, low, high = bootstrap_ratio(above, below, seed)
    return Figure(name, value, low, high, **{"count": np.size(np.asarray(above)), **fields})


def _scores(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not len(values):
        raise UserError("a figure needs at least one item to rest on: is the data set complete?")
    return values


def _divide(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)


def percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95% interval of resampled values, those that are not numbers left out."""
    tail = (1 - LEVEL) / 2
    if np.isnan(values).all():
        return math.nan, math.nan
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


def share(hits: Sequence[bool] | NDArray[np.bool_]) -> float:
    """The share of true ones, nan of none."""
    return float(np.mean(hits)) if len(hits) else math.nan
