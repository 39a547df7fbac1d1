"""Exponential moving averages of the weights over a fixed share of the training so far.

Power-function profile of Karras et al. 2024 (arXiv 2312.02696, eq. 6 and appendix C.1):
    theta_ema(k) = beta_k theta_ema(k-1) + (1 - beta_k) theta(k),   beta_k = (1 - 1/k)^(gamma + 1)
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from undiffuse.training.sharding import local, sharded_like, whole


@cache
def gamma_from_length(length: float) -> float:
    """The exponent of the profile whose relative standard deviation is `length` (eq. 126).

    sigma_rel^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)). Raises ValueError outside (0, 0.28).
    """
    if not 0.0 < length < 0.28:
        raise ValueError(f"EMA length {length} is not between 0 and 0.28")
    t = length**-2
    roots = np.roots([1.0, 7.0, 16.0 - t, 12.0 - t])
    return float(roots.real.max())


class PowerEma:
    """Weight averages of several relative lengths."""

    def __init__(self, model: nn.Module, lengths: tuple[float, ...] = (0.05, 0.10)) -> None:
        self.lengths = lengths
        self.averages = [
            {name: p.detach().clone() for name, p in model.named_parameters()} for _ in lengths
        ]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int, skip: Tensor | None = None) -> None:
        """Update the averages with the weights after step `step`, counted from 1.

        `skip`: 1 where nothing is to change, otherwise 0; known on the device alone.
        """
        parameters = [local(parameter) for parameter in model.parameters()]
        for length, average in zip(self.lengths, self.averages, strict=True):
            weight = 1.0 - (1.0 - 1.0 / step) ** (gamma_from_length(length) + 1.0)
            averages = [local(tensor) for tensor in average.values()]
            if skip is None:
                torch._foreach_lerp_(averages, parameters, weight)
            else:
                changes = torch._foreach_sub(parameters, averages)
                torch._foreach_mul_(changes, weight * (1.0 - skip))
                torch._foreach_add_(averages, changes)

    def tensors(self) -> dict[str, Tensor]:
        """Named tensors for the checkpoint, "ema.<length>/<parameter>"."""
        return {
            f"ema.{length}/{name}": whole(tensor)
            for length, average in zip(self.lengths, self.averages, strict=True)
            for name, tensor in average.items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        for length, average in zip(self.lengths, self.averages, strict=True):
            for name, tensor in average.items():
                tensor.copy_(sharded_like(tensors[f"ema.{length}/{name}"], tensor))
