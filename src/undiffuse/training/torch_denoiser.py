"""The denoiser in torch, behind the same seam as the one that draws (`runtime.networks`)."""

from pathlib import Path

import torch
from torch import Tensor

from undiffuse.config import EMBED
from undiffuse.diffusion import SCHEDULES, Denoiser, Times, as_denoiser
from undiffuse.training.latent_cache import load_module


def torch_denoiser(path: Path) -> Denoiser:
    """`denoiser(x_t, t, cond) -> x0` on tensors, of a weight file, in float32.

    UserError when the file is missing or broken, or its tensors are not those of its
    configuration, none more and none less.
    """
    model, weights = load_module(path, "denoiser")

    @torch.inference_mode()
    def network(x_t: Tensor, t: Times, cond: Tensor | None) -> Tensor:
        if cond is None:
            cond = x_t.new_zeros(len(x_t), EMBED)
        levels = torch.as_tensor(t, dtype=torch.float32).expand(len(x_t))
        result: Tensor = model(x_t, levels, cond)
        return result

    schedule = SCHEDULES[model.config.schedule]
    chain = weights.meta.get("chain", 0)
    return as_denoiser(model.config.target, schedule, network, chain=chain)
