"""How much of the machine a run uses: the network's work against the machine's own peak."""

import time

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

SIDE = 1024
FORWARD_AND_BACKWARD = 3  # the backward pass has two products for each of the forward pass


def matrix_peak(seconds: float = 1.0) -> float:
    """FLOP/s of bfloat16 products of 1024 x 1024, with as many threads as the run has.

    The fastest product counts: what else the machine does at the time is no part of its peak.
    """
    left, right = torch.randn(2, SIDE, SIDE).bfloat16()
    out = torch.empty_like(left)
    fastest = float("inf")
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or fastest == float("inf"):
        torch.mm(left, right, out=out)
        fastest = min(fastest, time.perf_counter() - start)
    return 2.0 * SIDE**3 / fastest


@torch.no_grad()
def forward_flops(network: nn.Module, *inputs: Tensor) -> float:
    """FLOPs of one forward pass, for each row of the inputs: two for each multiplication."""
    counter = FlopCounterMode(display=False)
    with counter:
        network(*inputs)
    return counter.get_total_flops() / len(inputs[0])


def share_of_peak(flops: float, pictures_a_second: float, peak: float) -> float:
    """`flops`: of a picture's forward pass; `peak`: FLOP/s."""
    return FORWARD_AND_BACKWARD * flops * pictures_a_second / peak
