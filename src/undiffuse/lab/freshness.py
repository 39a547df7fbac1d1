"""Claim: DDPM needs fresh noise at every step, and DDIM does not."""

from typing import Any

import numpy as np

from undiffuse import diffusion
from undiffuse.diffusion import Denoiser
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.lab.charts import line_chart
from undiffuse.lab.claims import Check, ClaimResult, ReportFigure
from undiffuse.lab.experiment import LINEAR, Experiment, run_sampler

NO_NOISE = "DDPM without its noise"
SAMPLERS: dict[str, dict[str, Any]] = {
    "DDPM": {"sampler": "ddpm"},
    NO_NOISE: {"sampler": "ddpm", "zero_noise": True},
    "DDIM": {"sampler": "ddim"},
    "blend, all noise fresh": {"sampler": "blend", "freshness": 1.0},
    "blend, no noise fresh": {"sampler": "blend", "freshness": 0.0},
}
MEASURES = {
    "variance": "Ideal denoiser of Gaussian data: variance of the samples; 1 is correct.",
    "diversity": "Variance among the pictures of a prompt, relative to real pictures.",
    "distance from the mean": "Squared distance from the mean real picture of the prompt. It is 1 "
    "for real pictures and 0 for their mean.",
    "prompt accuracy": "Share of pictures with the correct color and shape.",
}
DEVIATION, COUNT = 0.5, 4096  # of the Gaussian data; samples


# E[x0 | x_t] = alpha d^2 / (alpha^2 d^2 + sigma^2) x_t for data from N(0, d^2)
def ideal_denoiser(x_t: np.ndarray, t: float, cond: None) -> np.ndarray:
    """The optimal denoiser of Gaussian data."""
    alpha, sigma = LINEAR.alpha_sigma(t)
    gain = alpha * DEVIATION**2 / ((alpha * DEVIATION) ** 2 + sigma**2)
    return gain * x_t


def gaussian_variance(seed: int, **options: Any) -> np.ndarray:
    """`(COUNT,)`: squares of samples of the ideal denoiser, relative to the data's variance."""
    source = diffusion.noise_source(seed, range(64), (COUNT // 64,))
    *_, last = run_sampler(ideal_denoiser, source, convert=np.asarray, **options)
    squares: np.ndarray = (last.x_t.ravel() / DEVIATION) ** 2
    return squares


def measure_fresh_noise(experiment: Experiment, denoiser: Denoiser) -> ClaimResult:
    """All samplers at all numbers of steps, on Gaussian data and on pictures."""
    lines: dict[str, dict[str, list[tuple[float, Metric]]]] = {
        measure: {name: [] for name in SAMPLERS} for measure in MEASURES
    }
    strips: dict[int, list[tuple[str, bytes]]] = {}
    for steps in experiment.budget.steps:
        for sampler, options in SAMPLERS.items():
            name = f"{sampler}, {steps} steps"
            squares = gaussian_variance(experiment.seed, steps=steps, **options)
            variance = mean_metric(f"variance on Gaussian data, {name}", squares, unit="ratio")
            drawn = experiment.sample(name, denoiser, steps=steps, **options)
            metrics = variance, drawn.diversity, drawn.distance_from_mean, drawn.accuracy
            for line, metric in zip(lines.values(), metrics, strict=True):
                line[sampler].append((steps, metric))
            strips.setdefault(steps, []).append(drawn.labeled_strip(sampler))
    return _result(experiment, lines, strips)


def _result(
    experiment: Experiment, lines: Any, strips: dict[int, list[tuple[str, bytes]]]
) -> ClaimResult:
    steps, prompts = experiment.budget.steps, experiment.budget.prompts
    variance, diversity, distance, _ = (
        {sampler: line[-1][1] for sampler, line in by_sampler.items()}
        for by_sampler in lines.values()
    )  # at the largest number of steps
    return ClaimResult(
        "freshness", "Fresh noise in sampling",
        "DDPM needs its fresh noise: without it, samples collapse towards the mean. DDIM uses no "
        "fresh noise and keeps the variance of the data.",
        f"The first x0 network, {len(experiment.which)} pictures of {prompts} prompts for each "
        "number of steps, no guidance, the same initial noise. Also the ideal denoiser of Gaussian "
        f"data, which is known in closed form, on {COUNT} samples. Checked at {steps[-1]} steps.",
        [metric for line in lines.values() for points in line.values() for _, metric in points],
        [
            Check.above(variance["DDPM"], variance[NO_NOISE]),
            Check.inside(variance["DDIM"], 0.8, 1.25), Check.inside(variance["DDPM"], 0.8, 1.25),
            Check.above(diversity["DDPM"], diversity[NO_NOISE]),
            Check.above(diversity["DDIM"], diversity[NO_NOISE]),
            Check.above(distance["DDIM"], distance[NO_NOISE]),
        ],
        [
            *(ReportFigure(f"{k} steps.", f"Pictures drawn in {k} steps", strips[k])
              for k in (steps[len(steps) // 2], steps[-1])),
            *(ReportFigure(caption, "Curves over the number of steps",
                           svg=line_chart(lines[measure], "steps", measure, log=True))
              for measure, caption in MEASURES.items()),
        ],
        "The blend with all noise fresh adds more noise than DDPM, and the curves show the effect "
        "on the variance. The blend without fresh noise is DDIM.",
    )  # fmt: skip
