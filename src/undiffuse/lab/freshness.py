"""Fresh noise while drawing: with and without, for DDPM, DDIM and the blend."""

from collections.abc import Callable
from typing import Any

import numpy as np

from undiffuse import diffusion
from undiffuse.evaluation.statistics import Figure, mean_figure
from undiffuse.lab.claims import Exhibit, Finding, above, inside, row_of
from undiffuse.lab.experiment import LINEAR, Bench, Network
from undiffuse.lab.svg import curves

STILL = "DDPM, its noise left out"
WAYS: dict[str, dict[str, Any]] = {
    "DDPM": {"sampler": "ddpm"},
    STILL: {"sampler": "ddpm", "still": True},
    "DDIM": {"sampler": "ddim"},
    "blend, all fresh": {"sampler": "blend", "freshness": 1.0},
    "blend, none fresh": {"sampler": "blend", "freshness": 0.0},
}
KINDS = {
    "variance": "Ideal denoiser, Gaussian data: variance, 1 is right.",
    "spread": "Pictures of one prompt: how much they differ; 1 is as real ones.",
    "distance from the mean": "Square distance from the mean of real pictures of the prompt: a "
    "real one's is 1, the mean's own is 0.",
    "agreement": "Drawings of the right colour and shape.",
}
DEVIATION, COUNT = 0.5, 4096  # of the Gaussian data, in every coordinate; numbers drawn


# E[x0 | x_t] = alpha d^2 / (alpha^2 d^2 + sigma^2) x_t, for data N(0, d^2)
def ideal(x_t: np.ndarray, t: float, cond: None) -> np.ndarray:
    """The best denoiser that there can be, of Gaussian data."""
    alpha, sigma = LINEAR.alpha_sigma(t)
    gain = alpha * DEVIATION**2 / ((alpha * DEVIATION) ** 2 + sigma**2)
    return gain * x_t


def gaussian_variance(
    seed: int, steps: int, sampler: str, still: bool = False, **options: Any
) -> np.ndarray:
    """`(4096,)`: squares of what the ideal denoiser draws, in units of the data's variance."""
    source = diffusion.noise_source(seed, range(64), (COUNT // 64,))
    fresh: Callable[[int], Any] = (lambda k: 0.0 * source(k)) if still else source
    *_, last = diffusion.SAMPLERS[sampler](
        ideal, source(0), None, schedule=LINEAR,
        times=diffusion.uniform_times(steps), fresh=fresh, **options,
    )  # fmt: skip
    squares: np.ndarray = (last.x_t.ravel() / DEVIATION) ** 2
    return squares


def fresh_noise(bench: Bench, network: Network) -> Finding:
    """Every way at every number of steps: on Gaussian data exactly, and on pictures."""
    lines: dict[str, dict[str, list[tuple[float, Figure]]]] = {
        kind: {way: [] for way in WAYS} for kind in KINDS
    }
    rows: dict[int, list[tuple[str, bytes]]] = {}
    for steps in bench.budget.steps:
        for way, options in WAYS.items():
            name = f"{way}, {steps} steps"
            squares = gaussian_variance(bench.seed, steps, **options)
            drawn = bench.draw(name, network.denoiser, steps=steps, **options)
            exact = mean_figure(f"variance on Gaussian data, {name}", squares, unit="ratio")
            measured = (exact, drawn.spread, drawn.from_mean, drawn.agreement)
            for kind, figure in zip(KINDS, measured, strict=True):
                lines[kind][way].append((steps, figure))
            rows.setdefault(steps, []).append((way, row_of(drawn.pixels[:12])))
    return _finding(bench, lines, rows)


def _finding(bench: Bench, lines: Any, rows: dict[int, list[tuple[str, bytes]]]) -> Finding:
    exact, wide, away, _ = (
        {way: lines[kind][way][-1][1] for way in WAYS} for kind in lines
    )  # at the largest number of steps
    steps, each = bench.budget.steps, bench.budget.each
    return Finding(
        "freshness", "Fresh noise while drawing",
        "DDPM needs its fresh noise: left out, drawings collapse towards the mean. DDIM draws "
        "without any and keeps the spread of the data.",
        f"The first step-0 network, {len(bench.asked)} drawings of {bench.budget.prompts} prompts "
        "for each number of steps, no guidance, the same first noise everywhere; and the ideal "
        f"denoiser of Gaussian data, known in closed form, on {COUNT} numbers. Tested at "
        f"{steps[-1]} steps.",
        [figure for kind in lines.values() for line in kind.values() for _, figure in line],
        [
            above(exact["DDPM"], exact[STILL]), inside(exact["DDIM"], 0.8, 1.25),
            inside(exact["DDPM"], 0.8, 1.25), above(wide["DDPM"], wide[STILL]),
            above(wide["DDIM"], wide[STILL]), above(away["DDIM"], away[STILL]),
        ],
        [
            *(Exhibit(f"In {k} steps, {each} drawings of each prompt.", f"Drawn in {k} steps",
                      rows[k]) for k in (steps[len(steps) // 2], steps[-1])),
            *(Exhibit(caption, "Curves over the number of steps",
                      svg=curves(lines[kind], "steps", kind, log=True))
              for kind, caption in KINDS.items()),
        ],
        "The blend with all noise fresh mixes in more new noise than DDPM does; the curves show "
        "what that does to the spread. With none fresh it is DDIM.",
    )  # fmt: skip
