"""Samplers: generators that turn noise into a picture and yield a `Step` after each step.

`blend` is the film's loop: predict the finished picture, mix it with a little less noise, repeat.

denoiser  (x_t, t, cond) -> x0, with t a float.
noise     (B, ...) standard normal; sampling starts from sigma(times[0]) * noise.
cond      (B, D), or None for unsteered sampling.
schedule  the schedule that the denoiser was trained on.
times     decreasing noise levels from `uniform_times` or `shifted_times`: one more than steps.
fresh     index -> new noise, as `noise_source` returns it. Samplers that add no noise accept None.

Samplers do not clamp. They raise UserError at the first step if the arguments do not fit each
other, and at any step if the denoiser returns NaN or infinity. Some samplers coincide:
  euler  =  ddim, eta 0  =  blend, freshness 0  =  dpmpp_2m with warmup of all steps
  ddpm   =  ddim, eta 1;    previous  =  ddpm with zeros as fresh noise
"""

# fmt: off
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

from undiffuse.diffusion.arrays import (
    Array,
    Denoiser,
    check_array,
    check_cond,
    check_int,
    check_range,
)
from undiffuse.diffusion.schedule import Schedule, posterior_std
from undiffuse.errors import UserError


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a sampler. If times end at 0, x_t of the last step is the picture."""

    index: int  # 1, 2, ..., steps
    steps: int
    t: float  # noise level before the step, passed to the denoiser
    s: float  # noise level after the step
    alpha: float  # share of picture after the step
    sigma: float  # share of noise after the step
    x_t: Array = None  # (B, ...) the noisy picture after the step, at noise level s
    x0: Array = None  # (B, ...) the denoiser's prediction at t


Cond: TypeAlias = Array | None
Fresh: TypeAlias = Callable[[int], Array] | None
Grid: TypeAlias = Sequence[float]
Steps: TypeAlias = Iterator[Step]
Plan: TypeAlias = list[tuple[Step, tuple[float, float], tuple[float, float]]]


def _begin(noise: Array, cond: Cond, schedule: Schedule, times: Grid) -> tuple[Array, Plan]:
    """Checks the arguments; returns x_t at times[0], and each step with (alpha, sigma) at t, s."""
    check_array("noise", noise)
    if noise.ndim < 2:
        raise UserError(f"noise has shape {tuple(noise.shape)}: give a batch, (B, C, H, W)")
    if cond is not None:
        check_cond("cond", cond, noise, rows=(noise.shape[0],))
    grid = [check_range("times", t, 0.0, 1.0) for t in times]
    if len(grid) < 2 or any(s >= t for t, s in pairwise(grid)):
        raise UserError(f"times={grid}: give two or more decreasing levels")
    at = {t: schedule.alpha_sigma(t) for t in grid}
    plan = [(Step(k, len(grid) - 1, t, s, *at[s]), at[t], at[s])
            for k, (t, s) in enumerate(pairwise(grid), start=1)]
    return at[grid[0]][1] * noise, plan


def _predict(denoiser: Denoiser, x_t: Array, t: float, cond: Cond) -> Array:
    x0 = denoiser(x_t, t, cond)
    check_array("the denoiser's x0", x0, like=x_t)
    if not bool((abs(x0) < math.inf).all()):
        raise UserError(f"the denoiser returned NaN or infinity at t={t:g}: check its weights")
    return x0


# x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps_hat + c z,  eps_hat = (x_t - alpha_t x0) / sigma_t:
# arXiv 2010.02502, equation 12, with z the fresh noise and c its standard deviation.
def _stochastic(denoiser: Denoiser, noise: Array, cond: Cond, schedule: Schedule, times: Grid,
                fresh: Fresh, deviation: Callable[..., float]) -> Steps:
    x, plan = _begin(noise, cond, schedule, times)
    for step, (alpha_t, sigma_t), (alpha_s, sigma_s) in plan:
        x0 = _predict(denoiser, x, step.t, cond)
        c = deviation(alpha_t, sigma_t, alpha_s, sigma_s)
        eps_scale = max(0.0, sigma_s**2 - c**2) ** 0.5 / sigma_t
        x = alpha_s * x0 + eps_scale * (x - alpha_t * x0)
        if c > 0.0:
            if fresh is None:
                raise UserError("fresh=None, but this sampler adds new noise: give a function")
            z = fresh(step.index)
            check_array("fresh noise", z, like=x)
            x = x + c * z
        yield replace(step, x_t=x, x0=x0)


# c = freshness * sigma_s
def blend(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
          fresh: Fresh = None, freshness: float = 1.0) -> Steps:
    """The film's loop: predict x0 from x_t, blend it with noise at the next level, repeat.

    On the linear schedule in 20 uniform steps: 5% predicted picture + 95% noise, 10% + 90%, ...,
    100% + 0%. `freshness` in [0, 1] is the share of the noise that is new at each step; 0 reuses
    the old noise. More fresh noise than `ddpm` adds shrinks the variance of the samples.
    """
    share = check_range("freshness", freshness, 0.0, 1.0)
    return _stochastic(denoiser, noise, cond, schedule, times, fresh,
                       lambda alpha_t, sigma_t, alpha_s, sigma_s: share * sigma_s)


# c = eta (sigma_s / sigma_t) sqrt(sigma_t^2 - (alpha_t sigma_s / alpha_s)^2): arXiv 2010.02502, 16
def ddim(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
         fresh: Fresh = None, eta: float = 0.0) -> Steps:
    """DDIM. `eta` in [0, 1] scales DDPM's fresh noise; 0 is deterministic."""
    share = check_range("eta", eta, 0.0, 1.0)
    return _stochastic(denoiser, noise, cond, schedule, times, fresh,
                       lambda *shares: share * posterior_std(*shares))


# x_s ~ q(x_s | x_t, x0): arXiv 2006.11239, equations 6 and 7
def ddpm(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
         fresh: Fresh = None) -> Steps:
    """DDPM's ancestral sampling, with the smaller of the paper's two variances."""
    return ddim(denoiser, noise, cond, schedule=schedule, times=times, fresh=fresh, eta=1.0)


# Linear: x_s = x_t + (s - t) (eps_hat - x0). Curved, with y = x / alpha and r = sigma / alpha:
# y_s = y_t + (r_s - r_t) eps_hat. Either way x_s = alpha_s x0 + sigma_s eps_hat, which is DDIM's.
def euler(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
          fresh: Fresh = None) -> Steps:
    """Euler's method for the probability-flow ODE: first order, no fresh noise."""
    return ddim(denoiser, noise, cond, schedule=schedule, times=times)


# arXiv 2206.00364 (EDM), algorithm 1, where the slope d is eps_hat - x0 in t on the linear schedule
# and eps_hat in sigma / alpha on the curved ones:
#     x' = alpha_s x0 + sigma_s eps_hat,   x_s = x' + length (d(x', s) - d(x_t, t)) / 2
def heun(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
         fresh: Fresh = None) -> Steps:
    """Heun's method for the probability-flow ODE: second order, two predictions per step.

    A step to sigma 0 (eps_hat is 0 / 0) or from alpha 0 on a curved schedule (sigma / alpha is
    infinite) is an Euler step. `Step.x0` is the first of the two predictions.
    """
    x, plan = _begin(noise, cond, schedule, times)
    for step, (alpha_t, sigma_t), (alpha_s, sigma_s) in plan:
        x0 = _predict(denoiser, x, step.t, cond)
        eps = (x - alpha_t * x0) / sigma_t
        x = alpha_s * x0 + sigma_s * eps
        if sigma_s > 0.0 and (alpha_t > 0.0 or not schedule.curved):
            x0_s = _predict(denoiser, x, step.s, cond)
            eps_s = (x - alpha_s * x0_s) / sigma_s
            turn = eps_s - eps if schedule.curved else (eps_s - x0_s) - (eps - x0)
            length = sigma_s - sigma_t * (alpha_s / alpha_t if schedule.curved else 1.0)
            x = x + (0.5 * length) * turn
        yield replace(step, x_t=x, x0=x0)


# arXiv 2211.01095, algorithm 2, with lambda = log(alpha / sigma) and h = lambda_s - lambda_t:
#     D = x0 + h / (2 h_before) (x0 - x0_before)
#     x_s = (sigma_s / sigma_t) x_t + (alpha_s - alpha_t sigma_s / sigma_t) D
def dpmpp_2m(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
             fresh: Fresh = None, warmup: int = 2) -> Steps:
    """DPM-Solver++(2M): second order with one prediction per step, no fresh noise.

    The first `warmup` steps and a step to sigma 0 are first order, D = x0. After a start at
    alpha 0, where lambda is -infinity, the second step is always first order.
    """
    check_int("warmup", warmup)
    x, plan = _begin(noise, cond, schedule, times)
    x0_before, h_before = x, math.inf
    for step, (alpha_t, sigma_t), (alpha_s, sigma_s) in plan:
        x0 = extrapolated = _predict(denoiser, x, step.t, cond)
        shrink = sigma_s / sigma_t
        decay = (alpha_t / alpha_s) * shrink  # e^-h, 0 from alpha 0 and to sigma 0
        h = -math.log(decay) if decay > 0.0 else math.inf
        if step.index > warmup and decay > 0.0:
            extrapolated = x0 + (0.5 * h / h_before) * (x0 - x0_before)
        x = shrink * x + (alpha_s - alpha_t * shrink) * extrapolated
        x0_before, h_before = x0, h
        yield replace(step, x_t=x, x0=x0)


# x_s = E[x_s | x_t], the mean of arXiv 2006.11239, equation 7, without noise
def previous(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
             fresh: Fresh = None) -> Steps:
    """The old way: predict the picture one step less noisy, feed it back, repeat.

    Use a network that predicts 'previous' and times `uniform_times(chain)`: each x_t is then its
    output. The result equals DDPM without its noise. On a schedule with alpha(1) = 0, pure noise
    has no information about the previous step, so every start ends in the same picture.
    """
    return ddpm(denoiser, noise, cond, schedule=schedule, times=times, fresh=lambda _: noise * 0.0)


SAMPLERS: dict[str, Callable[..., Steps]] = {
    "blend": blend, "ddpm": ddpm, "ddim": ddim, "euler": euler, "heun": heun,
    "dpmpp_2m": dpmpp_2m, "previous": previous}


def register_sampler(name: str, sampler: Callable[..., Steps]) -> None:
    """Make a sampler available to the pipeline and the command line (`--sampler NAME`).

    `sampler(denoiser, noise, cond, *, schedule, times, fresh)` yields a `Step` after each step.
    UserError if the name is taken.
    """
    if name in SAMPLERS:
        raise UserError(f"sampler {name!r} exists already: choose another name")
    SAMPLERS[name] = sampler
