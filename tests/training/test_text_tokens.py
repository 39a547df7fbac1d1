"""Training of a denoiser that reads the tokens of the text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training import tiny  # noqa: E402
from tests.training.tiny import CLIP, DENOISER, pictures  # noqa: E402
from undiffuse.clip.model import Clip  # noqa: E402
from undiffuse.errors import UserError  # noqa: E402
from undiffuse.networks.denoiser import DenoiserNetwork  # noqa: E402
from undiffuse.training.denoiser import DenoiserRecipe, sample_cond  # noqa: E402
from undiffuse.training.embedder import TextEmbedder, text_input  # noqa: E402
from undiffuse.training.latent_cache import LatentCache, embed_dataset  # noqa: E402
from undiffuse.training.model_io import (  # noqa: E402
    LONG_EMA,
    export_weights,
    load_module,
    load_start_weights,
)

TOKENS = 4


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, 0]))


def embedder() -> TextEmbedder:
    torch.manual_seed(0)
    return TextEmbedder(Clip(CLIP).eval(), tiny.tokenizer())


def cache(texts: TextEmbedder) -> LatentCache:
    embeddings = embed_dataset(pictures(), texts)
    return LatentCache(x0=tiny.cache().x0, **embeddings)


def test_most_captions_have_tokens_and_pictures_have_none() -> None:
    made = cache(embedder())
    rows = np.arange(10_000) % len(pictures().records)
    batch = sample_cond(made, rows, rng(), tokens=True)
    captions = made.captions[torch.from_numpy(rows)].float()  # (B, CAPTIONS, 512)
    said = (captions == batch["cond"][:, None]).all(2)
    assert said[batch["rows"]].any(1).all()
    assert len(batch["rows"]) / len(rows) == pytest.approx(0.8 * 0.85, abs=0.02)
    # The tokens are those of the caption whose vector it is.
    for row, ids, length in zip(batch["rows"], batch["ids"], batch["lengths"], strict=True):
        assert made.ids is not None
        known = made.ids[rows[row]]
        same = (known[:, : len(ids)] == ids).all(1) & (known[:, len(ids) :] == 0).all(1)
        assert (same & said[row]).any()
        assert length > 2


def test_a_batch_without_captions_has_no_tokens() -> None:
    texts = embedder()
    made, none = cache(texts), np.zeros(0, np.int64)
    batch = sample_cond(made, none, rng(), tokens=True)
    assert texts.states(batch["ids"], batch["lengths"], TOKENS).shape[0] == 0


def test_a_network_without_tokens_draws_the_same_random_numbers_as_before() -> None:
    made = cache(embedder())
    rows = np.arange(64) % len(pictures().records)
    one, other = rng(), rng()
    without = sample_cond(made, rows, one)
    sample_cond(replace(made, ids=None, lengths=None), rows, other, tokens=False)
    assert set(without) == {"cond"}
    assert one.random() == other.random()


def test_cond_of_texts_is_what_the_recipe_builds() -> None:
    texts = embedder()
    cond = texts.cond(["a red circle", ""], TOKENS)
    assert cond.shape == (2, 512 + TOKENS * CLIP.text_width)
    assert torch.equal(cond[:, :512], texts(["a red circle", ""]))
    assert texts.cond(["a"], 0).shape == (1, 512)


def test_the_loss_falls_and_the_tokens_get_gradients() -> None:
    texts = embedder()
    config = replace(DENOISER, **text_input(texts, TOKENS))
    torch.manual_seed(0)
    network = DenoiserNetwork(config)
    recipe = DenoiserRecipe(
        network, pictures(), cache(texts), 64, compiled=False, embedder=texts
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    losses = []
    for step in range(30):
        loss = recipe.loss(step, rng(step))["loss"]
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert network.text_in is not None
    assert network.text_in.weight.grad is not None
    assert network.text_in.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in texts.model.parameters())


def test_weights_without_tokens_grow_and_draw_the_same_at_first(tmp_path: Path) -> None:
    run = tiny.make("denoiser", tmp_path)
    export_weights(run, "denoiser", LONG_EMA)
    config = replace(DENOISER, **text_input(embedder(), TOKENS))
    grown = DenoiserNetwork(config)
    load_start_weights(tmp_path / "denoiser.safetensors", "denoiser", grown)
    source, _ = load_module(tmp_path / "denoiser.safetensors", "denoiser")
    x, t = torch.randn(2, 8, 4, 4), torch.tensor([0.3, 0.9])
    cond = embedder().cond(["a red circle", "a man"], TOKENS)
    with torch.no_grad():
        expected = source(x, t, cond[:, :512])
        assert torch.allclose(grown(x, t, cond), expected, atol=1e-5)
    other = DenoiserNetwork(replace(config, width=64))
    with pytest.raises(UserError, match="another configuration"):
        load_start_weights(tmp_path / "denoiser.safetensors", "denoiser", other)
