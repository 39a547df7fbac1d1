"""The convolution with an own gradient: the same as torch's."""

import pytest
import torch
from torch import nn

from undiffuse.networks import small_conv
from undiffuse.networks.small_conv import SmallConv2d


@pytest.mark.parametrize("side", [1, 3, 4])
def test_gradients_are_torchs(side: int) -> None:
    torch.manual_seed(side)
    own, torchs = SmallConv2d(5), nn.Conv2d(5, 5, 3, padding=1)
    torchs.load_state_dict(own.state_dict())
    x = torch.randn(2, 5, side, side)
    found = []
    for layer in (own, torchs):
        copy = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            result = layer(copy)
        assert result.dtype == torch.bfloat16
        result.float().pow(3).sum().backward()
        found.append([copy.grad, layer.weight.grad, layer.bias.grad])
    for mine, theirs in zip(*found, strict=True):
        assert (mine - theirs).norm() <= 0.01 * theirs.norm()


def test_in_float32_and_on_larger_pictures_it_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(small_conv._Convolution, "apply", refuse)
    layer = SmallConv2d(2)
    layer(torch.randn(1, 2, 4, 4))
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(1, 2, 5, 5))
        with torch.no_grad():
            layer(torch.randn(1, 2, 4, 4))
        with pytest.raises(AssertionError):
            layer(torch.randn(1, 2, 4, 4))
