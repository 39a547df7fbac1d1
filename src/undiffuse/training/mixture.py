"""Batches for CLIP of pictures with transparency: emoji, tinted icons, scenes and other pictures.

Tinted icons and scenes are made while training. Every picture is drawn on a ground: mostly white,
otherwise a plain color or a gradient.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from undiffuse.data.captions import Caption, Shown
from undiffuse.data.picture_captions import (
    PictureCaptions,
    scene_caption,
    shown_by,
    shown_by_scene,
)
from undiffuse.data.picture_set import BalancedSampler, PictureSet, difference_pairs
from undiffuse.data.scene_layers import COLORS
from undiffuse.data.scene_things import Thing, thing_of
from undiffuse.data.scenes import Scene, SceneMaker
from undiffuse.training.batches import is_emoji

# Shares of a batch; what a data set lacks is replaced by its other pictures. Emoji are the rest.
TINTED_SHARE, SCENE_SHARE, OTHER_SHARE = 0.17, 0.12, 0.18
PAIR_SHARE = 3 / 32  # pairs of emoji that differ by a word, per picture of a batch
WHITE_SHARE, GRADIENT_SHARE = 0.7, 0.1  # of the grounds; the others have one color
GROUND_TRIES = 8
COLOR_JITTER = 16  # of 255, of a tinted icon's channels
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Pair = tuple[int, int, str]  # row without, row with, the words that the second picture adds


@dataclass
class MixedBatch:
    """Columns of B pictures.

    pictures  (C, S, S) uint8 each, RGB premultiplied by alpha, and alpha.
    captions  one of each.
    shown     what each shows.
    grounds   two colors of each ground in [-1, 1], equal for a plain one, (2, 3) each.
    pairs     positions of pictures that differ by words.
    """

    pictures: list[Bytes] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    grounds: list[Floats] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)


class Mixture:
    """Draws batches from the pictures `(N, 4, S, S)` of a training set.

    `synonyms`: name -> words that mean it, for captions. `composite_share`: of a batch, of the
    composites that the set holds.
    """

    def __init__(
        self, pictures: PictureSet, batch: int, synonyms: Mapping[str, Sequence[str]] | None = None,
        composite_share: float = 0.0,
    ) -> None:  # fmt: skip
        self.pictures, self.batch, records = pictures, batch, pictures.records
        self.captions = PictureCaptions(synonyms or {})
        self.shown = [shown_by(record) for record in records]
        self.composite_share = composite_share
        self.composites = pictures.rows(lambda record: bool(record.get("composite")))
        originals = np.setdiff1d(np.arange(len(records)), self.composites)
        emoji = np.array([row for row in originals if is_emoji(records[row])], np.int64)
        other = np.setdiff1d(originals, emoji)
        icons = pictures.rows(lambda record: bool(record.get("tintable")))
        self.emoji, self.other, self.icons = (
            BalancedSampler(pictures, rows) if len(rows) else None for rows in (emoji, other, icons)
        )
        things = (_thing(pictures, row) for row in range(len(records)))
        found = [thing for thing in things if thing is not None]
        self.scenes = SceneMaker(found) if found else None
        whole = set(emoji.tolist())
        self.pairs = group_by_word(
            pair for pair in difference_pairs(pictures) if pair[0] in whole and pair[1] in whole
        )

    def draw(self, step: int, rng: Generator) -> MixedBatch:
        """The batch of a step: pairs first, then emoji, other pictures, composites, icons and
        scenes.
        """
        out = MixedBatch()
        scenes = 2 * int(self.batch * SCENE_SHARE / 2) if self.scenes else 0
        icons = int(self.batch * TINTED_SHARE) if self.icons else 0
        other = int(self.batch * OTHER_SHARE) if self.other else 0
        composites = int(self.batch * self.composite_share) if len(self.composites) else 0
        rest = self.batch - scenes - icons - other - composites
        if self.emoji is None:  # then there are other pictures
            other, rest = other + rest, 0
        drawn = draw_pairs([self.pairs], self.batch, rng) if self.emoji else []
        out.pairs = [(2 * i, 2 * i + 1, pair[2]) for i, pair in enumerate(drawn)]
        rows = [row for pair in drawn for row in pair[:2]]
        if self.emoji:
            rows += _balanced(self.emoji, rest - len(rows), rng, styles=2)
        if self.other:
            rows += _balanced(self.other, other, rng)
        rows += [int(row) for row in rng.choice(self.composites, composites)] if composites else []
        for row in rows:
            self._add_stored(out, row, rng)
        for row in _balanced(self.icons, icons, rng) if self.icons else ():
            self._add_tinted(out, row, rng)
        if self.scenes:
            self._add_scenes(self.scenes, out, scenes // 2, step, rng)
        return out

    def _add_stored(self, out: MixedBatch, row: int, rng: Generator) -> None:
        record = self.pictures.records[row]
        out.pictures.append(self.pictures.pictures[row])
        out.captions.append(self.captions.caption(record, rng))
        out.shown.append(self.shown[row])
        out.grounds.append(random_ground(["black"] if record.get("tintable") else [], rng))

    def _add_tinted(self, out: MixedBatch, row: int, rng: Generator) -> None:
        record, color = self.pictures.records[row], list(COLORS)[int(rng.integers(len(COLORS)))]
        out.pictures.append(tinted(self.pictures.pictures[row], color, rng))
        out.captions.append(self.captions.tinted(record, color, rng))
        out.shown.append(shown_by(record, color))
        out.grounds.append(random_ground([color], rng))

    def _add_scenes(
        self, maker: SceneMaker, out: MixedBatch, count: int, step: int, rng: Generator
    ) -> None:
        """Scenes and their opposites, which are hard negatives of each other."""
        for _ in range(count):
            seed = int(rng.integers(1 << 32))
            for opposite in (False, True):
                self._add_scene(out, maker.scene(seed, step, opposite=opposite), rng)

    def _add_scene(self, out: MixedBatch, scene: Scene, rng: Generator) -> None:
        out.pictures.append(scene.picture.transpose(2, 0, 1))
        out.captions.append(scene_caption(scene.caption, scene.truth, rng))
        out.shown.append(shown_by_scene(scene.truth))
        colors = [color or "black" for color in scene.truth.colors]
        out.grounds.append(random_ground(colors, rng))


def group_by_word(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """The pairs of each word, in the order of the words."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair[2], []).append(pair)
    return [groups[word] for word in sorted(groups)]


def draw_pairs(
    kinds: Sequence[list[list[Pair]]], batch: int, rng: Generator, share: float = PAIR_SHARE
) -> list[Pair]:
    """Pairs of each kind, `share` per picture of the batch."""
    pairs: list[Pair] = []
    for groups in kinds:
        # By word, or "woman" would be half of all pairs.
        for index in rng.integers(len(groups), size=int(batch * share)) if groups else ():
            group = groups[index]
            pairs.append(group[int(rng.integers(len(group)))])
    return pairs


def tinted(picture: Bytes, color: str, rng: Generator) -> Bytes:
    """A premultiplied picture `(4, S, S)` in about one color, its alpha kept."""
    jitter = rng.integers(-COLOR_JITTER, COLOR_JITTER + 1, 3)
    rgb = np.clip(np.array(COLORS[color]) + jitter, 0, 255).astype(np.uint16)
    alpha = picture[3:].astype(np.uint16)
    mixed = (alpha * rgb[:, None, None] + 127) // 255
    return np.concatenate([mixed.astype(np.uint8), picture[3:]])


def random_ground(colors: Sequence[str], rng: Generator) -> Floats:
    """Two colors `(2, 3)` in [-1, 1] of a ground on which things of these colors can be seen."""
    roll = rng.random()
    if roll < WHITE_SHARE and "white" not in colors:
        return np.ones((2, 3), np.float32)
    tries = rng.random((GROUND_TRIES, 3)) * 2 - 1
    if colors:
        things = np.array([COLORS[color] for color in colors]) / 127.5 - 1
        clear = np.abs(tries[:, None] - things[None]).mean(2).min(1)
        first = tries[int(clear.argmax())]
    else:
        first = tries[0]
    second = first
    if roll > 1 - GRADIENT_SHARE:  # towards white or black, whichever things are farther from
        things = np.array([COLORS[color] for color in colors] or [(0, 0, 0)])
        end = -np.sign(things.mean() / 127.5 - 1)
        second = first + 0.5 * (end - first)
    return np.stack([first, second]).astype(np.float32)


def _balanced(sampler: BalancedSampler, count: int, rng: Generator, styles: int = 1) -> list[int]:
    """`count` rows also where `styles` does not divide it."""
    rows = [int(row) for row in sampler.draw(count + count % styles, rng, styles)]
    return rows[:count]


def _thing(pictures: PictureSet, row: int) -> Thing | None:
    return thing_of(pictures.pictures[row].transpose(1, 2, 0), pictures.records[row])
