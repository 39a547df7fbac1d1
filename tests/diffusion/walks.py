"""What the tests of samplers share: a mixture, a denoiser, and looks at a path."""

from typing import Any

import numpy as np
import pytest

from tests.diffusion import oracles
from undiffuse.diffusion import SAMPLERS, SCHEDULES, Schedule

EVERY = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
EACH = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
LINEAR = SCHEDULES["linear"]

WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-1.0, 0.0], [1.0, 0.5], [0.3, -1.0]])
DEVIATIONS = np.array([0.15, 0.25, 0.1])


def mixture(schedule: Schedule) -> Any:
    return oracles.mixture(schedule, WEIGHTS, MEANS, DEVIATIONS)


def picture(x: np.ndarray, t: float, cond: Any) -> np.ndarray:
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
