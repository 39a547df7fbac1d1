"""A prepared data set with scenes, composites of emoji, and icons in color behind its pictures.

CLIP's training makes these for each batch. The denoiser trains on latents and vectors that are
computed once, so it needs them as pictures with captions.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, Philox

from undiffuse.data.composites import (
    SIDE,
    HeldOut,
    is_held_out_pair,
    make_composites,
    remove_colors,
    with_article,
)
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.prepared import (
    PREPARED,
    Row,
    encode_channels,
    open_prepared,
    partial_folder,
    write_rows,
)
from undiffuse.data.scene_layers import COLORS, tint
from undiffuse.data.scene_things import Thing, thing_of
from undiffuse.data.scenes import Scene, SceneMaker
from undiffuse.data.shards import Sample
from undiffuse.data.split import TRAIN
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.png import unpremultiply

# Of what is made; scenes are the rest, and replace what a data set has nothing for.
ICON_SHARE, COMPOSITE_SHARE = 0.15, 0.4
# Of the scenes, where there are emoji: a prompt is drawn in an emoji style unless it names another.
EMOJI_SCENES = 0.8
WHITE = "white"  # of which nothing is seen: the codec encodes pictures on white
Follow = Callable[[str, float], None]


def add_scenes(
    pictures: PictureSet, folder: Path, number: int, seed: int, about: str,
    follow: Follow = lambda what, share: None, kinds: Collection[str] = (),
    held_out: HeldOut = is_held_out_pair,
) -> PictureSet:  # fmt: skip
    """The pictures `(N, 4, S, S)`, and behind them `number` others, made of those of the training
    split. They are written to `folder`, which must not exist. `about`: where the pictures come
    from.

    `kinds`, `held_out`: of composites, see `make_composites`; with kinds no scenes are made.

    UserError for pictures without transparency, or of which none can be made.
    """
    if folder.exists():
        raise UserError(f"{folder} exists: give another output folder")
    if pictures.pictures.shape[1] != 4:
        raise UserError(f"{about} has no transparency: prepare it with --alpha")
    side = pictures.pictures.shape[-1]
    emoji = any(record.get("style_group") == "emoji" for record in pictures.records)
    if kinds and not (emoji and side == SIDE):
        found = f"pictures of {side} pixels" if emoji else "no emoji"
        raise UserError(f"composites are made of emoji of {SIDE} pixels: {about} has {found}")
    with partial_folder(folder) as partial:
        rows = _rows(pictures, number, seed, follow, kinds, held_out)
        total = write_rows(partial, rows, pictures.pictures.shape[1:])
        described = {
            "settings": {"source": about, "scenes": number, "seed": seed, "kinds": [*kinds]},
            "count": total,
        }
        write_atomic(partial / PREPARED, json.dumps(described).encode())
        partial.rename(folder)
    return open_prepared(folder)


def of_styles(pictures: PictureSet, styles: Sequence[str]) -> PictureSet:
    """The pictures in these styles. UserError for a style that none has."""
    have = sorted({record["family"] for record in pictures.records})
    for style in styles:
        if style not in have:
            raise UserError(f"no picture has the style {style!r}: choose of {', '.join(have)}")
    return pictures.subset(pictures.rows(lambda record: record["family"] in styles))


def _rows(
    pictures: PictureSet, number: int, seed: int, follow: Follow, kinds: Collection[str],
    held_out: HeldOut,
) -> Iterator[Row]:  # fmt: skip
    for picture, record, key in zip(
        pictures.pictures, pictures.records, pictures.keys, strict=True
    ):
        yield picture, {**record, "key": key}
    trained = pictures.rows(lambda record: record["split"] == TRAIN)
    composites = _composites(pictures, trained, number, seed, kinds, held_out)
    if kinds:
        for index, row in enumerate(islice(composites, number)):
            follow("making composites", index / number)
            yield row
        return
    scenes, icons = _scenes(pictures.subset(trained), seed), _icons(pictures, trained, seed)
    for index in range(number):
        follow("making scenes", index / number)
        roll = Generator(Philox(key=[seed, index])).random()
        kind = icons if roll < ICON_SHARE else composites if roll > 1 - COMPOSITE_SHARE else scenes
        yield next(kind, None) or next(scenes)


def _scenes(pictures: PictureSet, seed: int) -> Iterator[Row]:
    makers = _makers(pictures)
    for index in count():
        roll = Generator(Philox(key=[seed, 2 << 40 | index])).random()
        maker = makers[0] if roll < EMOJI_SCENES else makers[-1]
        scene = maker.scene(seed, index)
        if WHITE not in scene.truth.colors or scene.truth.ground:
            yield scene.picture.transpose(2, 0, 1), _scene_record(scene, index)


def _makers(pictures: PictureSet) -> list[SceneMaker]:
    """One of emoji and one of all other pictures; or the only one for which there are things."""
    emoji: list[Thing] = []
    others: list[Thing] = []
    for picture, record in zip(pictures.pictures, pictures.records, strict=True):
        if thing := thing_of(picture.transpose(1, 2, 0), record):
            (emoji if record.get("style_group") == "emoji" else others).append(thing)
    return [SceneMaker(things) for things in (emoji, others) if things] or [SceneMaker([])]


def _scene_record(scene: Scene, index: int) -> dict[str, Any]:
    return _record([scene.caption], scene.style, f"scene-{index}", f"scene: {scene.truth.kind}")


def _icons(pictures: PictureSet, trained: np.ndarray, seed: int) -> Iterator[Row]:
    """Icons in other colors than black."""
    icons = [row for row in trained if pictures.records[row].get("tintable")]
    visible = [color for color in COLORS if color != WHITE]
    for index in count() if icons else ():
        rng = Generator(Philox(key=[seed, 1 << 40 | index]))
        row, color = icons[int(rng.integers(len(icons)))], visible[int(rng.integers(len(visible)))]
        record = pictures.records[row]
        noun = remove_colors(record["name"])
        plain = f"{color} {noun}"
        captions = [plain, with_article(plain), f"{noun} in {color}", f"{noun}, {color}"]
        picture = tint(pictures.pictures[row].transpose(1, 2, 0), color).transpose(2, 0, 1)
        yield picture, _record(captions, record["family"], f"icon-{index}", "tinted")


def _composites(
    pictures: PictureSet, trained: np.ndarray, number: int, seed: int, kinds: Collection[str],
    held_out: HeldOut,
) -> Iterator[Row]:  # fmt: skip
    """Composites of emoji, which have one size: recolored, with hats, beside each other."""
    emoji = [row for row in trained if pictures.records[row].get("style_group") == "emoji"]
    if pictures.pictures.shape[-1] != SIDE or not emoji:
        return
    samples = [
        Sample(
            pictures.keys[row],
            unpremultiply(np.ascontiguousarray(pictures.pictures[row].transpose(1, 2, 0))),
            pictures.records[row],
        )
        for row in emoji
    ]
    for sample in make_composites(samples, number, seed, kinds, held_out):
        captions = [sample.record["name"], with_article(sample.record["name"])]
        kind = sample.record["composite"]
        record = _record(captions, sample.record["family"], sample.key, kind)
        yield encode_channels(sample.picture, 4), record


def _record(captions: list[str], style: str, key: str, kind: str) -> dict[str, Any]:
    return {
        "key": key, "label": "", "name": captions[0], "captions": captions, "concept": captions[0],
        "family": style, "split": TRAIN, "composite": kind, "group": "", "subgroup": "",
        "tone": "", "colour": "", "keywords": [], "gloss": "", "tintable": False,
    }  # fmt: skip
