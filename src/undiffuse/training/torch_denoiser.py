"""The denoiser in torch, with the interface of the one that draws (`runtime.networks`)."""

from pathlib import Path

import torch
from torch import Tensor

from undiffuse import diffusion
from undiffuse.config import DrawConfig
from undiffuse.diffusion import SCHEDULES, Denoiser, Times
from undiffuse.diffusion.samplers import Steps
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.denoiser import chain_length
from undiffuse.training.model_io import load_module

DRAWING = DrawConfig()


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
    few: int = 0,
) -> Tensor:
    """Latents `(B, C, S, S)` for the CLIP vectors `cond` `(B, 512)`; see `sample_steps`."""
    x_t: Tensor = list(sample_steps(model, cond, guidance, noise, t, few))[-1].x_t
    return x_t


def sample_steps(
    model: DenoiserNetwork,
    cond: Tensor,
    guidance: float,
    noise: Tensor | None = None,
    t: float = 1.0,
    few: int = 0,
) -> Steps:
    """The steps of drawing `cond`: 20, or `few` of Euler's method by a network made for them.

    `noise`: x_t / sigma(t) at the noise level `t` to start from; only the steps below it are taken.
    The default is pure noise of seed 0.
    """
    config = model.config
    chain = chain_length(config.target)
    start = diffusion.EPS_START if config.target == "eps" else 1.0
    times = (
        diffusion.uniform_times(chain)
        if chain
        else diffusion.shifted_times(few or DRAWING.steps, DRAWING.shift, start=start)
    )
    if noise is None:
        shape = (config.channels, config.side, config.side)
        noise = torch.from_numpy(diffusion.batch_noise(0, range(len(cond)), 0, shape))
        noise = noise.to(cond.device)
    else:
        times = (t, *(below for below in times if below < t))
    sampler = diffusion.euler if few else diffusion.dpmpp_2m
    return (diffusion.previous if chain else sampler)(
        diffusion.classifier_free_guidance(torch_denoiser(model, chain), guidance),
        noise,
        cond,
        schedule=SCHEDULES[config.schedule],
        times=times,
    )
