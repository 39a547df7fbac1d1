"""3x3 convolutions of small pictures, with a fast gradient of the weights in bfloat16."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_SIDE = 4  # at 8 positions a side torch's own gradient is as fast


class SmallConv2d(nn.Conv2d):
    """A 3x3 convolution with padding.

    On processors with AMX, oneDNN's gradient of bfloat16 weights takes five times as long as the
    same sum as a matrix product, where there are few positions. With the product, a step of such
    layers takes two thirds of the time (docs/log). Elsewhere this is `nn.Conv2d`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] <= MAX_SIDE and torch.is_grad_enabled() and _in_bfloat16(x):
            result: Tensor = _Convolution.apply(x, self.weight, self.bias)
            return result
        return super().forward(x)


def _in_bfloat16(x: Tensor) -> bool:
    device = x.device.type
    autocast = device == "cpu" and torch.is_autocast_enabled(device)
    return autocast and torch.get_autocast_dtype(device) == torch.bfloat16


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        dtype = gradient.dtype
        of_x = F.conv_transpose2d(gradient, weight.to(dtype), padding=1)
        height, width = x.shape[2:]
        padded = F.pad(x.to(dtype).permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # (B, H, W, C)
        shifts = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        patches = torch.cat(shifts, -1).flatten(0, 2)  # (B H W, 9 C)
        of_weight = gradient.permute(1, 0, 2, 3).flatten(1) @ patches  # (O, 9 C)
        of_weight = of_weight.view(len(weight), 3, 3, -1).permute(0, 3, 1, 2)
        return of_x.to(x.dtype), of_weight.to(weight.dtype), gradient.float().sum((0, 2, 3))
