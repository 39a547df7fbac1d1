"""A spiral in the plane, learned by a small network: what pixel space hides can be seen here."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor, nn

from undiffuse import diffusion
from undiffuse.evaluation.statistics import Figure, mean_figure
from undiffuse.lab.claims import Exhibit, Finding, above, inside, share_figure
from undiffuse.lab.experiment import LINEAR, Bench, fit
from undiffuse.lab.svg import COLOURS, REACH, arrows, dots, panels, paths
from undiffuse.training.denoiser import draw_levels

BATCH, WIDTH, THICKNESS = 256, 256, 0.02
GAP = 0.65  # from arm to arm, going out
DRAWN, STEPS = 512, 20
LEVELS = (0.95, 0.7, 0.4, 0.1)
NONE_SHARE = 0.5


def spiral(turn: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """`(N, 2)`: places `turn` in [0, 1] along one of two arms, one turn from 0.25 outwards."""
    angle, radius = 2 * math.pi * turn + math.pi * arm, 0.25 + 2 * GAP * turn
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def points(count: int, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points of the data `(N, 2)` and their arms `(N,)`, 0 or 1."""
    arm = rng.integers(2, size=count)
    clean = spiral(rng.random(count), arm)
    return clean + THICKNESS * rng.standard_normal(clean.shape), arm


class Field(nn.Module):
    """`(B, 2)`, `(B,)`, `(B, 2)` -> the predicted point `(B, 2)`. `cond`: an arm, or zeros."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [2 + 12 + 2 + 9, WIDTH, WIDTH, WIDTH]
        self.layers = nn.Sequential()
        for a, b in pairwise(sizes):
            self.layers.extend([nn.Linear(a, b), nn.SiLU()])
        self.layers.append(nn.Linear(WIDTH, 2))

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        level = t.float()[:, None]
        at = torch.cat([math.pi * level * torch.tensor([0.5, 1.0, 2.0, 4.0]),
                        *(rate * x_t for rate in (1.5, 3.0, 6.0))], dim=1)  # fmt: skip
        result: Tensor = self.layers(torch.cat([x_t, cond, level, at.sin(), at.cos()], dim=1))
        return result


def learn_field(bench: Bench) -> diffusion.Denoiser:
    """Trained on step 0 with the linear schedule, half of the points without their arm."""
    torch.manual_seed(bench.seed)
    model = Field()

    def loss(step: int, rng: Generator) -> dict[str, Tensor]:
        clean, arm = points(BATCH, rng)
        x0, cond = torch.from_numpy(clean).float(), torch.eye(2)[torch.from_numpy(arm)]
        cond = cond * torch.from_numpy(rng.random((BATCH, 1)) > NONE_SHARE)
        t = torch.from_numpy(draw_levels(BATCH, rng, mean=0.0))
        noise = torch.from_numpy(rng.standard_normal((BATCH, 2), dtype=np.float32))
        said = model(diffusion.add_noise(LINEAR, x0, noise, t), t, cond)
        weight = torch.as_tensor(diffusion.loss_weight("x0", LINEAR, t)).float()
        return {"loss": (weight * (said - x0).square().mean(1)).mean()}

    steps = bench.budget.spiral_steps
    trained: Any = fit(model, loss, steps, BATCH, bench.seed, bench.bar, "the spiral")

    def denoiser(x_t: Tensor, t: float, cond: Tensor | None) -> Tensor:
        with torch.inference_mode():
            cond = torch.zeros(len(x_t), 2) if cond is None else cond
            result: Tensor = trained(x_t, torch.full((len(x_t),), t), cond)
        return result

    return denoiser


def walk(denoiser: diffusion.Denoiser, sampler: str, seed: int, arm: int | None) -> np.ndarray:
    """`(21, 512, 2)`: the paths of 512 points from noise, in 20 even steps."""
    source = diffusion.noise_source(seed, range(DRAWN), (2,))
    cond = None if arm is None else torch.eye(2)[[arm] * DRAWN]
    first = torch.from_numpy(source(0))
    steps = diffusion.SAMPLERS[sampler](
        denoiser, first, cond, schedule=LINEAR, times=diffusion.uniform_times(STEPS),
        fresh=lambda k: torch.from_numpy(source(k)),
    )  # fmt: skip
    return torch.stack([first, *(step.x_t for step in steps)]).numpy().astype(np.float64)


def off_spiral(at: np.ndarray) -> np.ndarray:
    """`(N, 2)`: how far each point lies from the first and from the second arm."""
    turns = np.linspace(0, 1, 400)
    arms = [spiral(turns, np.full(400, arm)) for arm in (0, 1)]
    gaps = [np.linalg.norm(at[:, None] - line, axis=-1).min(1) for line in arms]
    return np.stack(gaps, axis=1)


def spiral_finding(bench: Bench) -> Finding:
    """Learn the field, look at it, walk along it with every sampler, and steer."""
    denoiser, seed = learn_field(bench), bench.seed
    walks = {name: walk(denoiser, name, seed, None) for name in diffusion.SAMPLERS}
    steered = {
        scale: walk(diffusion.classifier_free_guidance(denoiser, scale), "ddim", seed, 0)
        for scale in (1.0, 3.0)
    }
    ends = {"noise": walks["ddim"][0], **{name: way[-1] for name, way in walks.items()}}
    off = {
        name: mean_figure(f"distance from the spiral, {name}", off_spiral(end).min(1), unit="")
        for name, end in ends.items()
    }
    own = []
    asked = {f"guidance {scale:g}": way[-1] for scale, way in steered.items()}
    for name, end in {"unsteered": ends["ddim"], **asked}.items():
        first, second = off_spiral(end).T
        name = f"nearer to the arm asked for, {name}"
        own.append(share_figure(name, first < second, np.arange(DRAWN)))
    near, far = (_reach(denoiser, t, seed) for t in (LEVELS[-1], LEVELS[0]))
    good = [inside(figure, 0.0, GAP / 8) for name, figure in off.items()
            if name not in ("noise", "previous")]  # fmt: skip
    return Finding(
        "spiral", "A spiral: what pixel space hides",
        "The field leads every noise to the data: at high noise towards their middle, at low noise "
        "to the nearest arm. All samplers walk it to the same spiral, by different paths; only the "
        "old way misses it. A condition bends the field towards one arm.",
        f"Points on two arms, a network of three layers of {WIDTH}, {bench.budget.spiral_steps} "
        f"steps of {BATCH} points, predicting step 0 on the linear schedule, seed {seed}; "
        f"{DRAWN} points drawn by each sampler in {STEPS} steps. On the spiral: nearer, on "
        f"average, than an eighth of the gap of {GAP:g} between the arms.",
        [*off.values(), *own, near, far],
        [*good, above(off["previous"], off["ddim"]), above(near, far), above(own[1], own[0]),
         inside(own[1], 0.9, 1.0)],
        _exhibits(denoiser, points(400, Generator(Philox(key=[seed, 1])))[0], walks, steered),
    )  # fmt: skip


def _reach(denoiser: diffusion.Denoiser, t: float, seed: int) -> Figure:
    """How far from the middle the predicted points lie, for data noised to level t."""
    rng = Generator(Philox(key=[seed, 2]))
    x0 = torch.from_numpy(points(DRAWN, rng)[0]).float()
    noise = torch.from_numpy(rng.standard_normal((DRAWN, 2), dtype=np.float32))
    said = denoiser(diffusion.add_noise(LINEAR, x0, noise, t), t, None)
    return mean_figure(f"reach of predictions at t = {t:g}", said.norm(dim=1).numpy(), unit="")


def _exhibits(
    denoiser: diffusion.Denoiser, data: np.ndarray, walks: dict[str, np.ndarray],
    steered: dict[float, np.ndarray],
) -> list[Exhibit]:  # fmt: skip
    line = np.linspace(-REACH, REACH, 14)[1:-1]
    at = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    grey, blue, orange = dots(data), COLOURS[0], COLOURS[1]
    where, arm = torch.from_numpy(at).float(), torch.eye(2)[[0] * len(at)]

    def field(guided: diffusion.Denoiser, t: float, cond: Tensor | None) -> str:
        away = guided(where, t, cond).numpy() - at
        length = np.linalg.norm(away, axis=1, keepdims=True)
        return arrows(at, at + 0.3 * away / (length + 1e-6) ** 0.5, blue)

    fields = {f"t = {t:g}": [grey, field(denoiser, t, None)] for t in LEVELS}
    ways = {name: [grey, paths(way[:, :16], orange)] for name, way in walks.items()}
    bent = {}
    for scale, way in steered.items():
        steer = diffusion.classifier_free_guidance(denoiser, scale)
        bent[f"field at t = 0.7, guidance {scale:g}"] = [grey, field(steer, 0.7, arm)]
        bent[f"drawn, guidance {scale:g}"] = [grey, dots(way[-1], orange, 0.05)]
    return [
        Exhibit("From each place a line towards the point that is predicted there (shortened); "
                "grey: the data.", "Vector fields at four noise levels", svg=panels(fields)),
        Exhibit("Sixteen paths from the same noise, by each sampler; a dot where one ends.",
                "Paths of all samplers", svg=panels(ways)),
        Exhibit("Steered to the first arm.", "Conditional fields", svg=panels(bent)),
    ]  # fmt: skip
