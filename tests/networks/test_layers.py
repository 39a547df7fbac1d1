"""Rotary positions: the rotation, and their compiled gradient."""

import pytest
import torch

from undiffuse.networks.layers import RotaryAttention, apply_rope, rope_table
from undiffuse.training.precision import choose_dtype


def test_rope_rotates_pairs_by_the_position() -> None:
    table = rope_table(torch.arange(5)[:, None], 4)
    x = torch.randn(1, 1, 5, 4, dtype=torch.float64)
    pairs = torch.complex(x[..., :2], x[..., 2:])
    angles = torch.arange(5)[:, None] * torch.tensor([1.0, 100.0**-0.5])
    wanted = pairs * torch.polar(torch.ones_like(angles), angles)
    found = apply_rope(x, table.double())
    torch.testing.assert_close(found[..., :2], wanted.real, atol=1e-6, rtol=0)
    torch.testing.assert_close(found[..., 2:], wanted.imag, atol=1e-6, rtol=0)


def test_compiled_attention_has_finite_gradients() -> None:
    if choose_dtype()[0] != torch.bfloat16:
        pytest.skip("this processor computes in float32")
    torch.manual_seed(0)
    attention, rope = RotaryAttention(256, 4), rope_table(torch.arange(32)[:, None], 64)
    x = torch.randn(64, 32, 256, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = torch.compile(attention, dynamic=False)(x, rope)
    (y.float() * torch.randn(y.shape)).sum().backward()
    assert x.grad.isfinite().all()
