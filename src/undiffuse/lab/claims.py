"""What an experiment finds: figures, exhibits, and the tests by which its claim stands or falls."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from undiffuse.evaluation.statistics import Figure, mean_figure
from undiffuse.imaging.png import encode_png, upscale
from undiffuse.lab.toy_data import to_bytes

RULE = (
    "A test holds if the 95% intervals say so: the one that should be larger lies wholly above "
    "the other, or the interval lies wholly inside the band. It fails if they say the opposite, "
    "and is open if they overlap. A claim is refuted if any of its tests fails, confirmed if all "
    "hold, and undecided otherwise. Intervals are of the prompts or pictures that were drawn, not "
    "of the network: another seed trains another one."
)
Outcome = bool | None  # holds, fails, open


@dataclass(frozen=True)
class Check:
    """One comparison of measured figures, in words and as it came out."""

    text: str
    holds: Outcome


@dataclass(frozen=True)
class Exhibit:
    """Something to look at: rows of pictures (label, PNG file), or a drawing as SVG."""

    caption: str
    alt: str
    rows: Sequence[tuple[str, bytes]] = ()
    svg: str = ""


@dataclass(frozen=True)
class Finding:
    """A claim, what was done about it and what came out."""

    key: str
    title: str
    claim: str
    done: str
    figures: Sequence[Figure]
    tests: Sequence[Check]
    exhibits: Sequence[Exhibit] = field(default=())
    note: str = ""

    @property
    def verdict(self) -> str:
        return verdict(self.tests)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the exhibits."""
        return {
            "key": self.key,
            "claim": self.claim,
            "verdict": self.verdict,
            "tests": [{"text": test.text, "holds": test.holds} for test in self.tests],
            "figures": [figure.to_dict() for figure in self.figures],
        }


def verdict(tests: Sequence[Check]) -> str:
    """ "confirmed", "refuted" or "undecided", by `RULE`; of no test at all, "undecided"."""
    outcomes = [test.holds for test in tests]
    if False in outcomes:
        return "refuted"
    return "confirmed" if outcomes and all(outcomes) else "undecided"


def above(more: Figure, less: Figure | float) -> Check:
    """Whether the first is larger: True, False, or None where the intervals overlap."""
    if isinstance(less, Figure):
        low, high, name = less.low, less.high, f"“{less.name}”"
    else:
        low, high, name = less, less, f"{less:g}"
    holds = True if more.low > high else False if more.high < low else None
    return Check(f"“{more.name}” above {name}", holds)


def inside(figure: Figure, low: float, high: float) -> Check:
    """Whether a figure lies in a band: by its whole interval."""
    outside = figure.high < low or figure.low > high
    holds = True if low <= figure.low and figure.high <= high else False if outside else None
    return Check(f"“{figure.name}” from {low:.3g} to {high:.3g}", holds)


def by_group(scores: ArrayLike, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(K,)`: the mean score of each group, for what belongs together must be resampled so."""
    values = np.asarray(scores, np.float64)
    return np.array([values[groups == k].mean() for k in np.unique(groups)])


def share_figure(name: str, hits: ArrayLike, groups: NDArray[np.int64], **more: Any) -> Figure:
    """The share of hits `(B,)`, resampled by group (pictures of one prompt belong together).

    Where all groups agree a bootstrap has no width: then it is 3 / groups (the rule of three).
    """
    means = by_group(hits, groups)
    figure = mean_figure(name, means, **more)
    if figure.low < figure.high:
        return figure
    width = 3.0 / len(means)
    low, high = max(0.0, figure.value - width), min(1.0, figure.value + width)
    return replace(figure, low=low, high=high)


def row_of(pixels: Tensor, scale: int = 2, gap: int = 1) -> bytes:
    """Pictures `(B, 3, H, W)` in [-1, 1] side by side, grey lines between them, as a PNG file."""
    shown = to_bytes(pixels).transpose(0, 2, 3, 1)
    padded = np.pad(shown, ((0, 0), (gap, gap), (gap, gap), (0, 0)), constant_values=128)
    return encode_png(upscale(np.concatenate(list(padded), axis=1), scale))
