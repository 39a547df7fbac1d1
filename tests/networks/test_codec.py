"""The bilateral filter after the decoder."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional as F

from tests.conftest import CODEC, write_part
from undiffuse.config import LARGE_CODECS, CodecConfig, from_dict, to_dict, with_large_decoder
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


@pytest.mark.parametrize("name", LARGE_CODECS)
def test_a_large_codec_has_the_latents_of_its_name(name: str) -> None:
    config = LARGE_CODECS[name]
    assert name == f"{config.side}x{config.side}x{config.channels}"
    codec = Codec(config).eval()
    pixels = torch.rand(1, 4, 256, 256) * 2 - 1
    with torch.no_grad():
        latents = codec.encode(pixels)
        decoded = codec.decode(latents)
        averaged = F.avg_pool2d(pixels, 2)
        assert torch.equal(codec.encode(averaged), latents)
    assert latents.shape == (1, config.channels, config.side, config.side)
    assert decoded.shape == pixels.shape
    assert decoded.abs().max() <= 1
    assert (decoded[:, :3] <= decoded[:, 3:]).all()  # as premultiplied colors are


def test_settings_of_large_codecs_leave_older_files_as_they_are() -> None:
    assert not {"input_size", "decoder_widths"} & to_dict(CodecConfig()).keys()
    for config in LARGE_CODECS.values():
        read = from_dict(CodecConfig, to_dict(config))
        assert to_dict(read) == to_dict(config)
        Codec(read)


def test_no_convolution_of_a_large_decoder_works_on_more_than_64_pixels_a_side() -> None:
    config = LARGE_CODECS["6x6x40"]
    sizes: list[int] = []
    codec = Codec(config)
    for module in codec.decoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, x, out: sizes.append(out.shape[-1]))
    with torch.no_grad():
        codec.decode(torch.zeros(1, 40, 6, 6))
    assert max(sizes) == 64


def test_the_graphs_of_a_large_codec_give_what_torch_gives(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from undiffuse.runtime.networks import CodecRuntime
    from undiffuse.training.model_io import load_module
    from undiffuse.training.onnx_export import export_onnx

    config = dataclasses.replace(
        LARGE_CODECS["6x6x40"], widths=(8, 16), decoder_widths=(8, 8, 8, 8)
    )
    write_part(tmp_path, "codec", config)
    export_onnx(tmp_path, tmp_path)
    codec, runtime = load_module(tmp_path / "codec.safetensors", "codec")[0], CodecRuntime(tmp_path)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 4, 256, 256)).astype(np.float32)
    latents = codec.encode(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(runtime.encode(pixels), latents, atol=1e-4)
    decoded = codec.decode(torch.from_numpy(latents)).numpy()
    np.testing.assert_allclose(runtime.decode(latents), decoded, atol=1e-4)


def test_an_enlarged_codec_has_the_latents_of_the_one_it_grew_from(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from undiffuse.runtime.weights import read_weights, write_weights
    from undiffuse.training.model_io import load_module, load_start_decoder

    write_part(tmp_path, "codec", CODEC)
    path = tmp_path / "codec.safetensors"
    source = load_module(path, "codec")[0]
    large = Codec(with_large_decoder(CODEC)).eval()
    load_start_decoder(path, large)
    color = torch.rand(2, 3, 256, 256) * 2 - 1
    opaque = torch.cat([color, torch.ones(2, 1, 256, 256)], 1)
    empty = torch.full((2, 4, 256, 256), -1.0)
    with torch.no_grad():
        torch.testing.assert_close(
            large.encode(opaque), source.encode(F.avg_pool2d(color, 4)), atol=1e-4, rtol=0
        )
        white = source.encode(torch.ones(2, 3, 64, 64))
        torch.testing.assert_close(large.encode(empty), white, atol=1e-4, rtol=0)
    tensors = {name: parameter.detach().numpy() for name, parameter in large.named_parameters()}
    meta = {"kind": "codec", "config": to_dict(large.config)}
    write_weights(tmp_path / "grown.safetensors", tensors, meta)
    grown = read_weights(tmp_path / "grown.safetensors", "codec")
    assert grown.encoder == read_weights(path, "codec").encoder


def test_a_grown_decoder_begins_with_an_opaque_enlarged_picture(tmp_path: Path) -> None:
    from undiffuse.training.model_io import load_module, load_start_decoder

    write_part(tmp_path, "codec", CODEC)
    source = load_module(tmp_path / "codec.safetensors", "codec")[0]
    large = Codec(with_large_decoder(CODEC)).eval()
    load_start_decoder(tmp_path / "codec.safetensors", large)
    latents = torch.randn(2, CODEC.channels, CODEC.side, CODEC.side)
    with torch.no_grad():
        small = source.decode_unfiltered(latents)
        wanted = F.interpolate(small, scale_factor=4.0, mode="bilinear").clamp(-1, 1)
        decoded = large.decode(latents)
    torch.testing.assert_close(decoded[:, :3], wanted, atol=1e-5, rtol=0)
    assert (decoded[:, 3] == 1).all()
    trained = {name for name, one in large.named_parameters() if one.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"details"}


def test_what_is_nearly_empty_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    large = Codec(with_large_decoder(CODEC)).eval()
    alpha = torch.tensor([-0.96, 0.0, 0.96, 1.2])  # at 5, 128, 250 and 255 of 255
    raw = torch.cat([torch.full((1, 3, 1, 4), -0.95), alpha.view(1, 1, 1, 4)], 1)
    monkeypatch.setattr(large, "decode_unfiltered", lambda latents: raw)
    pixels = large.decode(torch.zeros(0))
    assert pixels[0, 3, 0].tolist() == [-1, 0, 1, 1]
    torch.testing.assert_close(pixels[0, 0, 0], torch.tensor([-1, -0.95, -0.95, -0.95]))
