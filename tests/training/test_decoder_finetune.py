"""Latents sampled by the denoiser, for fine-tuning the decoder."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import Generator, Philox
from torch import Tensor

from tests.sample import pictures
from tests.training import tiny
from undiffuse import UserError
from undiffuse.networks.codec import Codec
from undiffuse.runtime.weights import read_weights, write_weights
from undiffuse.training import decoder_finetune
from undiffuse.training.batches import COMPOSITE_SHARE
from undiffuse.training.codec import SAMPLED_SHARE, CodecRecipe
from undiffuse.training.decoder_finetune import BATCH, NOISE_LEVELS, SampledLatents, sample_latents
from undiffuse.training.model_io import load_module


@pytest.mark.slow
def test_sampling_ends_in_the_denoisers_prediction(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a constant prediction, every sample ends in it."""
    prediction = torch.linspace(-1, 1, 64 * 16).view(1, 64, 4, 4)
    levels: list[float] = []

    def load(path: Path, kind: str, device: torch.device) -> Any:
        model, weights = load_module(path, kind, device)

        def forward(x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
            levels.append(round(float(t[0]), 6))
            return prediction.expand_as(x_t)

        monkeypatch.setattr(model, "forward", forward)
        return model, weights

    monkeypatch.setattr(decoder_finetune, "load_module", load)
    count = BATCH + 3
    made = sample_latents(pictures(), model_folder, tmp_path, count, lambda line: None)
    assert made.x0.shape == (count, 64, 4, 4)
    assert (made.x0.float() - prediction).abs().max() < 1e-2
    assert list(dict.fromkeys(t for t in levels if t in NOISE_LEVELS)) == list(NOISE_LEVELS)
    records = [pictures().records[row] for row in made.rows]
    share = np.mean([bool(record.get("composite")) for record in records])
    assert share == pytest.approx(COMPOSITE_SHARE, abs=0.01)
    monkeypatch.setattr(decoder_finetune, "_noise_and_denoise", None)  # read from the cache
    again = sample_latents(pictures(), model_folder, tmp_path, count, lambda line: None)
    assert torch.equal(again.x0, made.x0)
    assert torch.equal(again.rows, made.rows)


def test_samples_differ_by_picture_and_are_reproducible(model_folder: Path, tmp_path: Path) -> None:
    one, other = (
        sample_latents(pictures(), model_folder, tmp_path / name, 4, lambda line: None)
        for name in ("one", "other")
    )
    assert torch.equal(one.x0, other.x0)
    assert one.x0.std(0).min() > 0  # four pictures, four results


def test_networks_that_were_not_trained_together_are_refused(
    model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    clip = read_weights(folder / "clip.safetensors", "clip")
    meta = {name: value for name, value in clip.meta.items() if name != "format"}
    write_weights(folder / "clip.safetensors", clip.tensors, {**meta, "training": "more"})
    with pytest.raises(UserError, match="was trained with another clip"):
        sample_latents(pictures(), folder, tmp_path, 4, lambda line: None)


def test_a_share_of_the_batch_is_decoded_from_sampled_latents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = torch.arange(0, 20, 2)
    made = SampledLatents(rows, rows[:, None, None, None].half().expand(-1, 8, 4, 4) + 100, "x")
    picked, latents = made.choose(50, Generator(Philox(key=[0, 0])))
    assert np.array_equal(latents[:, 0, 0, 0], picked + 100)
    assert set(picked) == set(rows.tolist())
    seen: list[Tensor] = []
    model = Codec(tiny.CODEC)
    decode = model.decode_unfiltered
    monkeypatch.setattr(model, "decode_unfiltered", lambda z: [seen.append(z), decode(z)][1])
    recipe = CodecRecipe(model, pictures(), 20, compiled=False, sampled=made)
    losses = recipe.loss(0, Generator(Philox(key=[0, 0])))
    losses["loss"].backward()
    assert len(seen[0]) == 20
    assert (seen[0][:, 0, 0, 0] >= 100).sum() == int(20 * SAMPLED_SHARE)
