"""The Muon optimizer (Jordan et al. 2024), with its matrix products in the dtype of autocast.

`torch.optim.Muon` computes in bfloat16 always, which takes 200 times as long as float32 on a
processor without bfloat16 instructions. Here matrices of one shape also share a batched product.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from undiffuse.training.precision import choose_dtype
from undiffuse.training.sharding import local, sharded_like, whole

NS_STEPS, NS_COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)
EPS = 1e-7


def orthogonalize(matrices: Tensor) -> Tensor:
    """An approximation of U V^T, for each matrix U S V^T of `(L, M, N)`, by Newton-Schulz steps."""
    a, b, c = NS_COEFFICIENTS
    x = matrices.to(choose_dtype(matrices.device.type)[0])
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=EPS)  # so that S <= 1
    for _ in range(NS_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update of each matrix is orthogonalized and scaled to the size of AdamW's
    (arXiv 2502.16982), so that both can have the same learning rate.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient. `closure` is not used.

        `found_inf`, as in torch's fused optimizers: if it is 1, nothing changes.
        """
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                updates = [self._momentum(parameter, group["momentum"]) for parameter in parameters]
                rate = group["lr"] * 0.2 * math.sqrt(max(shape))
                # The whole matrix is needed, also where FSDP has sharded it.
                directions = orthogonalize(torch.stack([whole(update) for update in updates]))
                directions = directions.to(parameters[0].dtype)
                decay: Any = 1.0 - group["lr"] * group["weight_decay"]
                if self.found_inf is not None:
                    directions = torch.where(self.found_inf > 0, 0.0, directions)
                    decay = torch.where(self.found_inf > 0, 1.0, decay)
                shards = [
                    local(sharded_like(direction, parameter))
                    for direction, parameter in zip(directions.unbind(), parameters, strict=True)
                ]
                own = [local(parameter) for parameter in parameters]
                torch._foreach_mul_(own, decay)
                torch._foreach_add_(own, shards, alpha=-rate)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        """The gradient with Nesterov momentum."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        if self.found_inf is not None:
            gradient = torch.where(self.found_inf > 0, state["momentum_buffer"], gradient)
        buffer = state["momentum_buffer"].lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(buffer, momentum)
