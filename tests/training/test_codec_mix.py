"""Batches of the codec for large pictures: scenes, tints, shifts, and rows of a mapped file."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator, Philox

from undiffuse.config import LARGE_CODECS
from undiffuse.data.picture_set import LazyRows, PictureSet
from undiffuse.networks.codec import Codec
from undiffuse.training.augment import apply_affine, random_shifts
from undiffuse.training.codec import CodecRecipe, composited_loss
from undiffuse.training.codec_mix import LargeMix, tint

NAMES = ("cat", "dog", "apple", "house")


def pictures(folder: Path, side: int = 256) -> PictureSet:
    """Twelve squares with transparency around them, in a mapped file."""
    array = np.lib.format.open_memmap(folder / "p.npy", "w+", np.uint8, (12, 4, side, side))
    for row in range(12):
        color = np.array((20 * row, 90, 30, 255), np.uint8)[:, None, None]
        array[row, :, side // 4 : -side // 4, side // 4 : -side // 4] = color
    records = [
        {"name": NAMES[row % 4], "concept": NAMES[row % 4], "family": "flat", "tone": "",
         "group": "objects", "tintable": row < 6, "split": "train"}
        for row in range(12)
    ]  # fmt: skip
    return PictureSet(array, records, [str(row) for row in range(12)])


def test_rows_of_a_mapped_file_are_those_of_the_array(tmp_path: Path) -> None:
    whole = pictures(tmp_path, 8)
    rows = np.array([7, 2, 5, 2])
    some = whole.subset(rows)
    again = some.subset(np.array([3, 0]))
    loaded = np.array(whole.pictures)
    assert isinstance(some.pictures, LazyRows)
    np.testing.assert_array_equal(some.pictures, loaded[rows])
    np.testing.assert_array_equal(again.pictures[:], loaded[[2, 7]])
    in_memory = PictureSet(loaded, whole.records, whole.keys)
    assert some.digest == in_memory.subset(rows).digest
    assert whole.digest == in_memory.digest


def test_a_tint_changes_the_color_and_keeps_the_alpha() -> None:
    alpha = torch.tensor([1.0, 0.0, -1.0]).view(1, 1, 1, 3)
    pixels = torch.cat([alpha.expand(1, 3, 1, 3), alpha], 1)
    tinted = tint(pixels, torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1))
    assert torch.equal(tinted[:, 3:], alpha)
    assert torch.allclose(tinted[0, :, 0, 0], torch.tensor([1.0, 0.0, -1.0, 1.0]))
    assert torch.equal(tint(pixels, torch.full((1, 3, 1, 1), -1.0)), pixels)


def test_a_shift_moves_pixels_and_does_not_blur_them() -> None:
    noise = torch.rand(4, 4, 64, 64) * 2 - 1
    matrices = random_shifts(4, 64, Generator(Philox(key=[0, 0])))
    moved = apply_affine(noise, torch.from_numpy(matrices))
    for row in range(4):
        right, down = (round(32 * float(value)) for value in matrices[row, :, 2])
        wanted = torch.roll(noise[row], (-down, -right), (1, 2))[:, 8:-8, 8:-8]
        assert torch.allclose(moved[row, :, 8:-8, 8:-8], wanted, atol=1e-3)


def test_the_composited_loss_is_that_of_composited_pictures() -> None:
    one, other = (torch.rand(3, 4, 8, 8) * 2 - 1 for _ in range(2))
    ground = torch.rand(3, 3, 1, 1)

    def on(pixels: torch.Tensor) -> torch.Tensor:
        shares = (pixels + 1) / 2
        return 2 * (shares[:, :3] + (1 - shares[:, 3:]) * ground) - 1

    wanted = (on(one) - on(other)).abs().mean()
    assert torch.allclose(composited_loss(one, other, ground), wanted, atol=1e-6)


def test_a_large_codec_learns_from_a_mixed_batch(tmp_path: Path) -> None:
    config = dataclasses.replace(LARGE_CODECS["8x8x16"], widths=(8, 8), decoder_widths=(8,) * 4)
    torch.manual_seed(0)
    model = Codec(config)
    everything = pictures(tmp_path)
    recipe = CodecRecipe(model, everything, 16, compiled=False)
    assert LargeMix(everything).scene_count(16) == 2
    batch = recipe.sample(3, Generator(Philox(key=[0, 3])))
    again = recipe.sample(3, Generator(Philox(key=[0, 3])))
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert batch["scenes"].shape == (2, 4, 256, 256)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        loss = recipe.losses(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
