"""Noise schedules: the forward process x_t = alpha(t) * x0 + sigma(t) * noise.

Also the sequences of noise levels that a sampler visits, from pure noise down to 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from undiffuse.diffusion.arrays import Times, check_int, check_range, elementwise

# fmt: off

@dataclass(frozen=True)
class Schedule:
    """A noise schedule: alpha(t) and sigma(t) for t in [0, 1], computed in float64."""

    name: str
    curved: bool  # alpha^2 + sigma^2 = 1 if true, alpha + sigma = 1 if not
    picture: Callable[[Times], Times]  # alpha
    noise: Callable[[Times], Times]  # sigma

    def alpha(self, t: Times) -> Times:
        """The share of picture in x_t, 1 at t = 0. Returns the type of t: a float, a NumPy array
        or a torch tensor. UserError if t is outside [0, 1]."""
        return elementwise(self.picture, t)

    def sigma(self, t: Times) -> Times:
        """The share of noise in x_t, 0 at t = 0. Types and errors as for `alpha`."""
        return elementwise(self.noise, t)

    def alpha_sigma(self, t: Times) -> tuple[Times, Times]:
        """(alpha(t), sigma(t))."""
        return self.alpha(t), self.sigma(t)

    def terminal_alpha(self) -> float:
        """alpha(1). If it is not 0, training never shows the network the pure noise that sampling
        starts from (arXiv 2305.08891)."""
        return float(self.alpha(1.0))


# alpha = 1 - t, sigma = t: arXiv 2209.03003 (rectified flow)
def linear_schedule() -> Schedule:
    """A straight line from picture to noise: the film's blend, and the default."""
    return Schedule("linear", False, lambda t: 1.0 - t, lambda t: t)


# alpha^2 = f(t) / f(0), f(t) = cos^2((t + offset) / (1 + offset) * pi / 2): arXiv 2102.09672, 17.
def cosine_schedule(offset: float = 0.008) -> Schedule:
    """Nichol and Dhariwal's cosine schedule without their cap on beta: it ends in pure noise."""
    scale = math.pi / 2 / (1.0 + offset)
    first = offset * scale

    # cos a = sin(pi/2 - a), and 1 - cos^2 a / cos^2 b = sin(a - b) sin(a + b) / cos^2 b. These
    # forms are exactly 0 at the ends and lose no digits near them.
    return Schedule(
        "cosine", True,
        lambda t: np.sin((1.0 - t) * scale) / math.cos(first),
        lambda t: (np.sin(t * scale) * np.sin(t * scale + 2 * first)) ** 0.5 / math.cos(first))


# alpha^2 = prod_{i <= n} (1 - beta_i), beta linear in i: arXiv 2006.11239, sections 2 and 4.
def ddpm_schedule(first: float = 1e-4, last: float = 0.02, steps: int = 1000) -> Schedule:
    """DDPM's schedule: exact at t = n / steps, log(alpha) linear in between; alpha(1) = 0.006."""
    knots = np.arange(steps + 1) / steps
    fall = np.concatenate([[0.0], np.cumsum(-np.log1p(-np.linspace(first, last, steps)))])
    return Schedule(
        "ddpm", True,
        lambda t: np.exp(-0.5 * np.interp(t, knots, fall)),
        lambda t: np.sqrt(-np.expm1(-np.interp(t, knots, fall))))


SCHEDULES = {s.name: s for s in (linear_schedule(), cosine_schedule(), ddpm_schedule())}


# c^2 = (sigma_s / sigma_t)^2 (sigma_t^2 - (alpha_t sigma_s / alpha_s)^2): arXiv 2010.02502 (DDIM),
# equation 16 with eta = 1, and the beta-tilde of arXiv 2006.11239 (DDPM), equation 7.
def posterior_std(alpha_t: Times, sigma_t: Times, alpha_s: Times, sigma_s: Times) -> Times:
    """The standard deviation of q(x_s | x_t, x0), for noise levels s < t."""
    return sigma_s * (1.0 - ((alpha_t / alpha_s) * (sigma_s / sigma_t)) ** 2) ** 0.5


def uniform_times(steps: int, *, start: float = 1.0) -> tuple[float, ...]:
    """steps + 1 evenly spaced levels from `start` to 0: 1, 0.95, ..., 0 for 20 steps."""
    start, steps = check_range("start", start, 1e-6, 1.0), check_int("steps", steps)
    return tuple(start * ((steps - k) / steps) for k in range(steps + 1))


# t' = shift t / (1 + (shift - 1) t): arXiv 2403.03206, equation 23.
def shifted_times(steps: int, shift: float, *, start: float = 1.0) -> tuple[float, ...]:
    """steps + 1 levels from `start` to 0. A shift above 1 places more of them near pure noise."""
    shift, start = check_range("shift", shift, 1e-3, 1e3), check_range("start", start, 1e-6, 1.0)
    grid = uniform_times(steps, start=min(1.0, start / (shift + (1.0 - shift) * start)))
    return (start, *(shift * t / (1.0 + (shift - 1.0) * t) for t in grid[1:]))
