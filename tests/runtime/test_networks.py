"""What the networks accept and refuse, and that every prediction target becomes x0."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CLIP, LATENT, write_variant
from undiffuse.diffusion import SCHEDULES, to_x0
from undiffuse.errors import UserError
from undiffuse.runtime.networks import ClipEncoder, CodecRuntime, DenoiserRuntime, to_pixels


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def test_vectors_have_unit_length_and_texts_differ(model_folder: Path) -> None:
    clip = ClipEncoder(model_folder)
    vectors = clip.encode_text(["a red apple", "a blue apple", "a red apple"])
    assert vectors.shape == (3, 512)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1])
    assert clip.encode_text([]).shape == (0, 512)
    assert clip.encode_image(np.zeros((0, 3, 64, 64), np.uint8)).shape == (0, 512)


def test_text_beyond_the_context_is_reported(model_folder: Path) -> None:
    clip = ClipEncoder(model_folder)
    long = "x" * (CLIP.context - 2)
    assert clip.tokens([long, f"{long}yz"]).cut == ("", "yz")
    assert np.array_equal(*clip.encode_text([f"{long}yz", f"{long}y"]))


def test_images_may_be_bytes_of_any_size(model_folder: Path) -> None:
    clip = ClipEncoder(model_folder)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    floats = pictures / np.float32(127.5) - 1
    assert np.array_equal(clip.encode_image(pictures), clip.encode_image(floats))
    assert np.array_equal(clip.encode_image(pictures), clip.encode_image(floats.astype(float)))
    twice = pictures.repeat(2, axis=2).repeat(2, axis=3)
    assert to_pixels(twice).shape == (2, 3, 64, 64)
    assert clip.encode_image(twice).shape == (2, 512)


def test_other_arrays_are_no_images(model_folder: Path) -> None:
    clip = ClipEncoder(model_folder)
    for pictures in (
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((1, 4, 64, 64), np.uint8),
        np.zeros((1, 3, 0, 64), np.uint8),
        np.zeros((1, 3, 32, 32), np.float32),
        np.zeros((1, 3, 64, 64), np.int64),
    ):
        with pytest.raises(UserError, match="pictures"):
            clip.encode_image(pictures)


def test_arrays_that_do_not_fit_are_refused(model_folder: Path) -> None:
    denoiser, codec = DenoiserRuntime(model_folder), CodecRuntime(model_folder)
    x_t, cond = normal(2, *denoiser.shape), normal(2, 512)
    with pytest.raises(UserError, match="x_t"):
        denoiser(x_t[:, :3], 0.5, cond)
    with pytest.raises(UserError, match="x_t"):
        denoiser(x_t.astype(float), 0.5, cond)
    with pytest.raises(UserError, match="x_t"):
        denoiser(x_t[:0], 0.5, cond[:0])
    with pytest.raises(UserError, match="cond"):
        denoiser(x_t, 0.5, cond[:1])
    with pytest.raises(UserError, match="t="):
        denoiser(x_t, 1.5, cond)
    with pytest.raises(UserError, match="latents"):
        codec.decode(normal(1, 64, 8, 8))


def test_no_condition_is_zeros(model_folder: Path) -> None:
    denoiser = DenoiserRuntime(model_folder)
    x_t = normal(2, *denoiser.shape)
    zeros = np.zeros((2, 512), np.float32)
    assert np.array_equal(denoiser(x_t, 0.5, None), denoiser(x_t, 0.5, zeros))
    assert not np.allclose(denoiser(x_t, 0.5, None), denoiser(x_t, 0.5, normal(2, 512) / 22))


@pytest.mark.slow
def test_every_prediction_target_is_converted_to_x0(tmp_path: Path, model_folder: Path) -> None:
    plain = DenoiserRuntime(model_folder)
    x_t, cond = normal(2, *plain.shape), normal(2, 512) / 22
    output = plain(x_t, 0.5, cond)  # the same random weights: the same output of the network
    for target, schedule, chain in (
        ("v", "linear", 0), ("eps", "cosine", 0), ("v", "ddpm", 0), ("previous", "cosine", 20),
    ):  # fmt: skip
        config = replace(LATENT, target=target, schedule=schedule)
        folder = write_variant(tmp_path / f"{target}-{schedule}", model_folder, config, chain=chain)
        wanted = to_x0(target, SCHEDULES[schedule], output, x_t, 0.5, chain=chain)
        found = DenoiserRuntime(folder)(x_t, 0.5, cond)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
