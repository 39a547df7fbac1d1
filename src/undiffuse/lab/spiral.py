"""Claim: on a spiral in the plane all samplers reach the data, and a condition picks one arm."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.random import Generator, Philox
from torch import Tensor, nn

from undiffuse import diffusion
from undiffuse.evaluation.page import COLORS
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.lab.budget import SPIRAL_STEP
from undiffuse.lab.charts import PLANE, plane_plots
from undiffuse.lab.claims import Check, ClaimResult, ReportFigure, share_metric
from undiffuse.lab.experiment import LINEAR, Experiment, run_sampler, train_network
from undiffuse.training.denoiser import sample_noise_levels

BATCH, WIDTH, THICKNESS = 256, 256, 0.02
GAP = 0.65  # between neighboring arms
COUNT, STEPS = 512, 20  # points sampled, and sampling steps
NOISE_LEVELS = (0.95, 0.7, 0.4, 0.1)
UNCONDITIONAL_SHARE = 0.5
Paths = dict[Any, np.ndarray]  # sampler or guidance scale -> (STEPS + 1, COUNT, 2)


def spiral_points(turn: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """`(N, 2)`: points at `turn` in [0, 1] along an arm, which makes one turn outwards."""
    angle, radius = 2 * math.pi * turn + math.pi * arm, 0.25 + 2 * GAP * turn
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def sample_data(count: int, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noisy points `(N, 2)` of the spiral, and their arms `(N,)`, 0 or 1."""
    arm = rng.integers(2, size=count)
    clean = spiral_points(rng.random(count), arm)
    return clean + THICKNESS * rng.standard_normal(clean.shape), arm


class SpiralNetwork(nn.Module):
    """`x_t` `(B, 2)`, `t` `(B,)`, `cond` `(B, 2)`, one-hot or zeros -> x0 `(B, 2)`."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [2 + 12 + 2 + 9, WIDTH, WIDTH, WIDTH]
        self.layers = nn.Sequential()
        for a, b in pairwise(sizes):
            self.layers.extend([nn.Linear(a, b), nn.SiLU()])
        self.layers.append(nn.Linear(WIDTH, 2))

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        level = t.float()[:, None]
        angles = torch.cat([math.pi * level * torch.tensor([0.5, 1.0, 2.0, 4.0]),
                            *(rate * x_t for rate in (1.5, 3.0, 6.0))], dim=1)  # fmt: skip
        features = torch.cat([x_t, cond, level, angles.sin(), angles.cos()], dim=1)
        result: Tensor = self.layers(features)
        return result


def train_spiral_denoiser(experiment: Experiment) -> diffusion.Denoiser:
    """Train for x0 on the linear schedule; half of the points have no condition."""
    torch.manual_seed(experiment.seed)
    model = SpiralNetwork()

    def loss(step: int, rng: Generator) -> dict[str, Tensor]:
        data, arm = sample_data(BATCH, rng)
        x0, cond = torch.from_numpy(data).float(), torch.eye(2)[torch.from_numpy(arm)]
        cond = cond * torch.from_numpy(rng.random((BATCH, 1)) > UNCONDITIONAL_SHARE)
        t = torch.from_numpy(sample_noise_levels(BATCH, rng, mean=0.0))
        noise = torch.from_numpy(rng.standard_normal((BATCH, 2), dtype=np.float32))
        prediction = model(diffusion.add_noise(LINEAR, x0, noise, t), t, cond)
        weight = torch.as_tensor(diffusion.loss_weight("x0", LINEAR, t)).float()
        return {"loss": (weight * (prediction - x0).square().mean(1)).mean()}

    steps, seed = experiment.budget.spiral_steps, experiment.seed
    trained: Any = train_network(
        model, loss, steps, BATCH, seed, experiment.progress, "the spiral", work=SPIRAL_STEP
    )

    @torch.inference_mode()
    def denoiser(x_t: Tensor, t: float, cond: Tensor | None) -> Tensor:
        cond = torch.zeros(len(x_t), 2) if cond is None else cond
        result: Tensor = trained(x_t, torch.full((len(x_t),), t), cond)
        return result

    return denoiser


def sample_paths(
    denoiser: diffusion.Denoiser, sampler: str, seed: int, arm: int | None = None
) -> np.ndarray:
    """`(STEPS + 1, COUNT, 2)`: the paths of points from noise to data."""
    source = diffusion.noise_source(seed, range(COUNT), (2,))
    cond = None if arm is None else torch.eye(2)[[arm] * COUNT]
    steps = run_sampler(denoiser, source, cond, sampler, STEPS)
    noise = torch.from_numpy(source(0))
    return torch.stack([noise, *(step.x_t for step in steps)]).numpy().astype(np.float64)


def distance_to_arms(points: np.ndarray) -> np.ndarray:
    """`(N, 2)`: the distance of each point from the first and from the second arm."""
    turns = np.linspace(0, 1, 400)
    arms = [spiral_points(turns, np.full(400, arm)) for arm in (0, 1)]
    distances = [np.linalg.norm(points[:, None] - line, axis=-1).min(1) for line in arms]
    return np.stack(distances, axis=1)


def measure_spiral(experiment: Experiment) -> ClaimResult:
    """Train on the spiral, sample with all samplers, and with a condition and guidance."""
    denoiser, seed = train_spiral_denoiser(experiment), experiment.seed
    paths = {name: sample_paths(denoiser, name, seed) for name in diffusion.SAMPLERS}
    guided = {
        scale: sample_paths(diffusion.classifier_free_guidance(denoiser, scale), "ddim", seed, 0)
        for scale in (1.0, 3.0)
    }
    points = {"noise": paths["ddim"][0], **{name: path[-1] for name, path in paths.items()}}
    distance = {
        name: mean_metric(f"distance from the spiral, {name}", distance_to_arms(x).min(1), unit="")
        for name, x in points.items()
    }
    accuracy = []
    conditional = {f"guidance {scale:g}": path[-1] for scale, path in guided.items()}
    for name, x in {"no condition": points["ddim"], **conditional}.items():
        first, second = distance_to_arms(x).T
        name = f"nearer to the requested arm, {name}"
        accuracy.append(share_metric(name, first < second, np.arange(COUNT)))
    near, far = (_prediction_radius(denoiser, t, seed) for t in (NOISE_LEVELS[-1], NOISE_LEVELS[0]))
    reached = [Check.inside(metric, 0.0, GAP / 8) for name, metric in distance.items()
               if name not in ("noise", "previous")]  # fmt: skip
    return ClaimResult(
        "spiral", "A spiral in the plane: how samplers move",
        "The denoiser leads every noise to the data: at high noise levels to the center of the "
        "data, at low levels to the nearest arm. All samplers reach the spiral on different paths; "
        "only the one for the previous step misses it. A condition leads to one arm.",
        f"Points on two arms, a network of three layers of width {WIDTH}, "
        f"{experiment.budget.spiral_steps} steps of {BATCH} points, predicting x0 on the linear "
        f"schedule, seed {seed}; {COUNT} points per sampler in {STEPS} steps. A sampler reaches "
        f"the spiral if the mean distance is below an eighth of the gap of {GAP:g} between arms.",
        [*distance.values(), *accuracy, near, far],
        [*reached, Check.above(distance["previous"], distance["ddim"]), Check.above(near, far),
         Check.above(accuracy[1], accuracy[0]), Check.inside(accuracy[1], 0.9, 1.0)],
        _report_figures(denoiser, seed, paths, guided),
    )  # fmt: skip


def _prediction_radius(denoiser: diffusion.Denoiser, t: float, seed: int) -> Metric:
    """The distance of x0 from the center, for data at noise level t."""
    rng = Generator(Philox(key=[seed, 2]))
    x0 = torch.from_numpy(sample_data(COUNT, rng)[0]).float()
    noise = torch.from_numpy(rng.standard_normal((COUNT, 2), dtype=np.float32))
    prediction = denoiser(diffusion.add_noise(LINEAR, x0, noise, t), t, None)
    radius = prediction.norm(dim=1).numpy()
    return mean_metric(f"radius of predictions at t = {t:g}", radius, unit="")


def _report_figures(
    denoiser: diffusion.Denoiser, seed: int, paths: Paths, guided: Paths
) -> list[ReportFigure]:
    data = sample_data(400, Generator(Philox(key=[seed, 1])))[0]
    fields = {f"t = {t:g}": partial(_plot_field, data, denoiser, t, None) for t in NOISE_LEVELS}
    trajectories = {name: partial(_plot_paths, data, path[:, :16]) for name, path in paths.items()}
    conditional: dict[str, Callable[[Axes], None]] = {}
    for scale, path in guided.items():
        guide = diffusion.classifier_free_guidance(denoiser, scale)
        title = f"t = 0.7, guidance {scale:g}"
        conditional[title] = partial(_plot_field, data, guide, 0.7, 0)
        conditional[f"samples, guidance {scale:g}"] = partial(_plot_paths, data, path[-1:])
    return [
        ReportFigure("Arrows towards the predicted x0, shortened. Gray: the data.",
                     "Vector fields at four noise levels", svg=plane_plots(fields)),
        ReportFigure("16 paths from the same noise, by sampler; dots are their ends.",
                     "Paths of all samplers", svg=plane_plots(trajectories)),
        ReportFigure("Conditioned on the first arm.", "Conditional fields and samples",
                     svg=plane_plots(conditional)),
    ]  # fmt: skip


def _plot_field(
    data: np.ndarray, denoiser: diffusion.Denoiser, t: float, arm: int | None, axes: Axes
) -> None:
    line = np.linspace(*PLANE, 14)[1:-1]
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    cond = None if arm is None else torch.eye(2)[[arm] * len(grid)]
    away = denoiser(torch.from_numpy(grid).float(), t, cond).numpy() - grid
    arrows = 0.3 * away / (np.linalg.norm(away, axis=1, keepdims=True) + 1e-6) ** 0.5
    _plot_points(data, "gray", 1, axes)
    axes.quiver(*grid.T, *arrows.T, color=COLORS[0], angles="xy", scale_units="xy", scale=1)


def _plot_paths(data: np.ndarray, paths: np.ndarray, axes: Axes) -> None:
    _plot_points(data, "gray", 1, axes)
    axes.plot(paths[..., 0], paths[..., 1], color=COLORS[1], linewidth=0.7)
    _plot_points(paths[-1], COLORS[1], 5, axes)


def _plot_points(points: np.ndarray, color: str, size: float, axes: Axes) -> None:
    axes.scatter(points[:, 0], points[:, 1], size, color)
