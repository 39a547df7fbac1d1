"""Steering harder, and staying in range: a denoiser goes in, a denoiser comes out."""

from collections.abc import Callable

from undiffuse.diffusion.arrays import Array, Denoiser, check_array, check_cond, within
from undiffuse.errors import UserError


def _row_sums(x: Array) -> Array:
    """(B, ...) summed over all axes but the first: (B, 1, ..., 1)."""
    return x.reshape((x.shape[0], -1)).sum(-1).reshape((-1,) + (1,) * (x.ndim - 1))


# arXiv 2410.02416 (APG), algorithm 1, on x0 as there
def _project(update: Array, x0: Array, eta: float, threshold: float | None) -> Array:
    """The update cut to norm `threshold`, its part along x0 multiplied by eta: (B, ...)."""
    if threshold is not None:
        update = update * (threshold / (_row_sums(update * update) ** 0.5).clip(threshold))
    along = _row_sums(update * x0) / _row_sums(x0 * x0).clip(1e-12)
    return update + (eta - 1.0) * along * x0


def _running(momentum: float) -> Callable[[Array, float], Array]:
    """(update, t) -> update + momentum * what it gave last; anew where a drawing begins."""
    seen: list[float] = []
    last: Array = None

    def running(update: Array, t: float) -> Array:
        nonlocal last
        if seen and (t >= seen[0] or t > seen[-1]):
            seen.clear()
        last = update + momentum * last if seen else update
        seen.append(t)
        return last

    return running if momentum != 0.0 else lambda update, t: update


def _both(denoiser: Denoiser, x_t: Array, t: float, cond: Array, negative: Array) -> Array:
    """x0 with cond, then x0 with `negative`: (2B, ...), from one batch."""
    rows = x_t.shape[0]
    check_cond("cond", cond, x_t, rows=(1, rows))
    check_cond("negative", negative, x_t, rows=(1, rows))
    twice = [*range(rows)] * 2  # indexing with it copies: what arrays share for concatenation
    conds, others = (c[[row % c.shape[0] for row in twice]] for c in (cond, negative))  # (2B, D)
    check_array("negative", others, like=conds)
    conds[rows:] = others[rows:]
    x0 = denoiser(x_t[twice], t, conds)
    check_array("the denoiser's x0", x0, like=x_t[twice])
    return x0


# uncond + scale (cond - uncond), arXiv 2207.12598, on x0; in a band of levels, arXiv 2404.07724
# fmt: off
def guided(denoiser: Denoiser, scale: float, *, negative: Array = None,
           band: tuple[float, float] = (0.0, 1.0), eta: float = 1.0,
           threshold: float | None = None, momentum: float = 0.0) -> Denoiser:
    """Classifier-free guidance: a denoiser whose x0 lies further from the unsteered one.

    scale      1.0 is off: the denoiser itself comes back.
    negative   (B, D) or (1, D): what to steer away from, instead of the zeros.
    band       noise levels (low, high) where it acts, both included; elsewhere the scale is 1.
    eta, threshold, momentum: adaptive projected guidance, off by default. Of the update, the share
               of its part along x0 that stays (0: no burnt colours), the largest norm of a
               picture's, and the share of the last one that is added (negative: it damps).

    Where it acts, the denoiser runs once, on 2B with cond's rows first; elsewhere, and where both
    are None, on B. With momentum it remembers the last update until t is back at the first: one
    drawing at a time. UserError for options out of range, and when called for ill-fitting arrays.
    """
    scale, low, high = within("scale", scale, -1e3, 1e3), *band
    if not 0.0 <= low <= high <= 1.0:
        raise UserError(f"band={band}: give (low, high) with 0 <= low <= high <= 1")
    eta, running = within("eta", eta, 0.0, 1.0), _running(within("momentum", momentum, -1.0, 1.0))
    within("threshold", 1.0 if threshold is None else threshold, 1e-6, 1e9)

    def steered(x_t: Array, t: float, cond: Array) -> Array:
        if not low <= t <= high or (cond is None and negative is None):
            return denoiser(x_t, t, cond)
        towards = negative * 0.0 if cond is None else cond
        away = towards * 0.0 if negative is None else negative
        both, rows = _both(denoiser, x_t, t, towards, away), x_t.shape[0]
        x0, update = both[:rows], running(both[:rows] - both[rows:], t)
        return x0 + (scale - 1.0) * _project(update, x0, eta, threshold)

    return denoiser if scale == 1.0 else steered


def switched(denoiser: Denoiser, cond: Array, below: float) -> Denoiser:
    """A denoiser that is steered by other vectors, `(B, D)`, at levels under `below`: how a thing
    looks is decided late (arXiv 2211.01324, section 4). UserError for a level out of range."""
    within("below", below, 0.0, 1.0)
    return lambda x_t, t, early: denoiser(x_t, t, cond if t < below else early)


def clamped(denoiser: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
    """A denoiser whose x0 stays in [low, high]: for pixels. UserError unless low < high."""
    if not low < high:
        raise UserError(f"low={low}, high={high}: give low < high")
    return lambda x_t, t, cond: denoiser(x_t, t, cond).clip(low, high)
