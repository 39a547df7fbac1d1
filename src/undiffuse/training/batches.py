"""Sampling of training pictures."""

import numpy as np
from numpy.random import Generator

from undiffuse.data.picture_set import BalancedSampler, PictureSet

COMPOSITE_SHARE = 0.25


class MixedSampler:
    """Samples original pictures evenly by concept, and composites as `COMPOSITE_SHARE` of them."""

    def __init__(self, pictures: PictureSet) -> None:
        self.composites = pictures.rows(lambda r: bool(r.get("composite")))
        self.originals = BalancedSampler(pictures, pictures.rows(lambda r: not r.get("composite")))

    def draw(self, count: int, rng: Generator) -> np.ndarray:
        """`count` rows, the composites last."""
        composites = int(count * COMPOSITE_SHARE) if len(self.composites) else 0
        rows = self.originals.draw(count - composites, rng)
        if composites:
            rows = np.concatenate([rows, rng.choice(self.composites, composites)])
        return rows
