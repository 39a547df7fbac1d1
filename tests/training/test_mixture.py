"""Batches of emoji, tinted icons, scenes and other pictures, and their grounds."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import Generator, Philox

from tests.sample import tokenizer
from tests.training import tiny
from undiffuse.clip.model import Clip
from undiffuse.data.captions import describes
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.scene_layers import COLORS
from undiffuse.training.augment import on_grounds, to_float, to_rgb
from undiffuse.training.clip import ClipRecipe
from undiffuse.training.mixture import Mixture, random_ground, tinted

NAMES = ("dog", "cat", "apple", "car", "tree", "hat")
FAMILIES = {"noto": "emoji", "flat": "emoji", "solid": "silhouette", "ultimate": "color icon"}


def rng(key: int = 0) -> Generator:
    return Generator(Philox(key=[9, key]))


@cache
def pictures() -> PictureSet:
    """Discs, black ones in the families of one color."""
    y, x = np.mgrid[:64, :64] - 31.5
    disc = (np.hypot(x, y) < 24) * np.uint8(255)
    records: list[dict[str, Any]] = []
    found = []
    for family, group in FAMILIES.items():
        for number, name in enumerate(NAMES):
            tone = np.uint8(0 if group == "silhouette" else 40 * number)
            found.append(np.stack([(disc > 0) * tone] * 3 + [disc]))
            records.append({
                "name": name, "concept": name, "family": family, "style_group": group,
                "tintable": group == "silhouette", "group": "objects", "subgroup": "", "tone": "",
                "colour": "", "keywords": ["thing"], "gloss": "", "split": "train",
            })  # fmt: skip
    keys = [f"{record['family']}-{record['name']}" for record in records]
    return PictureSet(np.stack(found).astype(np.uint8), records, keys)


def test_a_batch_has_its_shares() -> None:
    drawn = Mixture(pictures(), 256).draw(3, rng())
    assert len(drawn.pictures) == len(drawn.captions) == len(drawn.shown) == len(drawn.grounds)
    kinds = [shown.concept.partition(" / ")[0] for shown in drawn.shown]
    emoji = sum("noto" in one.words or "flat" in one.words for one in drawn.shown)
    icons = sum("solid" in one.words and "black" not in one.words for one in drawn.shown)
    assert len(kinds) == 256
    assert emoji >= 128
    assert 0.12 <= icons / 256 <= 0.20
    composed = sum(kind in ("count", "relation", "size", "ground") for kind in kinds)
    assert 0.06 < composed / 256 <= 0.12


def test_composites_that_a_set_holds_have_their_share() -> None:
    own = pictures()
    record = {**own.records[0], "name": "red dog", "captions": ["red dog"], "concept": "red dog",
              "composite": "recoloured", "keywords": []}  # fmt: skip
    records = [*own.records, *[record] * 50]
    drawn = [*own.pictures, *[own.pictures[0]] * 50]
    keys = [*own.keys, *(f"composite-{k}" for k in range(50))]
    every = PictureSet(np.stack(drawn), records, keys)

    def count(**options: float) -> int:
        batch = Mixture(every, 64, **options).draw(0, rng())
        assert len(batch.pictures) == 64
        return sum(caption.text.lower().count("red dog") for caption in batch.captions)

    assert count() == 0
    assert 8 <= count(composite_share=0.25) <= 16  # some captions are misspelt


def test_every_caption_describes_its_own_picture() -> None:
    for step in range(6):
        drawn = Mixture(pictures(), 128).draw(step, rng(step))
        assert np.diagonal(describes(drawn.captions, drawn.shown)).all()


def test_scenes_stand_beside_their_opposites_which_they_do_not_describe() -> None:
    drawn = Mixture(pictures(), 128).draw(0, rng())
    scenes = 2 * int(128 * 0.12 / 2)
    found = describes(drawn.captions[-scenes:], drawn.shown[-scenes:])
    for first in range(0, scenes, 2):
        assert not found[first, first + 1]
        assert not found[first + 1, first]


def test_the_same_step_and_generator_give_the_same_batch() -> None:
    one, same = (Mixture(pictures(), 64).draw(5, rng(1)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.pictures, same.pictures, strict=True))
    assert one.captions == same.captions
    assert np.array_equal(one.grounds, same.grounds)


def test_a_data_set_of_one_kind_fills_the_batch() -> None:
    for keep in ("emoji", "silhouette"):
        some = pictures().subset(pictures().rows(lambda r, keep=keep: r["style_group"] == keep))
        assert len(Mixture(some, 64).draw(0, rng()).captions) == 64


def test_tinting_gives_the_color_and_keeps_the_alpha() -> None:
    picture = pictures().pictures[pictures().keys.index("solid-cat")]
    for color, rgb in COLORS.items():
        made = tinted(picture, color, rng())
        assert np.array_equal(made[3], picture[3])
        assert np.abs(made[:3, 32, 32].astype(int) - rgb).max() <= 16
        assert not made[:, 0, 0].any()


@pytest.mark.parametrize("color", [*COLORS, ""])
def test_things_can_be_seen_on_their_grounds(color: str) -> None:
    grounds = np.stack([random_ground([color] if color else [], rng(k)) for k in range(400)])
    white = (grounds == 1).all((1, 2))
    assert white.mean() == 0 if color == "white" else 0.6 < white.mean() < 0.8
    assert 0.03 < (grounds[:, 0] != grounds[:, 1]).any(1).mean() < 0.2
    assert np.abs(grounds).max() <= 1
    if color:
        thing = np.array(COLORS[color]) / 127.5 - 1
        assert np.abs(grounds[:, 0] - thing).mean(1).min() > 0.2


def test_a_white_ground_gives_what_compositing_on_white_gives() -> None:
    pixels = to_float(pictures().pictures[:4])
    assert torch.allclose(on_grounds(pixels, torch.ones(4, 2, 3)), to_rgb(pixels), atol=1e-6)
    blue = torch.tensor([[-1.0, -1.0, 1.0]]).expand(4, 2, 3)
    assert torch.allclose(on_grounds(pixels, blue)[:, :, 0, 0], blue[:, 0])


def test_clip_trains_on_a_mixture() -> None:
    model = Clip(tiny.CLIP)
    recipe = ClipRecipe(model, tokenizer(), pictures(), None, 32, compiled=False)
    losses = recipe.loss(0, rng())
    losses["loss"].backward()
    assert torch.isfinite(losses["loss"])
    assert losses["match"].item() == pytest.approx(np.log(32), abs=1.0)
