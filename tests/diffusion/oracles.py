"""Ideal denoisers in closed form: E[x0 | x_t], exactly, for data whose distribution is known."""

from collections.abc import Callable

import numpy as np
from hypothesis import settings

from undiffuse.diffusion import Denoiser, Schedule, convert

# For every property here: no deadline, since the machine may be training meanwhile.
few = settings(max_examples=15, deadline=None)


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


# E[x0 | x_t] = sum_i w_i x_i,  w = softmax(-|x_t - alpha x_i|^2 / (2 sigma^2))
def finite_set(schedule: Schedule, pictures: np.ndarray) -> Denoiser:
    """The data are these pictures (N, ...), each as likely as the others."""
    flat = pictures.reshape(len(pictures), -1)  # (N, D)

    def denoiser(x_t: np.ndarray, t: float, cond: np.ndarray | None) -> np.ndarray:
        alpha, sigma = schedule.alpha_sigma(t)
        x = x_t.reshape(len(x_t), 1, -1)  # (B, 1, D)
        distance = ((x - alpha * flat) ** 2).sum(axis=-1)  # (B, N)
        return (_softmax(-distance / (2 * sigma**2)) @ flat).reshape(x_t.shape).astype(x_t.dtype)

    return denoiser


# Given the component, x_t ~ N(alpha m, (alpha^2 d^2 + sigma^2) I), and
# E[x0 | x_t, component] = m + alpha d^2 / (alpha^2 d^2 + sigma^2) (x_t - alpha m)
def mixture(
    schedule: Schedule, weights: np.ndarray, means: np.ndarray, deviations: np.ndarray
) -> Denoiser:
    """The data are a mixture of K Gaussians: weights (K,), means (K, D), deviations (K,)."""

    def denoiser(x_t: np.ndarray, t: float, cond: np.ndarray | None) -> np.ndarray:
        alpha, sigma = schedule.alpha_sigma(t)
        variance = (alpha * deviations) ** 2 + sigma**2  # (K,)
        away = x_t[:, None, :] - alpha * means  # (B, K, D)
        logits = np.log(weights) - (away**2).sum(-1) / (2 * variance)
        posterior = _softmax(logits - 0.5 * means.shape[1] * np.log(variance))  # (B, K)
        each = means + (alpha * deviations**2 / variance)[:, None] * away
        return (posterior[..., None] * each).sum(axis=1)

    return denoiser


def draw_mixture(
    rng: np.random.Generator,
    count: int,
    weights: np.ndarray,
    means: np.ndarray,
    deviations: np.ndarray,
) -> np.ndarray:
    """(count, D), drawn from the mixture itself."""
    component = rng.choice(len(weights), size=count, p=weights)
    normal = rng.standard_normal((count, means.shape[1]))
    return means[component] + deviations[component, None] * normal


# E[x0 | x_t] as above with one component, of the same mean and deviation in every coordinate
def gaussian(schedule: Schedule, mean: float, deviation: float) -> Denoiser:
    """The data are N(mean, deviation^2) in every coordinate; works for torch tensors, too."""

    def denoiser(x_t: np.ndarray, t: float, cond: np.ndarray | None) -> np.ndarray:
        alpha, sigma = schedule.alpha_sigma(t)
        gain = alpha * deviation**2 / ((alpha * deviation) ** 2 + sigma**2)
        return mean + gain * (x_t - alpha * mean)

    return denoiser


# The probability flow keeps (x_t - alpha mean) / sqrt(alpha^2 deviation^2 + sigma^2) constant.
def gaussian_flow(
    schedule: Schedule, mean: float, deviation: float, start: float, x: np.ndarray, end: float = 0.0
) -> np.ndarray:
    """Where the flow carries x from level `start` to level `end`: exactly."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.alpha_sigma(start), schedule.alpha_sigma(end)
    stretch = np.hypot(alpha_s * deviation, sigma_s) / np.hypot(alpha_t * deviation, sigma_t)
    return alpha_s * mean + stretch * (x - alpha_t * mean)


def network(name: str, schedule: Schedule, ideal: Denoiser, chain: int = 0) -> Denoiser:
    """A network that predicts `name`, perfectly: what `as_denoiser` should turn back."""
    return lambda x_t, t, cond: convert(
        "x0", name, schedule, ideal(x_t, t, cond), x_t, t, chain=chain
    )


# sup |F_a - F_b|
def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """The two-sample statistic, times sqrt(nm / (n + m)): above 1.95 in one of 1000 equal pairs."""
    both = np.concatenate([a, b])
    gap = np.searchsorted(np.sort(a), both, "right") / len(a)
    gap = gap - np.searchsorted(np.sort(b), both, "right") / len(b)
    return float(abs(gap).max() * np.sqrt(len(a) * len(b) / (len(a) + len(b))))


def counted(denoiser: Denoiser) -> tuple[Denoiser, list[tuple[int, float]]]:
    """The denoiser, and a list that grows by (rows, t) with each call."""
    calls: list[tuple[int, float]] = []

    def counting(x_t: np.ndarray, t: float, cond: np.ndarray | None) -> np.ndarray:
        calls.append((len(x_t), t))
        return denoiser(x_t, t, cond)

    return counting, calls


def normals(seed: int, shape: tuple[int, ...]) -> Callable[[int], np.ndarray]:
    """index -> standard normal float64 noise of this shape: a `fresh` for the oracles."""
    return lambda index: np.random.default_rng([seed, index]).standard_normal(shape)
