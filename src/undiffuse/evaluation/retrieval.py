"""R-precision: whether the judge finds the asked name, and the asked family, in a picture."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Vectors

RIDGE = 0.01  # against the mean eigenvalue of X'X, which is N / D for unit rows


def ranks(
    vectors: Vectors, targets: Vectors, right: Sequence[Collection[int]]
) -> NDArray[np.int64]:
    """How many wrong targets lie at least as near as the best right one: 0 is a find at first go.

    `vectors`: `(B, 512)`; `targets`: `(N, 512)`; `right`: for each vector the rows of the targets
    that answer it. Ties count against the vector, so a judge that says one thing of all scores 0.
    """
    similarity = vectors @ targets.T  # (B, N)
    out = np.zeros(len(vectors), np.int64)
    for row, answers in enumerate(right):
        wanted = list(answers)
        nearer = similarity[row] >= similarity[row, wanted].max()
        out[row] = nearer.sum() - nearer[wanted].sum()
    return out


def found(
    vectors: Vectors, targets: Vectors, right: Sequence[Collection[int]], first: int
) -> NDArray[np.bool_]:
    """`(B,)`: whether a right target is among the `first` nearest."""
    return ranks(vectors, targets, right) < first


def top(vectors: Vectors, targets: Vectors, count: int) -> NDArray[np.int64]:
    """`(B, count)`: the nearest targets, nearest first."""
    return np.argsort(-(vectors @ targets.T), axis=1, kind="stable")[:, :count]


@dataclass(frozen=True)
class FamilyProbe:
    """Which family a picture is drawn in: least squares on its features, the judge's vector say.

    A probe on pictures and not the text "NAME in F style": whether the judge's *text* tower keeps
    the family is another question than whether the picture shows it.
    """

    families: tuple[str, ...]
    weights: NDArray[np.float64]  # (D + 1, F), the last row for a constant

    @classmethod
    def fit(cls, vectors: Vectors, families: Sequence[str]) -> "FamilyProbe":
        """From features `(N, D)` of training pictures, rows of unit length, and their families."""
        names = tuple(sorted(set(families)))
        labels = np.array([names.index(family) for family in families])
        each = np.bincount(labels)[labels]
        share = np.sqrt(len(labels) / (len(names) * each))[:, None]  # families count alike
        inputs = _with_constant(vectors) * share
        gram = inputs.T @ inputs
        gram += RIDGE * len(vectors) / vectors.shape[1] * np.eye(len(gram))
        targets = np.eye(len(names))[labels] * share
        return cls(names, np.linalg.solve(gram, inputs.T @ targets))

    def __call__(self, vectors: Vectors) -> list[str]:
        """The family of each of `(B, D)` features."""
        return [self.families[i] for i in (_with_constant(vectors) @ self.weights).argmax(1)]

    def right(self, vectors: Vectors, families: Sequence[str]) -> NDArray[np.bool_]:
        """`(B,)`: whether each is in the family it should be in."""
        return np.array(self(vectors)) == np.array(families)


def _with_constant(vectors: Vectors) -> NDArray[np.float64]:
    return np.concatenate([vectors, np.ones((len(vectors), 1))], 1).astype(np.float64)
