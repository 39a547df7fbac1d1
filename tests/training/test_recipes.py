"""The training recipes: contents of batches, and losses."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import Generator, Philox

from tests.sample import pictures
from tests.training import tiny
from undiffuse.diffusion import SCHEDULES, TARGETS
from undiffuse.errors import UserError
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training import denoiser as recipe
from undiffuse.training.batches import MixedSampler
from undiffuse.training.clip import ClipRecipe
from undiffuse.training.codec import CodecRecipe, edges, reconstruction_loss, sharpness_loss
from undiffuse.training.denoiser import (
    DenoiserRecipe,
    chain_length,
    sample_cond,
    sample_noise_levels,
)
from undiffuse.training.latent_cache import LatentCache
from undiffuse.training.loop import train


def rng(key: int = 0) -> Generator:
    return Generator(Philox(key=[key, 0]))


def test_noise_levels_are_logit_normal_and_uniform() -> None:
    levels = sample_noise_levels(100_000, rng())
    assert ((levels > 0) & (levels < 1)).all()
    # Nine in ten sigmoid(normal(0.4, 1)), whose median is sigmoid(0.4).
    share = 0.1 * (1 - 1 / (1 + math.exp(-0.4))) + 0.9 * 0.5
    assert (levels > 1 / (1 + math.exp(-0.4))).mean() == pytest.approx(share, abs=0.01)
    assert (levels < 0.05).mean() > 0.004  # and the ends are seen


def test_conditions_are_of_captions_of_pictures_or_zero() -> None:
    """10% zeros, 10% vectors of pictures with noise, the rest vectors of captions."""
    cache = tiny.cache()
    rows = np.arange(10_000) % len(pictures().records)
    cond = sample_cond(cache, rows, rng())["cond"]
    none = cond.abs().sum(1) == 0
    assert none.float().mean().item() == pytest.approx(0.1, abs=0.012)
    assert torch.allclose(cond[~none].norm(dim=1), torch.tensor(1.0), atol=2e-3)
    index = torch.from_numpy(rows)
    said = (cache.captions[index].float() == cond[:, None]).all(2)
    assert said.any(1).float().mean().item() == pytest.approx(0.8, abs=0.015)
    assert said[:, 0].float().mean().item() == pytest.approx(0.4, abs=0.015)  # either of two
    seen = ~none & ~said.any(1)
    near = (cond * cache.pictures[index].float()).sum(1)[seen]
    assert near.mean().item() == pytest.approx(1 / math.hypot(1, recipe.PICTURE_NOISE), abs=0.01)


def test_every_target_trains_on_every_schedule(tmp_path: Path) -> None:
    for target, schedule in product(TARGETS, SCHEDULES):
        run = tiny.make("denoiser", tmp_path, steps=1, batch=8, target=target, schedule=schedule)
        for record in train(run):
            assert not record.skipped, (target, schedule)


def test_an_untrained_network_has_the_error_of_chance() -> None:
    """The last layer starts at zero, and the test latents have mean zero."""
    for target in ("x0", "eps"):
        run = tiny.make("denoiser", Path(), batch=128, target=target)
        means = [run.loss(step, rng(step))["error"].item() for step in range(4)]
        made = DenoiserRecipe(run.model, pictures(), tiny.cache(), compiled=False)
        assert np.mean(means) == pytest.approx(made.chance_losses()["error"], rel=0.05)


def test_the_x0_loss_is_weighted_by_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """|x0_hat - x0|^2 / sigma^2, the square error in v."""
    run = tiny.make("denoiser", Path())
    monkeypatch.setattr(recipe, "sample_noise_levels", lambda count, rng, mean: np.full(count, 0.5))
    losses = run.loss(0, rng())
    assert losses["loss"].item() == pytest.approx(4 * losses["error"].item(), rel=1e-5)


def test_the_target_previous_is_trained_on_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    run = tiny.make("denoiser", Path(), target="previous")
    network = run.model.forward
    run.model.forward = lambda x, t, cond: seen.append(t) or network(x, t, cond)
    run.loss(0, rng())
    steps = (seen[0] * recipe.CHAIN).double()
    assert torch.allclose(steps, steps.round(), atol=1e-5)
    assert steps.min() >= 1
    assert chain_length("previous") == recipe.CHAIN
    assert chain_length("x0") == 0


def test_three_of_eight_pictures_of_a_batch_are_composites() -> None:
    rows = MixedSampler(pictures()).draw(64, rng())
    composites = [bool(pictures().records[row].get("composite")) for row in rows]
    assert composites == [False] * 40 + [True] * 24


def test_the_default_style_is_more_frequent() -> None:
    rows = np.concatenate([MixedSampler(pictures()).draw(64, rng()) for _ in range(20)])
    styles = [pictures().records[row]["family"] for row in rows
              if not pictures().records[row].get("composite")]  # fmt: skip
    assert 0.3 < styles.count("twemoji") / len(styles) < 0.5  # a sixth of the pictures


def test_a_batch_without_composites_is_full() -> None:
    few = pictures().subset(pictures().rows(lambda r: not r.get("composite")))
    x0 = torch.randn(1, len(few.records), 8, 4, 4).half()
    vectors = torch.randn(len(few.records), 1, 512).half()
    network = DenoiserNetwork(tiny.DENOISER)
    made = DenoiserRecipe(
        network, few, LatentCache(vectors, vectors[:, 0], x0=x0), 16, compiled=False
    )
    assert torch.isfinite(made.loss(0, rng())["loss"])
    coded = CodecRecipe(tiny.make("codec", Path()).model, few, 16, compiled=False)
    assert torch.isfinite(coded.loss(0, rng())["loss"])


def test_latents_of_another_shape_are_refused() -> None:
    network = DenoiserNetwork(tiny.DENOISER)
    with pytest.raises(UserError, match=r"have shape \(8, 4, 4\), the codec's \(8, 8, 8\)"):
        DenoiserRecipe(network, pictures(), tiny.cache(side=8), compiled=False)


def test_the_reconstruction_loss_is_l1_of_pixels_and_edges() -> None:
    pixels = torch.rand(2, 3, 8, 8)
    assert reconstruction_loss(pixels, pixels) == 0
    # A shift of all values has no edges; a step has.
    assert reconstruction_loss(pixels + 0.5, pixels).item() == pytest.approx(0.5)
    step = pixels.clone()
    step[..., 4:] += 0.5
    assert reconstruction_loss(step, pixels).item() == pytest.approx(0.25 + 0.5 / 7)
    assert [tuple(part.shape) for part in edges(pixels)] == [(2, 3, 7, 8), (2, 3, 8, 7)]


def test_the_sharpness_loss_allows_edges_to_shift() -> None:
    pixels = torch.zeros(1, 3, 64, 64)
    pixels[..., 20:40, 20:40] = 1.0
    assert sharpness_loss(pixels, pixels) == sharpness_loss(pixels + 0.5, pixels) == 0
    assert sharpness_loss(torch.full_like(pixels, 0.5), pixels) > 0
    moved = sharpness_loss(pixels.roll(1, 3), pixels)
    soft = torch.nn.functional.avg_pool2d(pixels, 3, stride=1, padding=1)
    assert moved < 0.5 * sharpness_loss(soft, pixels)


def test_batches_of_clip_hold_pairs_and_composites() -> None:
    run = tiny.make("clip", Path())
    made = ClipRecipe(run.model, None, pictures(), None, 64, compiled=False)
    rows, places = made.sample_batch(rng())
    assert len(rows) == 64
    assert len(places) == 12
    for without, with_, words in places:
        less, more = (pictures().records[rows[place]] for place in (without, with_))
        assert less["family"] == more["family"]
        assert set(words.split()) <= set(more["name"].split())
    composites = [row for row in rows[24:32] if pictures().records[row].get("composite")]
    assert len(composites) == 8
    again, _ = made.sample_batch(rng())
    assert np.array_equal(rows, again)
    more = ClipRecipe(run.model, None, pictures(), None, 64, compiled=False, composite_share=0.5)
    rows, places = more.sample_batch(rng())
    assert len(rows) == 64
    assert all(pictures().records[row].get("composite") for row in rows[2 * len(places) :][:32])


def test_the_loss_of_clip_is_the_weighted_sum_of_three() -> None:
    run = tiny.make("clip", Path())
    losses = run.loss(0, rng())
    total = losses["match"] + 0.5 * losses["difference"] + 0.5 * losses["words"]
    assert losses["loss"].item() == pytest.approx(total.item(), rel=1e-6)
    assert losses["scale"].item() == pytest.approx(1 / 0.07)
    assert losses["match"].item() == pytest.approx(math.log(32), abs=1.0)
