"""The shipped model's drawings beside a small data set."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from undiffuse.config import STYLES
from undiffuse.data.captions import random_caption
from undiffuse.data.picture_set import PictureSet
from undiffuse.runtime.session import SHIPPED_WEIGHTS
from undiffuse.training import prior_pictures
from undiffuse.training.prior_pictures import with_prior


class Frozen:
    hashes = {"codec": "0"}  # noqa: RUF012


def small_set(count: int) -> PictureSet:
    records = [{"name": f"thing {i}", "family": "mine"} for i in range(count)]
    pictures = np.zeros((count, 4, 8, 8), np.uint8)
    return PictureSet(pictures, records, [str(i) for i in range(count)])


def test_drawings_are_added_to_a_small_set_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def draw(texts: list[tuple[str, str]], *rest: Any) -> torch.Tensor:
        asked.extend(texts)
        return torch.full((10, 4, 8, 8), 7, dtype=torch.uint8)  # the time was over after ten

    monkeypatch.setattr(prior_pictures, "_draw", draw)
    own = small_set(3)
    first, again = (
        with_prior(own, SHIPPED_WEIGHTS, Frozen(), tmp_path, lambda what, share: None, 20.0)  # type: ignore[arg-type]
        for _ in range(2)
    )
    assert len(asked) == prior_pictures.COUNT
    assert first.digest == again.digest
    assert first.keys[:3] == own.keys
    assert (first.pictures.shape, int(first.pictures[3:].min())) == ((13, 4, 8, 8), 7)
    assert [record["family"] for record in first.records[3:9]] == list(STYLES)
    rng = np.random.default_rng(0)
    for record in first.records[3:]:
        caption = random_caption(record, rng, 0.0).text
        assert record["family"] in caption
        assert record["name"] in caption


def test_a_large_set_is_left_alone(tmp_path: Path) -> None:
    own = small_set(prior_pictures.BELOW)
    assert with_prior(own, SHIPPED_WEIGHTS, Frozen(), tmp_path, lambda *_: None, None) is own  # type: ignore[arg-type]


def test_the_drawings_are_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from undiffuse.training.latent_cache import FrozenModels

    monkeypatch.setattr(prior_pictures, "COUNT", 2)
    frozen = FrozenModels.load(
        SHIPPED_WEIGHTS / "clip.safetensors", SHIPPED_WEIGHTS / "codec.safetensors"
    )
    codec = frozen.codec.config
    own = small_set(1)
    own.pictures.resize((1, *codec.picture_shape), refcheck=False)
    made = with_prior(own, SHIPPED_WEIGHTS, frozen, tmp_path, lambda what, share: None, None)
    assert made.pictures.shape == (3, *codec.picture_shape)
    assert made.pictures[1:].std() > 10
