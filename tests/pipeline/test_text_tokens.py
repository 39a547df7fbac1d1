"""A model whose denoiser reads the tokens of the text beside the CLIP vector."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CLIP, LATENT, write_model
from undiffuse.pipeline import TextToImage, load
from undiffuse.runtime.session import graph_file

torch = pytest.importorskip("torch")

from undiffuse.training.model_io import load_module  # noqa: E402

CONFIG = replace(LATENT, text_tokens=6, text_channels=CLIP.text_width, text_depth=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tokens"), CONFIG)


@pytest.fixture(scope="module")
def model(folder: Path) -> TextToImage:
    return load(folder)


def draw(model: TextToImage, *prompts: str, **options: object) -> np.ndarray:
    drawn = model.generate(list(prompts), steps=2, style="", **options)  # type: ignore[arg-type]
    return np.stack([picture.pixels for picture in drawn])


def test_states_agree_with_torch_and_end_with_the_text(folder: Path, model: TextToImage) -> None:
    texts = ["cat", "", "a cat left of a dog"]
    states = model.clip.encode_states(texts, 6).reshape(3, 6, -1)
    module, _ = load_module(folder / "clip.safetensors", "clip")
    tokens = model.clip.tokens(texts)
    with torch.inference_mode():
        ids, lengths = torch.from_numpy(tokens.ids), torch.from_numpy(tokens.lengths)
        expected = module.text.states(ids, lengths)[:, :6].numpy()
    np.testing.assert_allclose(states[[0, 2]], expected[[0, 2]], atol=1e-4)
    assert not states[1].any()
    assert not states[0, tokens.lengths[0] :].any()
    assert np.square(states[2]).mean(-1) == pytest.approx(np.ones(6), abs=1e-2)


def test_the_denoiser_agrees_with_torch(folder: Path, model: TextToImage) -> None:
    rng = np.random.default_rng(0)
    x_t = rng.standard_normal((3, *model.denoiser.shape), dtype=np.float32)
    cond = rng.standard_normal((3, CONFIG.cond_size), dtype=np.float32) / 16
    cond[1, 512 + 2 * CLIP.text_width :] = 0.0  # two tokens
    cond[2, 512:] = 0.0  # none
    module, _ = load_module(folder / "denoiser.safetensors", "denoiser")
    with torch.inference_mode():
        args = (torch.from_numpy(x_t), torch.full((3,), 0.5), torch.from_numpy(cond))
        expected = module(*args).numpy()
    np.testing.assert_allclose(model.denoiser(x_t, 0.5, cond), expected, atol=1e-4)


def test_absent_tokens_do_not_matter(model: TextToImage) -> None:
    """A text of two tokens is the same whether two or six fit."""
    rng = np.random.default_rng(1)
    module, _ = load_module(model.folder / "denoiser.safetensors", "denoiser")
    short = type(module)(replace(CONFIG, text_tokens=2))
    state = module.state_dict()
    short.load_state_dict(state | {"text_places": state["text_places"][:2]})
    x_t = torch.from_numpy(rng.standard_normal((1, *model.denoiser.shape), dtype=np.float32))
    cond = torch.from_numpy(rng.standard_normal((1, CONFIG.cond_size), dtype=np.float32))
    cond[:, 512 + 2 * CLIP.text_width :] = 0.0
    with torch.inference_mode():
        long = module(x_t, torch.ones(1), cond)
        np.testing.assert_allclose(
            short(x_t, torch.ones(1), cond[:, : 512 + 2 * CLIP.text_width]), long, atol=1e-5
        )


def test_the_order_of_the_tokens_matters_if_blocks_read_them(folder: Path) -> None:
    """Attention to tokens without places is the same for any order of them."""
    rng = np.random.default_rng(2)
    x_t = torch.from_numpy(
        rng.standard_normal((1, CONFIG.channels, CONFIG.side, CONFIG.side), dtype=np.float32)
    )
    states = torch.from_numpy(rng.standard_normal((6, CLIP.text_width), dtype=np.float32))
    vector = torch.from_numpy(rng.standard_normal((1, 512), dtype=np.float32))
    one, other = (
        torch.cat([vector, each.flatten()[None]], dim=1) for each in (states, states.flip(0))
    )
    module, _ = load_module(folder / "denoiser.safetensors", "denoiser")
    without = type(module)(replace(CONFIG, text_depth=0))
    without.load_state_dict(module.state_dict(), strict=False)
    with torch.inference_mode():
        level = torch.full((1,), 0.5)
        torch.testing.assert_close(without(x_t, level, one), without(x_t, level, other))
        assert (module(x_t, level, one) - module(x_t, level, other)).abs().max() > 1e-3


def test_word_order_matters_to_a_sentence_and_a_sum_has_no_tokens(model: TextToImage) -> None:
    sentence, reversed_ = draw(model, "red cat blue dog", "blue cat red dog")
    assert (sentence != reversed_).any()
    one, other = (model._plan(text, 1, 0, {"style": ""}) for text in ("cat + dog", "cat"))
    assert one.cond is not None
    assert other.cond is not None
    assert not one.cond[:, 512:].any()
    assert other.cond[:, 512:].any()


def test_a_negative_prompt_keeps_the_tokens_of_the_prompt(model: TextToImage) -> None:
    plain, away = (model._plan("cat", 1, 0, {"style": "", "negative": n}) for n in ("", "hat"))
    np.testing.assert_array_equal(plain.cond[:, 512:], away.cond[:, 512:])
    assert (plain.cond[:, :512] != away.cond[:, :512]).any()


def test_pictures_do_not_depend_on_the_batch(model: TextToImage) -> None:
    together = draw(model, "a cat", "two red dogs", "")
    alone = [draw(model, text)[0] for text in ("a cat", "two red dogs", "")]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_unsteered_with_a_negative_prompt_and_the_clip_gradient_draw(model: TextToImage) -> None:
    assert draw(model, "", "cat", negative="dog").shape == (2, 64, 64, 3)
    assert draw(model, "cat", gradient=1.0).shape == (1, 64, 64, 3)


def test_a_model_without_tokens_has_no_such_graph(model_folder: Path, folder: Path) -> None:
    assert graph_file(folder, "clip_cond").exists()
    assert not graph_file(model_folder, "clip_cond").exists()
