"""The bilateral filter after the decoder."""

import dataclasses

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.conftest import CODEC
from undiffuse.networks.codec import Codec
from undiffuse.networks.layers import bilateral_filter

COLORS = arrays(np.float32, (1, 3, 5, 6), elements=st.floats(-1, 1, width=16))


@settings(max_examples=30, deadline=None)
@given(COLORS, st.sampled_from([0.05, 0.16, 1.0]))
def test_the_bilateral_filter_is_the_papers(pixels: np.ndarray, tone: float) -> None:
    """Compared with the paper's formula, pixel by pixel."""
    wanted = pixels.astype(np.float64)
    y, x = np.mgrid[-2:3, -2:3]
    for _ in range(2):
        padded = np.pad(wanted, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
        result = np.empty_like(wanted)
        for row, column in np.ndindex(5, 6):
            near = padded[0, :, row : row + 5, column : column + 5]
            apart = ((near - wanted[0, :, row, column, None, None]) ** 2).sum(0)
            weight = np.exp(-(x**2 + y**2) / (2 * 1.5**2) - apart / (2 * tone**2))
            result[0, :, row, column] = (weight * near).sum((1, 2)) / weight.sum()
        wanted = result
    found = bilateral_filter(torch.from_numpy(pixels), tone).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_a_noisy_picture_becomes_flat_and_keeps_its_edge() -> None:
    rng = np.random.default_rng(0)
    clean = np.where(np.arange(64) < 32, -0.5, 0.5) * np.ones((1, 3, 64, 1))
    mottled = clean + 0.05 * rng.standard_normal(clean.shape)
    flat = bilateral_filter(torch.from_numpy(mottled.astype(np.float32)), 0.16).numpy()
    assert np.abs(flat - clean).mean() < 0.5 * np.abs(mottled - clean).mean()
    assert np.abs(flat - clean).max() < 0.2  # no pixel went over to the other side


def test_the_decoder_is_followed_by_the_filter() -> None:
    codec = Codec(CODEC).eval()
    latents = torch.randn(2, CODEC.channels, CODEC.side, CODEC.side)
    with torch.no_grad():
        plain, decoded = codec.decode_unfiltered(latents), codec.decode(latents)
        assert torch.equal(decoded, bilateral_filter(plain, CODEC.flat))
        assert not torch.equal(decoded, plain)
        codec.config = dataclasses.replace(CODEC, flat=0.0)
        assert torch.equal(codec.decode(latents), plain)
