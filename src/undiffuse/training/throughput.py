"""Model FLOPs utilization (MFU): the FLOP/s of training as a share of the machine's peak."""

import time

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from undiffuse.training.devices import CPU, synchronize
from undiffuse.training.precision import choose_dtype

SIDE = 1024
FORWARD_AND_BACKWARD = 3  # the backward pass has two matrix products for each of the forward pass


def peak_flops(seconds: float = 1.0, device: torch.device = CPU) -> float:
    """Measured peak FLOP/s of square matrix products in autocast's dtype: 1024 x 1024 on the
    processor, 8192 x 8192 on other devices.

    The fastest product counts, so that other load on the machine does not lower the peak.
    """
    side = SIDE if device.type == "cpu" else 8 * SIDE
    left, right = torch.randn(2, side, side, device=device).to(choose_dtype(device.type)[0])
    out = torch.empty_like(left)
    fastest = float("inf")
    synchronize(device)
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or fastest == float("inf"):
        torch.mm(left, right, out=out)
        synchronize(device)
        fastest = min(fastest, time.perf_counter() - start)
    return 2.0 * side**3 / fastest


@torch.no_grad()
def forward_flops(network: nn.Module, *inputs: Tensor) -> float:
    """FLOPs of a forward pass per row of the inputs; a multiply-add is two FLOPs."""
    counter = FlopCounterMode(display=False)
    with counter:
        network(*inputs)
    return counter.get_total_flops() / len(inputs[0])


def model_flops_utilization(flops: float, pictures_per_second: float, peak: float) -> float:
    """`flops`: of one picture's forward pass; `peak`: FLOP/s."""
    return FORWARD_AND_BACKWARD * flops * pictures_per_second / peak
