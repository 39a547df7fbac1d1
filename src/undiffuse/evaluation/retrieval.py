"""R-precision: whether the judge finds the asked name in a picture."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.protocols import Vectors


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
