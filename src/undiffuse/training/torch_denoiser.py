"""The denoiser in torch, with the interface of the one that draws (`runtime.networks`)."""

from pathlib import Path

import torch
from torch import Tensor

from undiffuse import diffusion
from undiffuse.diffusion import SCHEDULES, Denoiser, Times
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.denoiser import chain_length
from undiffuse.training.model_io import load_module

STEPS, SHIFT = 20, 1.5


def torch_denoiser(model: DenoiserNetwork, chain: int) -> Denoiser:
    """`denoiser(x_t, t, cond) -> x0` on tensors. `chain`: see `chain_length`."""

    @torch.inference_mode()
    def network(x_t: Tensor, t: Times, cond: Tensor | None) -> Tensor:
        if cond is None:
            cond = x_t.new_zeros(len(x_t), model.config.cond_size)
        levels = torch.as_tensor(t, dtype=torch.float32, device=x_t.device).expand(len(x_t))
        result: Tensor = model(x_t, levels, cond)
        return result

    schedule = SCHEDULES[model.config.schedule]
    return diffusion.as_denoiser(model.config.target, schedule, network, chain=chain)


def sample_few(model: DenoiserNetwork, cond: Tensor, steps: int) -> Tensor:
    """Latents as of `sample`, from noise of seed 0, by a network that was trained for few steps."""
    config = model.config
    shape = (config.channels, config.side, config.side)
    noise = torch.from_numpy(diffusion.batch_noise(0, range(len(cond)), 0, shape)).to(cond.device)
    taken = diffusion.euler(
        torch_denoiser(model, 0), noise, cond, schedule=SCHEDULES[config.schedule],
        times=diffusion.shifted_times(steps, SHIFT),
    )  # fmt: skip
    x_t: Tensor = list(taken)[-1].x_t
    return x_t


def load_denoiser(path: Path) -> Denoiser:
    """The denoiser of a weight file, in float32.

    Raises UserError when the file is missing or broken, or does not match its configuration.
    """
    model, weights = load_module(path, "denoiser")
    return torch_denoiser(model, weights.meta.get("chain", 0))


def sample(
    model: DenoiserNetwork,
    cond: Tensor,
    guidance: float,
    noise: Tensor | None = None,
    t: float = 1.0,
) -> Tensor:
    """Latents `(B, C, S, S)` for the CLIP vectors `cond` `(B, 512)`, in 20 steps.

    `noise`: x_t / sigma(t) at the noise level `t` to start from; only the steps below it are taken.
    The default is pure noise of seed 0.
    """
    config = model.config
    chain = chain_length(config.target)
    start = diffusion.EPS_START if config.target == "eps" else 1.0
    times = (
        diffusion.uniform_times(chain)
        if chain
        else diffusion.shifted_times(STEPS, SHIFT, start=start)
    )
    if noise is None:
        shape = (config.channels, config.side, config.side)
        noise = torch.from_numpy(diffusion.batch_noise(0, range(len(cond)), 0, shape))
        noise = noise.to(cond.device)
    else:
        times = (t, *(below for below in times if below < t))
    steps = (diffusion.previous if chain else diffusion.dpmpp_2m)(
        diffusion.classifier_free_guidance(torch_denoiser(model, chain), guidance),
        noise,
        cond,
        schedule=SCHEDULES[config.schedule],
        times=times,
    )
    x_t: Tensor = list(steps)[-1].x_t
    return x_t
