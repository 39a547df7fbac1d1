"""Prediction targets: the noisy input, what a network may predict, and conversions to x0.

Every target is a sum p * x0 + q * eps, and so is x_t = alpha * x0 + sigma * eps: x_t and one target
give the others by a 2x2 linear system. The network's output is the target itself, without a skip
from x_t and without preconditioning.
"""

from collections.abc import Callable

import numpy as np

from undiffuse.diffusion.arrays import (
    Array,
    Denoiser,
    Times,
    check_array,
    check_int,
    elementwise,
    in_float64,
    lookup,
    per_picture,
)
from undiffuse.diffusion.schedule import Schedule, posterior_std
from undiffuse.errors import UserError

EPS_START = 0.995  # at t = 1 alpha is 0 and eps does not determine x0: start a little below


def add_noise(schedule: Schedule, x0: Array, noise: Array, t: Times) -> Array:
    """x_t = alpha_t x0 + sigma_t noise: (B, ...) like x0, for t a float or (B,)."""
    check_array("x0", x0)
    check_array("noise", noise, like=x0)
    alpha, sigma = schedule.alpha_sigma(in_float64(t))
    return per_picture(alpha, x0) * x0 + per_picture(sigma, x0) * noise


def previous_time(t: Times, chain: int) -> Times:
    """t - 1 / chain. UserError unless t is one of 1/chain, 2/chain, ..., 1."""
    count = check_int("chain", chain)

    def before(t: Times) -> Times:
        number = np.round(t * count)
        for stray in np.extract((abs(t * count - number) > 1e-3) | (number < 1), t):
            raise UserError(
                f"t={stray:g} is not on the chain={count} of a 'previous' model: draw with even "
                f"times from 1 whose number of steps divides {count}"
            )
        return (number - 1) / count

    return elementwise(before, t)


# curved: alpha eps - sigma x0, arXiv 2202.00512, appendix D; linear: eps - x0 = d x_t / d t
def _v(schedule: Schedule, t: Times, chain: int) -> tuple[Times, Times]:
    return (-schedule.sigma(t), schedule.alpha(t)) if schedule.curved else (-1.0, 1.0)


# The mean of q(x_s | x_t, x0), arXiv 2006.11239, equation 7, in x0 and eps:
# alpha_s x0 + sqrt(sigma_s^2 - c^2) eps, where the root is (alpha_t / alpha_s) sigma_s^2 / sigma_t
def _previous(schedule: Schedule, t: Times, chain: int) -> tuple[Times, Times]:
    (alpha_s, sigma_s), (alpha_t, sigma_t) = map(schedule.alpha_sigma, (previous_time(t, chain), t))
    return alpha_s, (alpha_t / alpha_s) * sigma_s**2 / sigma_t


# name -> (schedule, t, chain) -> (p, q), for t a float or float64 (B,)
TARGETS: dict[str, Callable[[Schedule, Times, int], tuple[Times, Times]]] = {
    "x0": lambda schedule, t, chain: (1.0, 0.0),
    "eps": lambda schedule, t, chain: (0.0, 1.0),  # arXiv 2006.11239, equation 14
    "v": _v,
    "previous": _previous,
}


# fmt: off
def target(name: str, schedule: Schedule, x0: Array, noise: Array, t: Times, *,
           chain: int = 0, fresh: Array | None = None) -> Array:
    """The training target of a network that predicts `name`, at `add_noise(...)`: (B, ...).

    For 'previous', t lies on a chain of `chain` even steps and `fresh` is a second noise: the
    result is drawn from q(x_s | x_t, x0), so that x_t and x_s belong to one Markov chain.
    UserError for an unknown name, and for arrays or t that do not fit.
    """
    check_array("x0", x0)
    check_array("noise", noise, like=x0)
    values = in_float64(t)
    p, q = lookup(TARGETS, name, "target")(schedule, values, chain)
    wanted = per_picture(p, x0) * x0 + per_picture(q, x0) * noise
    if name != "previous":
        return wanted
    check_array("fresh", fresh, like=x0)
    s = previous_time(values, chain)
    c = posterior_std(*schedule.alpha_sigma(values), *schedule.alpha_sigma(s))
    return wanted + per_picture(c, x0) * fresh


# With o = p x0 + q eps and d = p sigma - q alpha (|d|: sigma for x0, alpha for eps, 1 for v),
#     p' x0 + q' eps = ((p' sigma - q' alpha) o + (q' p - p' q) x_t) / d
def convert(have: str, want: str, schedule: Schedule, output: Array, x_t: Array, t: Times, *,
            chain: int = 0) -> Array:
    """Convert a prediction of `have` at x_t to `want` (for 'previous', to its mean): (B, ...).

    Rounding is enlarged by 1 / |d|. UserError where d is 0 (eps at t = 1 on the linear and cosine
    schedules, x0 at t = 0), and as in `target`.
    """
    check_array("x_t", x_t)
    check_array("output", output, like=x_t)
    values = in_float64(t)
    p, q = lookup(TARGETS, have, "target")(schedule, values, chain)
    p2, q2 = lookup(TARGETS, want, "target")(schedule, values, chain)
    if have == want:
        return output
    alpha, sigma = schedule.alpha_sigma(values)
    d = p * sigma - q * alpha
    if np.any(d == 0.0):
        at, way_out = (1, f"start at {EPS_START}") if have == "eps" else (0, "stay above it")
        raise UserError(f"t={at}: {have!r} does not tell {want!r} there; {way_out}, or predict v")
    own, rest = (p2 * sigma - q2 * alpha) / d, (q2 * p - p2 * q) / d
    return per_picture(own, x_t) * output + per_picture(rest, x_t) * x_t


def to_x0(name: str, schedule: Schedule, output: Array, x_t: Array, t: Times, *,
          chain: int = 0) -> Array:
    """Convert a prediction of `name` at x_t to x0."""
    return convert(name, "x0", schedule, output, x_t, t, chain=chain)


def as_denoiser(name: str, schedule: Schedule, network: Denoiser, *, chain: int = 0) -> Denoiser:
    """The denoiser (x_t, t, cond) -> x0 of a network that predicts `name`."""
    lookup(TARGETS, name, "target")
    return lambda x_t, t, cond: to_x0(name, schedule, network(x_t, t, cond), x_t, t, chain=chain)


# |x0_hat - x0|^2 / sigma^2 = |v_hat - v|^2 on either kind of schedule; the floor keeps it finite:
# arXiv 2511.13720 (JiT).
def loss_weight(name: str, schedule: Schedule, t: Times, *, floor: float = 0.05) -> Times:
    """The weight of the squared error of `name` at t: 1 / max(sigma, floor)^2 for x0, else 1."""
    lookup(TARGETS, name, "target")
    power = -2.0 if name == "x0" else 0.0
    return elementwise(lambda t: np.maximum(schedule.sigma(t), floor) ** power, t)
