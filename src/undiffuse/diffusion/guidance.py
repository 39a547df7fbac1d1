"""Guidance: functions that take a denoiser and return a denoiser."""

from undiffuse.diffusion.arrays import Array, Denoiser, check_array, check_cond, check_range
from undiffuse.errors import UserError


def _predict_both(denoiser: Denoiser, x_t: Array, t: float, cond: Array, negative: Array) -> Array:
    """x0 for cond, then x0 for `negative`, from one batch: (2B, ...)."""
    rows = x_t.shape[0]
    check_cond("cond", cond, x_t, rows=(1, rows))
    check_cond("negative", negative, x_t, rows=(1, rows))
    twice = [*range(rows)] * 2  # indexing is the concatenation that NumPy and torch share
    conds, others = (c[[row % c.shape[0] for row in twice]] for c in (cond, negative))  # (2B, D)
    check_array("negative", others, like=conds)
    conds[rows:] = others[rows:]
    x0 = denoiser(x_t[twice], t, conds)
    check_array("the denoiser's x0", x0, like=x_t[twice])
    return x0


# uncond + scale (cond - uncond), arXiv 2207.12598, on x0; in a band of levels, arXiv 2404.07724
# fmt: off
def classifier_free_guidance(denoiser: Denoiser, scale: float, *, negative: Array = None,
                             band: tuple[float, float] = (0.0, 1.0)) -> Denoiser:
    """Classifier-free guidance: x0 = uncond + scale * (cond - uncond).

    scale      1.0 is off: returns the denoiser itself.
    negative   (B, D) or (1, D): the vector to steer away from, instead of zeros.
    band       noise levels (low, high) at which guidance acts, inclusive; elsewhere scale is 1.

    Inside the band the denoiser runs once on a batch of 2B, cond's rows first; outside it, or if
    cond and negative are None, on B. UserError if an option is out of range or the arrays do not
    fit.
    """
    scale, low, high = check_range("scale", scale, -1e3, 1e3), *band
    if not 0.0 <= low <= high <= 1.0:
        raise UserError(f"band={band}: give (low, high) with 0 <= low <= high <= 1")

    def steered(x_t: Array, t: float, cond: Array) -> Array:
        if not low <= t <= high or (cond is None and negative is None):
            return denoiser(x_t, t, cond)
        towards = negative * 0.0 if cond is None else cond
        away = towards * 0.0 if negative is None else negative
        both, rows = _predict_both(denoiser, x_t, t, towards, away), x_t.shape[0]
        return both[:rows] + (scale - 1.0) * (both[:rows] - both[rows:])

    return denoiser if scale == 1.0 else steered


def switch_cond(denoiser: Denoiser, cond: Array, below: float) -> Denoiser:
    """A denoiser that uses `cond` (B, D) at noise levels under `below`, where style and detail are
    decided (arXiv 2211.01324, section 4). UserError if `below` is outside [0, 1]."""
    check_range("below", below, 0.0, 1.0)
    return lambda x_t, t, early: denoiser(x_t, t, cond if t < below else early)


def clamp_x0(denoiser: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
    """A denoiser whose x0 is clipped to [low, high], for pixels. UserError unless low < high."""
    if not low < high:
        raise UserError(f"low={low}, high={high}: give low < high")
    return lambda x_t, t, cond: denoiser(x_t, t, cond).clip(low, high)
