"""CLIP's encoders and losses."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.sample import pictures, tokenizer
from tests.training.tiny import CLIP
from undiffuse.clip.loss import contrastive_loss, difference_loss
from undiffuse.clip.model import LOGIT_SCALE_MAX, Clip
from undiffuse.config import STAGE_PRESETS, ClipConfig
from undiffuse.training.augment import random_affine, to_float

TEXTS = ["", "a", "red apple", "a man with a hat", "a cat face in noto style"]
TOWERS = ["transformer", "conv"]


def make(config: ClipConfig = CLIP) -> Clip:
    """Random weights, also where the initial ones are constant."""
    torch.manual_seed(3)
    model = Clip(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def embed(model: Clip, texts: list[str], length: int | None = None) -> torch.Tensor:
    tokens = tokenizer()(texts, length)
    with torch.inference_mode():
        return model.encode_text(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.lengths))


def batch(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(0)), dim=-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_match_per_row_is_the_loss_of_the_paper(dtype: torch.dtype) -> None:
    image, text = batch(2, 16, 512).to(dtype)
    logits = 20.0 * text @ image.T
    own = (
        F.cross_entropy(logits, torch.arange(16)) + F.cross_entropy(logits.T, torch.arange(16))
    ) / 2
    assert contrastive_loss(
        image, text, torch.eye(16) > 0, torch.tensor(20.0, dtype=dtype)
    ).item() == (pytest.approx(own.item(), rel=1e-6))


def test_several_matches_have_equal_weight() -> None:
    """Compared with the definition in loops."""
    image, text = batch(2, 7, 512).double()
    fits = torch.rand(7, 7, generator=torch.Generator().manual_seed(1)) < 0.3
    fits |= torch.eye(7) > 0
    logits = (5.0 * text @ image.T).numpy()
    losses = []
    for matrix, true in ((logits, fits.numpy()), (logits.T, fits.numpy().T)):
        for row, right in zip(matrix, true, strict=True):
            log_p = row - np.log(np.exp(row).sum())
            losses.append(-log_p[right].mean())
    found = contrastive_loss(image, text, fits, torch.tensor(5.0))
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-6)


def test_equal_vectors_have_the_loss_ln_batch() -> None:
    """For any matches; training warns at this value."""
    same = torch.ones(12, 512) / 512**0.5
    fits = (torch.eye(12) > 0) | (torch.arange(12) % 3 == 0)
    assert contrastive_loss(same, same, fits, torch.tensor(14.0)).item() == (
        pytest.approx(math.log(12), rel=1e-5)
    )


def test_the_difference_loss_is_cross_entropy_of_directions() -> None:
    without, with_ = batch(2, 6, 512)
    words = batch(9, 512)
    which = torch.tensor([0, 3, 3, 8, 1, 2])
    direction = F.normalize(with_ - without, dim=-1)
    expected = F.cross_entropy(14.0 * direction @ words.T, which)
    assert difference_loss(without, with_, words, which).item() == pytest.approx(expected.item())
    right = difference_loss(torch.zeros(6, 512), words[which], words, which)
    assert right < expected


@pytest.mark.parametrize("config", [CLIP, STAGE_PRESETS["clip"]["clip"]], ids=["tiny", "preset"])
def test_text_does_not_depend_on_padding(config: ClipConfig) -> None:
    model = make(config)
    lengths = [int(n) for n in tokenizer()(TEXTS).lengths]
    for text, length in zip(TEXTS, lengths, strict=True):
        alone = embed(model, [text], length)  # no padding
        for width in (length + 1, 14, 16):
            if width >= length:
                assert torch.allclose(embed(model, [text], width), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tower", TOWERS)
def test_vectors_do_not_depend_on_the_batch(tower: str) -> None:
    model = make(ClipConfig(**{**vars(CLIP), "tower": tower}))
    whole = embed(model, TEXTS)
    for row, text in enumerate(TEXTS):
        assert torch.allclose(embed(model, [text])[0], whole[row], atol=1e-5, rtol=0)
    assert torch.allclose(embed(model, TEXTS[::-1]), whole.flip(0), atol=1e-5, rtol=0)
    seen = to_float(pictures().pictures[:9])
    with torch.inference_mode():
        images = model.encode_image(seen)
        for row in range(9):
            assert torch.allclose(
                model.encode_image(seen[row : row + 1])[0], images[row], atol=1e-5
            )


@pytest.mark.parametrize("tower", TOWERS)
def test_vectors_have_unit_length(tower: str) -> None:
    model = make(ClipConfig(**{**vars(CLIP), "tower": tower}))
    with torch.inference_mode():
        images = model.encode_image(to_float(pictures().pictures[:20]))
    for vectors in (embed(model, TEXTS), images):
        assert vectors.shape[1] == 512
        assert vectors.dtype == torch.float32
        assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-6)
        assert len(torch.unique(vectors, dim=0)) == len(vectors)


def test_the_order_of_words_matters() -> None:
    one, other = embed(make(), ["cat beside man", "man beside cat"])
    assert not torch.allclose(one, other, atol=1e-3)


def test_the_logit_scale_is_bounded() -> None:
    model = Clip(CLIP)
    assert model.logit_scale.item() == pytest.approx(1 / 0.07, rel=1e-6)
    with torch.no_grad():
        model.log_logit_scale.fill_(10.0)
    assert model.logit_scale.item() == LOGIT_SCALE_MAX


def test_initial_weights_depend_on_the_seed_alone() -> None:
    one, other = make(), make()
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)


def test_an_affine_of_amount_0_is_the_identity() -> None:
    seen = to_float(pictures().pictures[:6])
    still = random_affine(seen, np.random.Generator(np.random.Philox(0)), amount=0.0)
    assert torch.allclose(still, seen, atol=1e-5)


def test_a_random_affine_keeps_the_background_white() -> None:
    seen = to_float(pictures().pictures)
    after = random_affine(seen, np.random.Generator(np.random.Philox(0)))
    assert after.min() >= -1.0001
    assert after.max() <= 1.0001
    white = torch.ones(5, 3, 64, 64)
    assert torch.allclose(random_affine(white, np.random.Generator(np.random.Philox(0))), white)
    change = (after - seen).abs().mean((1, 2, 3))
    assert 0.02 < change.mean() < 0.5
