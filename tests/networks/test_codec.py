"""The codec's last layer: edges narrower, nothing else."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.conftest import CODEC
from undiffuse.evaluation.edges import edge_sharpness
from undiffuse.networks.codec import Codec
from undiffuse.networks.layers import narrowed

PIXELS = arrays(np.float32, (1, 2, 6, 7), elements=st.floats(-1, 1, width=16))


@given(PIXELS, st.sampled_from([0.0, 0.1, 0.5]))
def test_the_formula(pixels: np.ndarray, strength: float) -> None:
    """Pixel by pixel, as it is written."""
    found = narrowed(torch.from_numpy(pixels), strength).numpy()
    padded = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    for channel, row, column in np.ndindex(2, 6, 7):
        near = padded[0, channel, row : row + 3, column : column + 3]
        centre = near[1, 1]
        laplacian = near[0, 1] + near[2, 1] + near[1, 0] + near[1, 2] - 4 * centre
        wanted = np.clip(centre - strength * laplacian, near.min(), near.max())
        assert found[0, channel, row, column] == pytest.approx(wanted, abs=1e-5)


def test_a_soft_disc_gets_sharper_and_keeps_its_size() -> None:
    y, x = np.mgrid[:64, :64] - 31.5
    disc = np.tanh(np.hypot(y, x) - 20).astype(np.float32)
    soft = torch.from_numpy(np.stack([disc] * 3)[None])
    sharp = narrowed(soft, 0.1)
    before, after = (
        edge_sharpness(((x + 1) * 127.5).round().byte().numpy()) for x in (soft, sharp)
    )
    assert after[0] > 1.1 * before[0]
    assert sharp.mean().item() == pytest.approx(soft.mean().item(), abs=2e-3)
    assert sharp.abs().max() <= soft.abs().max()  # no halo


def test_decoding_narrows_what_was_learned() -> None:
    codec = Codec(CODEC).eval()
    latents = torch.randn(2, CODEC.channels, CODEC.side, CODEC.side)
    with torch.no_grad():
        plain, decoded = codec.learned(latents), codec.decode(latents)
        assert torch.equal(decoded, narrowed(plain, CODEC.narrow))
        assert not torch.equal(decoded, plain)
        codec.config = dataclasses.replace(CODEC, narrow=0.0)
        assert torch.equal(codec.decode(latents), plain)
