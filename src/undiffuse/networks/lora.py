"""LoRA: low-rank updates of frozen matrices (Hu et al. 2021, arXiv 2106.09685) (torch)."""

import math

import torch
from torch import Tensor, nn


class LoRA(nn.Module):
    """W + scale * up @ down, as a parametrization of a matrix `(out, in)`. `up` starts at zero."""

    def __init__(self, weight: Tensor, rank: int, scale: float = 1.0) -> None:
        super().__init__()
        out, into = weight.shape
        self.scale = scale
        self.down = nn.Parameter(torch.randn(rank, into) / math.sqrt(into))
        self.up = nn.Parameter(torch.zeros(out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * self.up @ self.down


def add_lora(model: nn.Module, rank: int) -> list[nn.Parameter]:
    """Freezes `model` and adds LoRA to each linear layer; returns the parameters to train."""
    model.requires_grad_(False)
    trained: list[nn.Parameter] = []
    for module in list(model.modules()):
        if isinstance(module, nn.Linear):
            update = LoRA(module.weight, min(rank, *module.weight.shape))
            nn.utils.parametrize.register_parametrization(module, "weight", update)
            trained += update.parameters()
    return trained


def merge_lora(model: nn.Module) -> nn.Module:
    """Folds each update into its matrix, in place: the model has its original structure again.

    The linear layers are replaced, because a copy of a parametrized module shares its class.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and nn.utils.parametrize.is_parametrized(child):
                merged = nn.Linear(child.in_features, child.out_features, child.bias is not None)
                merged.weight = nn.Parameter(child.weight.detach().clone())
                merged.bias = child.bias
                setattr(parent, name, merged)
    return model
