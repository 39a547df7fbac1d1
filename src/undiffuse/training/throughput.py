"""Model FLOPs utilization (MFU): the FLOP/s of training as a share of the machine's peak."""

import time

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from undiffuse.training.precision import choose_dtype

SIDE = 1024
FORWARD_AND_BACKWARD = 3  # the backward pass has two matrix products for each of the forward pass


def peak_flops(seconds: float = 1.0) -> float:
    """Measured peak FLOP/s of 1024 x 1024 matrix products in autocast's dtype.

    The fastest product counts, so that other load on the machine does not lower the peak.
    """
    left, right = torch.randn(2, SIDE, SIDE).to(choose_dtype()[0])
    out = torch.empty_like(left)
    fastest = float("inf")
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or fastest == float("inf"):
        torch.mm(left, right, out=out)
        fastest = min(fastest, time.perf_counter() - start)
    return 2.0 * SIDE**3 / fastest


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
