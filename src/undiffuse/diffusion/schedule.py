"""The forward process, x_t = alpha(t) * x0 + sigma(t) * noise, and the levels drawing visits."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from undiffuse.diffusion.arrays import Times, elementwise, whole, within
from undiffuse.errors import UserError

# fmt: off

@dataclass(frozen=True)
class Schedule:
    """The shares of picture and noise at t, made from functions of float64 values in [0, 1]."""

    name: str
    curved: bool  # alpha^2 + sigma^2 = 1 if true, alpha + sigma = 1 if not
    picture: Callable[[Times], Times]
    noise: Callable[[Times], Times]
    inverse: Callable[[float], float]  # sigma / alpha -> t

    def alpha(self, t: Times) -> Times:
        """Share of picture, 1 at t = 0, computed in float64. Gives what it is given: a float, a
        NumPy array or a torch tensor. UserError for t outside [0, 1]; so does `sigma`."""
        return elementwise(self.picture, t)

    def sigma(self, t: Times) -> Times:
        """Share of noise, 0 at t = 0."""
        return elementwise(self.noise, t)

    def shares(self, t: Times) -> tuple[Times, Times]:
        """alpha(t), sigma(t)."""
        return self.alpha(t), self.sigma(t)

    def leftover(self) -> float:
        """Share of picture at t = 1. Where it is not 0, a network is trained on noise that still
        shows the picture, and then draws from noise that does not (arXiv 2305.08891)."""
        return float(self.alpha(1.0))

    def time(self, ratio: float) -> float:
        """The t at which sigma / alpha is `ratio`; UserError if it is never reached."""
        end = self.sigma(1.0) / max(self.leftover(), 1e-300)
        return self.inverse(within("ratio", ratio, 0.0, end))


# alpha = 1 - t, sigma = t: arXiv 2209.03003 (rectified flow)
def linear_schedule() -> Schedule:
    """The blend, a straight line from picture to noise. The default."""
    return Schedule("linear", False, lambda t: 1.0 - t, lambda t: t, lambda r: r / (1.0 + r))


# alpha^2 = f(t) / f(0), f(t) = cos^2((t + offset) / (1 + offset) * pi / 2): arXiv 2102.09672, 17.
def cosine_schedule(offset: float = 0.008) -> Schedule:
    """Nichol and Dhariwal's, without the cap that keeps their chain from ending in pure noise."""
    scale = math.pi / 2 / (1.0 + offset)
    first = offset * scale

    # cos a = sin(pi/2 - a), and 1 - cos^2 a / cos^2 b = sin(a - b) sin(a + b) / cos^2 b: exact
    # zeros at either end, and no cancellation near them.
    return Schedule(
        "cosine", True,
        lambda t: np.sin((1.0 - t) * scale) / math.cos(first),
        lambda t: (np.sin(t * scale) * np.sin(t * scale + 2 * first)) ** 0.5 / math.cos(first),
        lambda r: max(0.0, 1.0 - math.asin(math.cos(first) / math.hypot(1.0, r)) / scale))


# alpha^2 = prod_{i <= n} (1 - beta_i), beta linear in i: arXiv 2006.11239, sections 2 and 4.
def ddpm_schedule(first: float = 1e-4, last: float = 0.02, steps: int = 1000) -> Schedule:
    """DDPM's: exact at t = n / steps, log(alpha) linear in t between. 0.6% is left at t = 1."""
    knots = np.arange(steps + 1) / steps
    fall = np.concatenate([[0.0], np.cumsum(-np.log1p(-np.linspace(first, last, steps)))])
    return Schedule(
        "ddpm", True,
        lambda t: np.exp(-0.5 * np.interp(t, knots, fall)),
        lambda t: np.sqrt(-np.expm1(-np.interp(t, knots, fall))),
        lambda r: float(np.interp(math.log1p(r**2), fall, knots)))


SCHEDULES = {s.name: s for s in (linear_schedule(), cosine_schedule(), ddpm_schedule())}


# c^2 = (sigma_s / sigma_t)^2 (sigma_t^2 - (alpha_t sigma_s / alpha_s)^2): arXiv 2010.02502 (DDIM),
# equation 16 with eta = 1, and the beta-tilde of arXiv 2006.11239 (DDPM), equation 7.
def posterior_std(alpha_t: Times, sigma_t: Times, alpha_s: Times, sigma_s: Times) -> Times:
    """Deviation of x_s, given x_t and x0, in the Markov chain from s up to t."""
    return sigma_s * (1.0 - ((alpha_t / alpha_s) * (sigma_s / sigma_t)) ** 2) ** 0.5


def even(steps: int, *, start: float = 1.0) -> tuple[float, ...]:
    """steps + 1 levels from `start` down to 0, evenly: 1, 0.95, ..., 0 in 20 steps."""
    start, steps = within("start", start, 1e-6, 1.0), whole("steps", steps)
    return tuple(start * ((steps - k) / steps) for k in range(steps + 1))


# t' = shift t / (1 + (shift - 1) t): arXiv 2403.03206, equation 23.
def shifted(steps: int, shift: float, *, start: float = 1.0) -> tuple[float, ...]:
    """From `start` down to 0, with more of the steps near noise the more shift exceeds 1."""
    shift, start = within("shift", shift, 1e-3, 1e3), within("start", start, 1e-6, 1.0)
    grid = even(steps, start=min(1.0, start / (shift + (1.0 - shift) * start)))
    return (start, *(shift * t / (1.0 + (shift - 1.0) * t) for t in grid[1:]))


# sigma_i = (max^(1/rho) + i / (steps - 1) (min^(1/rho) - max^(1/rho)))^rho, and 0 at the end:
# arXiv 2206.00364 (EDM), equation 5; EDM's sigma is sigma / alpha here.
def edm(steps: int, schedule: Schedule, *, most: float = 80.0, least: float = 0.002,
        rho: float = 7.0) -> tuple[float, ...]:
    """EDM's levels: sigma / alpha from `most` to `least`, then 0. On the linear schedule
    t = sigma / (1 + sigma), from 0.988 down. UserError where the schedule ends below `most`."""
    if not 0.0 < least < most or not rho > 0.0:
        raise UserError(f"least={least}, most={most}, rho={rho}: give 0 < least < most and rho > 0")
    high, low = most ** (1.0 / rho), least ** (1.0 / rho)
    ramp = [i / max(1, steps - 1) for i in range(whole("steps", steps))]
    return (*(schedule.time((high + i * (low - high)) ** rho) for i in ramp), 0.0)
