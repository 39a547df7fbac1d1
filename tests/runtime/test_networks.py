"""What the networks take, what they refuse, and that every target comes out as x0."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CLIP, LATENT, write_model
from undiffuse.config import DenoiserConfig
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


def test_what_is_cut_off_a_text_is_told(model_folder: Path) -> None:
    clip = ClipEncoder(model_folder)
    long = "x" * (CLIP.context - 2)
    assert clip.tokens([long, f"{long}yz"]).cut == ("", "yz")
    assert np.array_equal(*clip.encode_text([f"{long}yz", f"{long}y"]))


def test_pictures_may_be_bytes_of_any_size(model_folder: Path) -> None:
    clip = ClipEncoder(model_folder)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    floats = pictures / np.float32(127.5) - 1
    assert np.array_equal(clip.encode_image(pictures), clip.encode_image(floats))
    assert np.array_equal(clip.encode_image(pictures), clip.encode_image(floats.astype(float)))
    twice = pictures.repeat(2, axis=2).repeat(2, axis=3)
    assert to_pixels(twice).shape == (2, 3, 64, 64)
    assert clip.encode_image(twice).shape == (2, 512)


@pytest.mark.parametrize(
    "pictures",
    [
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((1, 4, 64, 64), np.uint8),
        np.zeros((1, 3, 0, 64), np.uint8),
        np.zeros((1, 3, 32, 32), np.float32),
        np.zeros((1, 3, 64, 64), np.int64),
    ],
)
def test_other_arrays_are_no_pictures(model_folder: Path, pictures: np.ndarray) -> None:
    with pytest.raises(UserError, match="pictures"):
        ClipEncoder(model_folder).encode_image(pictures)


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


@pytest.mark.parametrize(
    ("target", "schedule", "chain"),
    [("v", "linear", 0), ("eps", "cosine", 0), ("v", "ddpm", 0), ("previous", "cosine", 20)],
)
def test_whatever_a_network_predicts_x0_comes_out(
    tmp_path: Path, model_folder: Path, target: str, schedule: str, chain: int
) -> None:
    config = DenoiserConfig(
        **{**vars(LATENT), "target": target, "schedule": schedule}  # the same random weights
    )
    denoiser = DenoiserRuntime(write_model(tmp_path, config, chain=chain))
    plain = DenoiserRuntime(model_folder)
    x_t, cond = normal(2, *plain.shape), normal(2, 512) / 22
    said = plain(x_t, 0.5, cond)  # a network that predicts x0 gives what it says itself
    wanted = to_x0(target, SCHEDULES[schedule], said, x_t, 0.5, chain=chain)
    np.testing.assert_allclose(denoiser(x_t, 0.5, cond), wanted, atol=1e-5)
