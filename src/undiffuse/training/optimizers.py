"""The optimizers of a run, and the update of its weights."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from undiffuse.training.devices import HostCopy
from undiffuse.training.distributed import count, mean
from undiffuse.training.muon import Muon
from undiffuse.training.sharding import is_sharded, local

if TYPE_CHECKING:
    from undiffuse.training.loop import Run

MAX_GRAD_NORM = 1.0
FUSED_DEVICES = ("cuda", "mps")  # for which torch has a fused AdamW that is faster


def make_optimizers(model: nn.Module, learning_rate: float, weight_decay: float) -> list[Optimizer]:
    """AdamW, and Muon (Jordan et al. 2024) for the matrices in transformer blocks.

    Muon's updates are scaled to the size of AdamW's (arXiv 2502.16982), so that one learning rate
    suits both.
    """
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        in_block = "blocks." in name and "parametrizations" not in name  # LoRA is no such matrix
        (matrices if in_block and parameter.ndim == 2 else rest).append(parameter)
    shared: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
    if any(is_sharded(parameter) for parameter in rest):
        how: dict[str, Any] = {"foreach": False}  # FSDP leaves scalars whole
    else:
        fused = True if rest[0].device.type in FUSED_DEVICES else None  # None: torch decides
        how = {"fused": fused}
    adam = torch.optim.AdamW(rest, betas=(0.9, 0.95), **how, **shared)
    optimizers: list[Optimizer] = [adam]
    if matrices:
        optimizers.append(Muon(matrices, **shared))
    return optimizers


def clip_gradients(parameters: list[nn.Parameter]) -> Tensor:
    """Scale the gradients to a norm of at most `MAX_GRAD_NORM`; returns the norm before."""
    if not any(is_sharded(parameter) for parameter in parameters):
        return nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = {shard: torch.zeros((), device=gradients[0].device) for shard in (True, False)}
    for gradient in gradients:
        squares[is_sharded(gradient)] += local(gradient).square().sum()
    norm = (count() * mean(squares[True]) + squares[False]).sqrt()
    scale = (MAX_GRAD_NORM / (norm + 1e-6)).clamp(max=1.0)  # as clip_grad_norm_ does
    torch._foreach_mul_([local(gradient) for gradient in gradients], scale)
    return norm


def update_weights(run: "Run", losses: dict[str, Tensor]) -> HostCopy:
    """Update weights and averages by the gradients; returns the losses and the gradient norm.

    Nothing changes if the loss or the norm is not finite.
    """
    grad_norm = clip_gradients(list(run.model.parameters()))
    values = mean(torch.stack([value.detach().float() for value in (*losses.values(), grad_norm)]))
    checked = torch.stack([values[list(losses).index("loss")], values[-1]])
    copy, skip = HostCopy(values), None
    if run.deferred:
        skip = 1.0 - checked.isfinite().all().float()
    update = run.deferred or math.isfinite(sum(checked.tolist()))
    run.step += 1
    for optimizer in run.optimizers:
        optimizer.found_inf = skip  # type: ignore[attr-defined]
        if update:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    if update:
        run.ema.update(run.model, run.step, skip)
    return copy
