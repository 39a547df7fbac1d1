"""Shared by the tests: schedules, samplers, random arrays, a mixture, and a denoiser."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.diffusion import oracles
from undiffuse.diffusion import SCHEDULES, Schedule

ALL_SCHEDULES = tuple(SCHEDULES.values())
LINEAR = SCHEDULES["linear"]
PLAIN = ("x0", "eps", "v")  # the targets that need no chain
SHAPES = st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)

WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-1.0, 0.0], [1.0, 0.5], [0.3, -1.0]])
DEVIATIONS = np.array([0.15, 0.25, 0.1])


def mixture(schedule: Schedule) -> Any:
    return oracles.mixture(schedule, WEIGHTS, MEANS, DEVIATIONS)


def three_normals(seed: int, shape: tuple[int, ...], dtype: type = np.float64) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for _ in range(3)]


def column(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return values.reshape(-1, *[1] * (len(shape) - 1))


def curved_denoiser(x: np.ndarray, t: float, cond: Any) -> np.ndarray:
    """A denoiser with some curve in x and in t, and a use for cond."""
    x0 = np.tanh(x + t).astype(x.dtype)
    return x0 if cond is None else x0 + cond[:, :1].reshape(-1, *[1] * (x.ndim - 1))


def last(steps: Any) -> np.ndarray:
    return list(steps)[-1].x_t


def paths_agree(a: Any, b: Any, atol: float = 1e-12) -> bool:
    a, b = list(a), list(b)
    return len(a) == len(b) and all(
        np.allclose(one.x_t, two.x_t, rtol=0, atol=atol) for one, two in zip(a, b, strict=True)
    )
