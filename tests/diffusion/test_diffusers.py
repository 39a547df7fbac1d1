"""The same denoiser and the same noise give the same path as diffusers' schedulers do."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from undiffuse.diffusion import SCHEDULES, Schedule, ddim, ddpm, dpmpp_2m, euler, heun

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

# NumPy's, of how torch tensors become arrays inside diffusers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

STEPS = 20
TRAIN = 1000
CURVED = pytest.mark.parametrize("name", ["ddpm", "cosine"])
LINEAR = SCHEDULES["linear"]


def denoiser(x_t: Any, t: float, cond: Any) -> Any:
    """Some x0 with a bend in x and in t, that near t = 0 is what it sees, as with any denoiser.

    If it were not, eps_hat = (x_t - alpha x0) / sigma would be large there, and show that the peers
    take 1 - alpha_bar in float32, four digits at their first timestep (Heun's path: 3e-4 apart).
    """
    return x_t + min(1.0, 3.0 * t) * (torch.tanh(1.5 * x_t + t) - 0.3 - x_t)


def noises() -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn((2, 3, 8, 8), generator=generator) for _ in range(STEPS + 1)]


def betas(schedule: Schedule) -> np.ndarray:
    """The discrete chain through t = n / 1000, capped as Nichol and Dhariwal's is."""
    alpha_bar = schedule.alpha(np.arange(TRAIN + 1) / TRAIN) ** 2
    return np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], 0.999)


def peer(name: str, schedule: Schedule, steps: int = STEPS, **options: Any) -> Any:
    """A scheduler told of our betas; its timestep k is our t = (k + 1) / 1000.

    Leading spacing, since the cosine's last timestep is where the cap is.
    """
    scheduler = getattr(diffusers, name)(
        num_train_timesteps=TRAIN,
        trained_betas=betas(schedule),
        prediction_type="sample",
        timestep_spacing="leading",
        **options,
    )
    scheduler.set_timesteps(steps)
    return scheduler


def times(timesteps: Sequence[Any]) -> list[float]:
    return [*((float(k) + 1) / TRAIN for k in timesteps), 0.0]


def compare(
    sampler: Callable, path: list[Any], schedule: Schedule, grid: list[float], **options: Any
) -> None:
    noise = noises()[0]
    steps = list(sampler(denoiser, noise, None, schedule=schedule, times=grid, **options))
    assert len(steps) == len(path)
    for step, theirs in zip(steps, path, strict=True):
        assert step.x_t.dtype == theirs.dtype == torch.float32
        assert float(abs(step.x_t - theirs).max()) < 1e-4
    assert float(abs(path[0] - path[-1]).max()) > 0.5


@CURVED
def test_ddpm_takes_the_path_of_ddpm_with_fixed_small_variance(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, z = SCHEDULES[name], noises()
    scheduler = peer("DDPMScheduler", schedule, variance_type="fixed_small", clip_sample=False)
    fresh = iter(z[1:])
    module = __import__(type(scheduler).__module__, fromlist=["randn_tensor"])
    monkeypatch.setattr(module, "randn_tensor", lambda *args, **options: next(fresh))
    grid = times(scheduler.timesteps)
    x, path = schedule.sigma(grid[0]) * z[0], []
    for k, t in zip(scheduler.timesteps, grid, strict=False):
        x = scheduler.step(denoiser(x, t, None), k, x).prev_sample
        path.append(x)
    compare(ddpm, path, schedule, grid, fresh=lambda index: z[index])


@CURVED
def test_ddim_takes_the_path_of_ddim(name: str) -> None:
    schedule, z = SCHEDULES[name], noises()
    for eta in (0.0, 0.5, 1.0):
        scheduler = peer("DDIMScheduler", schedule, clip_sample=False, set_alpha_to_one=True)
        grid = times(scheduler.timesteps)
        x, path = schedule.sigma(grid[0]) * z[0], []
        for index, (k, t) in enumerate(zip(scheduler.timesteps, grid, strict=False), start=1):
            noise = {"variance_noise": z[index]} if eta else {}
            x = scheduler.step(denoiser(x, t, None), k, x, eta=eta, **noise).prev_sample
            path.append(x)
        compare(ddim, path, schedule, grid, fresh=lambda index: z[index], eta=eta)


@CURVED
@pytest.mark.parametrize(
    ("kind", "sampler"), [("EulerDiscreteScheduler", euler), ("HeunDiscreteScheduler", heun)]
)
def test_euler_and_heun_take_the_path_of_the_discrete_schedulers(
    name: str, kind: str, sampler: Callable
) -> None:
    # These keep y = x / alpha.
    schedule = SCHEDULES[name]
    scheduler = peer(kind, schedule)
    grid = sorted({*times(scheduler.timesteps)}, reverse=True)
    alpha = {t: schedule.alpha(t) for t in grid}
    y, path = schedule.sigma(grid[0]) / alpha[grid[0]] * noises()[0], []
    evaluations = times(scheduler.timesteps)
    for call, (k, t) in enumerate(zip(scheduler.timesteps, evaluations, strict=False)):
        x = scheduler.scale_model_input(y, k)
        y = scheduler.step(denoiser(x, t, None), k, y).prev_sample
        # Heun's calls alternate: predict at t, correct at s; a step ends with its correction.
        if sampler is euler or call % 2 == 1 or call == len(scheduler.timesteps) - 1:
            path.append(y * alpha[grid[len(path) + 1]])
    compare(sampler, path, schedule, grid)


def test_euler_takes_the_path_of_flow_match_euler() -> None:
    grid = [1.0 - k / STEPS for k in range(STEPS)]
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN)
    scheduler.set_timesteps(sigmas=grid)
    x, path = noises()[0], []
    for k, t in zip(scheduler.timesteps, grid, strict=True):
        v = (x - denoiser(x, t, None)) / t
        x = scheduler.step(v, k, x).prev_sample
        path.append(x)
    compare(euler, path, LINEAR, [*grid, 0.0])


def test_heun_takes_the_path_of_flow_match_heun() -> None:
    scheduler = diffusers.FlowMatchHeunDiscreteScheduler(num_train_timesteps=TRAIN)
    scheduler.set_timesteps(STEPS)
    evaluations = (scheduler.timesteps / TRAIN).tolist()
    x, path = noises()[0], []
    for call, (k, t) in enumerate(zip(scheduler.timesteps, evaluations, strict=True)):
        v = (x - denoiser(x, t, None)) / t
        x = scheduler.step(v, k, x).prev_sample
        if call % 2 == 1 or call == len(evaluations) - 1:
            path.append(x)
    compare(heun, path, LINEAR, [*sorted(set(evaluations), reverse=True), 0.0])


@CURVED
def test_dpmpp_takes_the_path_of_dpm_solver_multistep(name: str) -> None:
    schedule = SCHEDULES[name]
    scheduler = peer("DPMSolverMultistepScheduler", schedule, solver_order=2)
    grid = times(scheduler.timesteps)
    x, path = schedule.sigma(grid[0]) * noises()[0], []
    for k, t in zip(scheduler.timesteps, grid, strict=False):
        x = scheduler.step(denoiser(x, t, None), k, x).prev_sample
        path.append(x)
    compare(dpmpp_2m, path, schedule, grid, warmup=1)


def test_dpmpp_takes_the_path_of_dpm_solver_multistep_on_the_linear_schedule() -> None:
    for shift in [1.0, 3.0]:
        scheduler = diffusers.DPMSolverMultistepScheduler(
            num_train_timesteps=TRAIN,
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=shift,
        )
        scheduler.set_timesteps(STEPS)
        grid = scheduler.sigmas.tolist()
        assert all(s < t for t, s in pairwise(grid))
        x, path = grid[0] * noises()[0], []
        for k, t in zip(scheduler.timesteps, grid, strict=False):
            v = (x - denoiser(x, t, None)) / t
            x = scheduler.step(v, k, x).prev_sample
            path.append(x)
        compare(dpmpp_2m, path, LINEAR, grid, warmup=1)
