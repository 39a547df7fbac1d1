"""What tests of targets and of their chain share: names, shapes, and arrays drawn at random."""

import numpy as np
import pytest
from hypothesis import strategies as st

from undiffuse.diffusion import TARGETS

NAMES = pytest.mark.parametrize("name", TARGETS)
PLAIN = ("x0", "eps", "v")
SHAPES = st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)


def drawn(seed: int, shape: tuple[int, ...], dtype: type = np.float64) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for _ in range(3)]


def column(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return values.reshape(-1, *[1] * (len(shape) - 1))
