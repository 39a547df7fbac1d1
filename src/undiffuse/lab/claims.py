"""The result of an experiment: metrics, checks that confirm or refute the claim, and images."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undiffuse.evaluation.statistics import Metric, mean_metric

RULE = (
    "A check holds if its 95% intervals say so: the interval of the larger metric lies completely "
    "above the other one, or the interval lies completely inside the range. It fails if they say "
    "the opposite, and is open if they overlap. A claim is refuted if any of its checks fails, "
    "confirmed if all hold, and undecided otherwise. The intervals cover the prompts or pictures "
    "that were drawn, and not the training of the network: another seed gives another network."
)


@dataclass(frozen=True)
class Check:
    """A comparison of measured metrics. `holds`: True, False, or None if the intervals overlap."""

    text: str
    holds: bool | None

    @classmethod
    def above(cls, larger: Metric, smaller: Metric | float) -> "Check":
        """Whether the first metric is larger than the second or than a number."""
        if not isinstance(smaller, Metric):
            smaller = Metric(f"{smaller:g}", smaller, smaller, smaller, 0)
        holds = True if larger.low > smaller.high else False if larger.high < smaller.low else None
        return cls(f"“{larger.name}” above “{smaller.name}”", holds)

    @classmethod
    def inside(cls, metric: Metric, low: float, high: float) -> "Check":
        """Whether the metric lies in a range."""
        outside = metric.high < low or metric.low > high
        holds = True if low <= metric.low and metric.high <= high else False if outside else None
        return cls(f"“{metric.name}” from {low:.3g} to {high:.3g}", holds)


@dataclass(frozen=True)
class ReportFigure:
    """An image of the report: rows of pictures (label, PNG file), or an SVG file."""

    caption: str
    alt: str
    rows: Sequence[tuple[str, bytes]] = ()
    svg: bytes = b""


@dataclass(frozen=True)
class ClaimResult:
    """A claim, the method of its experiment, and the results."""

    key: str
    title: str
    claim: str
    method: str
    metrics: Sequence[Metric]
    checks: Sequence[Check]
    images: Sequence[ReportFigure] = field(default=())
    note: str = ""

    @property
    def verdict(self) -> str:
        return verdict(self.checks)

    def to_dict(self) -> dict[str, Any]:
        """JSON data, without the images."""
        return {
            "key": self.key,
            "claim": self.claim,
            "verdict": self.verdict,
            "tests": [{"text": check.text, "holds": check.holds} for check in self.checks],
            "figures": [metric.to_dict() for metric in self.metrics],
        }


def verdict(checks: Sequence[Check]) -> str:
    """ "confirmed", "refuted" or "undecided", by `RULE`; "undecided" without checks."""
    outcomes = [check.holds for check in checks]
    if False in outcomes:
        return "refuted"
    return "confirmed" if outcomes and all(outcomes) else "undecided"


def group_means(scores: ArrayLike, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(K,)`: the mean score of each group. Dependent scores must be resampled as groups."""
    values = np.asarray(scores, np.float64)
    return np.array([values[groups == k].mean() for k in np.unique(groups)])


def share_metric(name: str, hits: ArrayLike, groups: NDArray[np.int64]) -> Metric:
    """The share of hits `(B,)`, resampled by group, such as the pictures of a prompt.

    If all groups are equal, the bootstrap interval has no width; then it is 3 / groups (the rule
    of three).
    """
    means = group_means(hits, groups)
    metric = mean_metric(name, means)
    if metric.low < metric.high:
        return metric
    width = 3.0 / len(means)
    low, high = max(0.0, metric.value - width), min(1.0, metric.value + width)
    return replace(metric, low=low, high=high)
