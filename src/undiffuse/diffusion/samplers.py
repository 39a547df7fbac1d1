"""From noise to a picture: each sampler is a generator that yields a `Step` after each step.

denoiser  (x_t, t, cond) -> x0, with t a float.
noise     (B, ...) standard normal; the start is sigma(times[0]) * noise.
cond      (B, D), or None for unsteered.
schedule  the one the denoiser was trained on.
times     falling noise levels from `even`, `shifted` or `edm`, one more than there are steps.
fresh     index -> new noise, as `noise_source` makes it: called for those of the steps 1, 2, ...
          that mix new noise in, so that None will do for a sampler that never does.

Nothing is clamped. UserError, as the first step is asked for, if arguments do not fit each other,
and later if a denoiser gives NaN or infinity. Several names are one thing:
  euler  =  ddim, eta 0  =  blend, freshness 0  =  dpmpp_2m, warmup of all steps
  ddpm   =  ddim, eta 1;    previous  =  ddpm with zeros for fresh noise
"""

# fmt: off
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

from undiffuse.diffusion.arrays import Array, Denoiser, check_array, check_cond, whole, within
from undiffuse.diffusion.schedule import Schedule, posterior_std
from undiffuse.errors import UserError


@dataclass(frozen=True, eq=False)
class Step:
    """A step that was taken. Where times end at 0, the last one's x_t is the picture."""

    index: int  # 1, 2, ..., steps
    steps: int
    t: float  # noise level before it, at which the denoiser was asked
    s: float  # noise level after it
    alpha: float  # share of picture after it
    sigma: float  # share of noise after it
    x_t: Array = None  # (B, ...) what there is after it, at level s
    x0: Array = None  # (B, ...) the denoiser's prediction at t


Cond: TypeAlias = Array | None
Fresh: TypeAlias = Callable[[int], Array] | None
Grid: TypeAlias = Sequence[float]
Steps: TypeAlias = Iterator[Step]
Plan: TypeAlias = list[tuple[Step, tuple[float, float], tuple[float, float]]]


def _begin(noise: Array, cond: Cond, schedule: Schedule, times: Grid) -> tuple[Array, Plan]:
    """The state at times[0], and the steps from there with the shares at t and s; all checked."""
    check_array("noise", noise)
    if noise.ndim < 2:
        raise UserError(f"noise has shape {tuple(noise.shape)}: give a batch, (B, C, H, W)")
    if cond is not None:
        check_cond("cond", cond, noise, rows=(noise.shape[0],))
    grid = [within("times", t, 0.0, 1.0) for t in times]
    if len(grid) < 2 or any(s >= t for t, s in pairwise(grid)):
        raise UserError(f"times={grid}: give two levels or more, each below the one before it")
    at = {t: schedule.shares(t) for t in grid}
    plan = [(Step(k, len(grid) - 1, t, s, *at[s]), at[t], at[s])
            for k, (t, s) in enumerate(pairwise(grid), start=1)]
    return at[grid[0]][1] * noise, plan


def _predict(denoiser: Denoiser, x_t: Array, t: float, cond: Cond) -> Array:
    x0 = denoiser(x_t, t, cond)
    check_array("the denoiser's x0", x0, like=x_t)
    if not bool((abs(x0) < math.inf).all()):
        raise UserError(f"the denoiser gave NaN or infinity at t={t:g}: check its weights and cond")
    return x0


# x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps_hat + c z,  eps_hat = (x_t - alpha_t x0) / sigma_t:
# arXiv 2010.02502, equation 12, with z the fresh noise and c its deviation.
def _stochastic(denoiser: Denoiser, noise: Array, cond: Cond, schedule: Schedule, times: Grid,
                fresh: Fresh, deviation: Callable[..., float]) -> Steps:
    x, plan = _begin(noise, cond, schedule, times)
    for step, (alpha_t, sigma_t), (alpha_s, sigma_s) in plan:
        x0 = _predict(denoiser, x, step.t, cond)
        c = deviation(alpha_t, sigma_t, alpha_s, sigma_s)
        kept = max(0.0, sigma_s**2 - c**2) ** 0.5 / sigma_t
        x = alpha_s * x0 + kept * (x - alpha_t * x0)
        if c > 0.0:
            if fresh is None:
                raise UserError("fresh=None, but this sampler mixes new noise in: give a function")
            z = fresh(step.index)
            check_array("fresh noise", z, like=x)
            x = x + c * z
        yield replace(step, x_t=x, x0=x0)


# c = freshness * sigma_s
def blend(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
          fresh: Fresh = None, freshness: float = 1.0) -> Steps:
    """Predict the picture, mix it with noise at the next, lower level, repeat.

    On the linear schedule in 20 even steps: 5% picture + 95% noise, 10% + 90%, ..., 100% + 0%.
    `freshness` in [0, 1] is the share of that noise that is new; 0 keeps the old. More of it than
    `ddpm` has makes the spread of what is drawn too small, however many the steps.
    """
    share = within("freshness", freshness, 0.0, 1.0)
    return _stochastic(denoiser, noise, cond, schedule, times, fresh,
                       lambda alpha_t, sigma_t, alpha_s, sigma_s: share * sigma_s)


# c = eta (sigma_s / sigma_t) sqrt(sigma_t^2 - (alpha_t sigma_s / alpha_s)^2): arXiv 2010.02502, 16
def ddim(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
         fresh: Fresh = None, eta: float = 0.0) -> Steps:
    """DDIM. `eta` in [0, 1] is the share of DDPM's new noise; with 0 there is none."""
    share = within("eta", eta, 0.0, 1.0)
    return _stochastic(denoiser, noise, cond, schedule, times, fresh,
                       lambda *shares: share * posterior_std(*shares))


# x_s ~ q(x_s | x_t, x0): arXiv 2006.11239, equations 6 and 7
def ddpm(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
         fresh: Fresh = None) -> Steps:
    """DDPM's ancestral sampling, with the smaller of its two variances."""
    return ddim(denoiser, noise, cond, schedule=schedule, times=times, fresh=fresh, eta=1.0)


# Linear: x_s = x_t + (s - t) (eps_hat - x0). Curved, with y = x / alpha and r = sigma / alpha:
# y_s = y_t + (r_s - r_t) eps_hat. Either way x_s = alpha_s x0 + sigma_s eps_hat, which is DDIM's.
def euler(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
          fresh: Fresh = None) -> Steps:
    """Euler's method on the probability-flow equation: first order, no new noise."""
    return ddim(denoiser, noise, cond, schedule=schedule, times=times)


# arXiv 2206.00364 (EDM), algorithm 1, where the slope d is eps_hat - x0 in t on the linear schedule
# and eps_hat in sigma / alpha on the curved ones:
#     x' = alpha_s x0 + sigma_s eps_hat,   x_s = x' + length (d(x', s) - d(x_t, t)) / 2
def heun(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
         fresh: Fresh = None) -> Steps:
    """Heun's method on the same equation: second order, two predictions a step, no new noise.

    A step to sigma 0, where eps_hat is 0 / 0, is Euler's; so is one from alpha 0 on a curved
    schedule, where sigma / alpha is infinite. `Step.x0` is the first of the two predictions.
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
    """DPM-Solver++(2M): second order with one prediction a step, no new noise.

    The first `warmup` steps and one to sigma 0 are first order, D = x0. From alpha 0, where lambda
    is -infinity, the second step is first order in any case.
    """
    whole("warmup", warmup)
    x, plan = _begin(noise, cond, schedule, times)
    x0_before, h_before = x, math.inf
    for step, (alpha_t, sigma_t), (alpha_s, sigma_s) in plan:
        x0 = ahead = _predict(denoiser, x, step.t, cond)
        shrink = sigma_s / sigma_t
        decay = (alpha_t / alpha_s) * shrink  # e^-h, 0 from alpha 0 and to sigma 0
        h = -math.log(decay) if decay > 0.0 else math.inf
        if step.index > warmup and decay > 0.0:
            ahead = x0 + (0.5 * h / h_before) * (x0 - x0_before)
        x = shrink * x + (alpha_s - alpha_t * shrink) * ahead
        x0_before, h_before = x0, h
        yield replace(step, x_t=x, x0=x0)


# x_s = E[x_s | x_t], the mean of arXiv 2006.11239, equation 7, with no noise on top
def previous(denoiser: Denoiser, noise: Array, cond: Cond, *, schedule: Schedule, times: Grid,
             fresh: Fresh = None) -> Steps:
    """The old way: predict the picture one step less noisy, feed it back, repeat.

    With a network that predicts 'previous', and times `even(chain)`, each x_t is its output; else
    what it would say. It is DDPM without its noise, and where alpha(1) is 0, so that pure noise
    tells nothing of the step before, every noise ends in one and the same picture.
    """
    return ddpm(denoiser, noise, cond, schedule=schedule, times=times, fresh=lambda _: noise * 0.0)


SAMPLERS: dict[str, Callable[..., Steps]] = {
    "blend": blend, "ddpm": ddpm, "ddim": ddim, "euler": euler, "heun": heun,
    "dpmpp_2m": dpmpp_2m, "previous": previous}
