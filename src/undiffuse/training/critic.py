"""A critic of patches for the decoder: it learns to tell real pictures from decoded ones.

The pixel losses ask for the median of what is possible, so an outline whose place is uncertain
becomes soft or stepped. The critic sees that real outlines are neither.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from undiffuse.networks.layers import Downsample, ResBlock

CRITIC = "critic."  # how the names of its parameters begin
PATCH = 4  # pixels a side that become one position
WIDTHS = (64, 96)


class PatchCritic(nn.Module):
    """Pictures `(B, C, S, S)` -> a value for each of `(S / 8)^2` patches, higher for real ones
    (PatchGAN, Isola et al. 2017, arXiv 1611.07004).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = WIDTHS
        self.layers = nn.Sequential(
            nn.Conv2d(channels * PATCH**2, first, 3, padding=1), nn.SiLU(),
            Downsample(first, second), ResBlock(second), nn.SiLU(),
            nn.Conv2d(second, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        values: Tensor = self.layers(F.pixel_unshuffle(pixels, PATCH))
        return values.float()


def critic_losses(critic: nn.Module, decoded: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The hinge losses (Lim & Ye 2017, arXiv 1705.02894) of the critic, whose gradient does not
    reach `decoded`, and of the decoder, whose gradient does not reach the critic.
    """
    on_real, on_decoded = critic(real), critic(decoded.detach())
    own = F.relu(1 - on_real).mean() + F.relu(1 + on_decoded).mean()
    frozen = {name: one.detach() for name, one in critic.named_parameters()}
    return own, -functional_call(critic, frozen, (decoded,)).mean()


def balanced(pixel_loss: Tensor, adversarial: Tensor, decoded: Tensor, share: float) -> Tensor:
    """The sum of both losses, the second scaled so that its gradient at `decoded` is `share` times
    as long as that of the first (as in VQGAN, Esser et al. 2021, arXiv 2012.09841).
    """
    lengths: list[Any] = [
        torch.autograd.grad(loss, decoded, retain_graph=True)[0].norm()
        for loss in (pixel_loss, adversarial)
    ]
    return pixel_loss + share * lengths[0] / (lengths[1] + 1e-8) * adversarial
