"""Pictures that a denoiser drew again, for the decoder to learn from."""

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
from undiffuse.training import decoder_finetune as drawn
from undiffuse.training.codec import DRAWN_SHARE, CodecRecipe
from undiffuse.training.decoder_finetune import BATCH, LEVELS, Drawn, draw_again
from undiffuse.training.latent_cache import load_module


def test_true_pictures_are_drawn_to_the_end(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a network that says the same of everything, that is what every walk ends in."""
    said = torch.linspace(-1, 1, 64 * 16).view(1, 64, 4, 4)
    asked: list[float] = []

    def load(path: Path, kind: str) -> Any:
        model, weights = load_module(path, kind)

        def forward(x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
            asked.append(round(float(t[0]), 6))
            return said.expand_as(x_t)

        monkeypatch.setattr(model, "forward", forward)
        return model, weights

    monkeypatch.setattr(drawn, "load_module", load)
    count = BATCH + 3
    made = draw_again(pictures(), model_folder, tmp_path, count, lambda line: None)
    assert made.x0.shape == (count, 64, 4, 4)
    assert (made.x0.float() - said).abs().max() < 1e-2
    assert [t for t in asked if t in LEVELS] == list(LEVELS[:2])
    records = [pictures().records[row] for row in made.rows]
    assert 0.2 < np.mean([bool(record.get("composite")) for record in records]) < 0.3
    monkeypatch.setattr(drawn, "_walks", None)  # not walked a second time
    again = draw_again(pictures(), model_folder, tmp_path, count, lambda line: None)
    assert torch.equal(again.x0, made.x0)
    assert torch.equal(again.rows, made.rows)


def test_a_level_keeps_what_noise_left(model_folder: Path, tmp_path: Path) -> None:
    one, other = (
        draw_again(pictures(), model_folder, tmp_path / name, 4, lambda line: None)
        for name in ("one", "other")
    )
    assert torch.equal(one.x0, other.x0)
    assert one.x0.std(0).min() > 0  # four pictures, four results


def test_networks_that_do_not_belong_together(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    clip = read_weights(folder / "clip.safetensors", "clip")
    meta = {name: value for name, value in clip.meta.items() if name != "format"}
    write_weights(folder / "clip.safetensors", clip.tensors, {**meta, "training": "more"})
    with pytest.raises(UserError, match="was trained on another clip"):
        draw_again(pictures(), folder, tmp_path, 4, lambda line: None)


def test_a_decoder_learns_from_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its share of a batch is decoded as it was drawn, and set against the true pictures."""
    rows = torch.arange(0, 20, 2)
    made = Drawn(rows, rows[:, None, None, None].half().expand(-1, 8, 4, 4) + 100, "x")
    picked, latents = made.pick(50, Generator(Philox(key=[0, 0])))
    assert np.array_equal(latents[:, 0, 0, 0], picked + 100)
    assert set(picked) == set(rows.tolist())
    seen: list[Tensor] = []
    model = Codec(tiny.CODEC)
    decode = model.learned
    monkeypatch.setattr(model, "learned", lambda z: [seen.append(z), decode(z)][1])
    recipe = CodecRecipe(model, pictures(), 20, compiled=False, drawn=made)
    losses = recipe.loss(0, Generator(Philox(key=[0, 0])))
    losses["loss"].backward()
    assert len(seen[0]) == 20
    assert (seen[0][:, 0, 0, 0] >= 100).sum() == int(20 * DRAWN_SHARE)
