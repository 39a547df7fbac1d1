"""Muon against torch's own, which computes in bfloat16."""

import torch
from torch import nn

from undiffuse.training.muon import Muon, orthogonalize


def test_the_updates_are_those_of_torch_to_the_precision_of_bfloat16() -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in ((8, 24), (24, 8), (8, 24), (16, 16))]
    theirs = [nn.Parameter(one.detach().clone()) for one in ours]
    mine = Muon(ours, lr=0.1, weight_decay=0.01)
    peer = torch.optim.Muon(theirs, lr=0.1, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        mine.step(), peer.step()
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).norm() < 0.02 * (other.norm() + 1e-6)


def test_orthogonalized_matrices_have_singular_values_around_one() -> None:
    values = torch.linalg.svdvals(orthogonalize(torch.randn(3, 32, 20)).float())
    assert float(values.min()) > 0.4
    assert float(values.max()) < 1.6
