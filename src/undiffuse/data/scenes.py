"""Scenes composed of pictures while training: counts, colors, relations, sizes and grounds.

    maker = SceneMaker([thing_of(picture, record), ...])
    scene = maker.scene(seed=0, step=17, index=3)
    scene.picture, scene.caption, scene.truth

A scene depends on (seed, step, index) and the things only. Its caption is exactly true, and
`Truth` says the same to a program. Its opposite has the same things in another number, color,
place, size or surroundings: "two cats" and "three cats", "a dog left of a cat" and the reverse.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.random import Generator, Philox

from undiffuse.data.composites import with_article
from undiffuse.data.scene_layers import COLORS, front_and_back, halves, jitter, plural, tint
from undiffuse.data.scene_things import Thing
from undiffuse.errors import UserError
from undiffuse.layout.grounds import GROUNDS, draw_ground
from undiffuse.layout.layers import Bounds, Box, Layer, Premultiplied, bounds_of, paste, resized

Kind = Literal["count", "color", "relation", "size", "ground"]

# Share of the scenes. Things that can't be tinted or counted have other scenes instead.
KINDS: dict[Kind, float] = {
    "count": 0.2, "color": 0.3, "relation": 0.25, "size": 0.1, "ground": 0.15,
}  # fmt: skip
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
RELATIONS = ("left of", "right of", "above", "below", "in front of")
SPELLINGS = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "on top of"), "below": ("below", "under", "beneath"),
    "in front of": ("in front of", "before"),
}  # fmt: skip
_GRIDS = {2: (2, 1), 3: (3, 1), 4: (2, 2), 5: (3, 2)}  # columns and rows


@dataclass(frozen=True)
class Truth:
    """What a scene shows. `names` and `colors` belong together; "" is a thing's own color.

    `relation`: of the first thing to the second. `count`: of things that are the same.
    """

    kind: Kind
    names: tuple[str, ...]
    colors: tuple[str, ...]
    count: int = 1
    relation: str = ""
    size: str = ""
    ground: str = ""


@dataclass(frozen=True)
class Scene:
    """A picture `(S, S, 4)` uint8, premultiplied, a caption, the truth, and the style of all its
    things.
    """

    picture: Premultiplied
    caption: str
    truth: Truth
    style: str = ""


Maker = Callable[["SceneMaker", Generator, bool], Scene]  # the bool: of the opposite


class SceneMaker:
    """Makes scenes of things, all of which have the same side. UserError if there are none."""

    def __init__(self, things: Sequence[Thing]) -> None:
        if not things:
            raise UserError("there is nothing to make scenes of: give pictures with transparency")
        sides = {thing.picture.shape for thing in things}
        self.side = things[0].picture.shape[0]
        if sides != {(self.side, self.side, 4)}:
            raise UserError(f"pictures of {len(sides)} shapes: scenes need squares of one size")
        self.things = list(things)
        self._bounds: dict[int, Bounds] = {}

    @cached_property
    def styles(self) -> dict[str, list[int]]:
        """Style -> the rows of its things."""
        rows: dict[str, list[int]] = {}
        for row, thing in enumerate(self.things):
            rows.setdefault(thing.style, []).append(row)
        return rows

    @cached_property
    def tintable(self) -> list[int]:
        return [row for row, thing in enumerate(self.things) if thing.tintable]

    @cached_property
    def countable(self) -> list[int]:
        return [row for row, thing in enumerate(self.things) if thing.countable]

    def scene(self, seed: int, step: int, index: int = 0, *, opposite: bool = False) -> Scene:
        """The scene of a training step, or its opposite. The same arguments give the same scene."""
        rng = Generator(Philox(key=[seed, (step << 20) | index]))
        kinds = {kind: share for kind, share in KINDS.items() if self._can(kind)}
        shares = np.cumsum(list(kinds.values()))
        kind = list(kinds)[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
        return _MAKERS[kind](self, rng, opposite)

    def _can(self, kind: Kind) -> bool:
        needed = {"count": self.countable, "color": self.tintable, "relation": self.paired}
        return bool(needed.get(kind, self.things))

    def pick(self, rows: Sequence[int], rng: Generator) -> int:
        """A random one of the rows."""
        return rows[int(rng.integers(len(rows)))]

    @cached_property
    def paired(self) -> list[int]:
        """The rows of things whose style has things of other names as well."""
        names = {style: {self.things[row].name for row in rows}
                 for style, rows in self.styles.items()}  # fmt: skip
        return [row for row, thing in enumerate(self.things) if len(names[thing.style]) > 1]

    def pair(self, rng: Generator) -> tuple[int, int]:
        """Two things of one style with different names."""
        first = self.pick(self.paired, rng)
        rows = self.styles[self.things[first].style]
        while True:
            second = self.pick(rows, rng)
            if self.things[second].name != self.things[first].name:
                return first, second

    def placed(self, row: int, box: Box, color: str = "") -> Layer:
        """A thing, cut to what is drawn of it, that fills the box and stands on its lower edge."""
        left, top, right, bottom = bounds = self._bound(row)
        scale = box[2] / max(right - left, bottom - top)
        size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        pixels = resized(self.things[row].picture, bounds, *size)
        if color:
            pixels = tint(pixels, color)
        return Layer(pixels, box[0] + (box[2] - size[0]) // 2, box[1] + box[2] - size[1])

    def _bound(self, row: int) -> Bounds:
        if row not in self._bounds:
            self._bounds[row] = bounds_of(self.things[row].picture)
        return self._bounds[row]

    def canvas(self) -> Premultiplied:
        """An empty picture."""
        return np.zeros((self.side, self.side, 4), np.uint8)


def _choose(options: Sequence[str], rng: Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _next(options: Sequence[str], chosen: str) -> str:
    """The option after the chosen one, in a circle."""
    return options[(options.index(chosen) + 1) % len(options)]


def _count(maker: SceneMaker, rng: Generator, opposite: bool) -> Scene:
    row = maker.pick(maker.countable, rng)
    thing, count = maker.things[row], int(rng.integers(2, 6))
    if opposite:
        count = 2 + (count - 1) % 4
    color = _choose(list(COLORS), rng) if thing.tintable and rng.random() < 0.5 else ""
    columns, rows = _GRIDS[count]
    cell = maker.side // max(columns, rows)
    side = round(cell * rng.uniform(0.74, 0.9))
    canvas, slack = maker.canvas(), (cell - side) // 2
    loose = max(0, slack - 1)  # they do not touch
    for number in range(count):
        line, place = divmod(number, columns)
        in_line = min(columns, count - line * columns)
        left = (maker.side - in_line * cell) // 2 + place * cell + slack + jitter(rng, loose)
        top = (maker.side - rows * cell) // 2 + line * cell + slack + jitter(rng, loose)
        paste(canvas, maker.placed(row, (left, top, side), color))
    number_word = NUMBERS[count] if rng.random() < 0.6 else str(count)
    caption = " ".join(word for word in (number_word, color, plural(thing.name)) if word)
    truth = Truth("count", (thing.name,), (color,), count=count)
    return Scene(canvas, caption, truth, thing.style)


def _color(maker: SceneMaker, rng: Generator, opposite: bool) -> Scene:
    row = maker.pick(maker.tintable, rng)
    thing, color = maker.things[row], _choose(list(COLORS), rng)
    if opposite:
        color = _next(list(COLORS), color)
    side = round(maker.side * rng.uniform(0.7, 0.96))
    slack = maker.side - side
    box = (int(rng.integers(slack + 1)), int(rng.integers(slack + 1)), side)
    canvas = maker.canvas()
    paste(canvas, maker.placed(row, box, color))
    plain, name = f"{color} {thing.name}", thing.name
    caption = _choose((with_article(plain), plain, f"{name} in {color}", f"{name}, {color}"), rng)
    return Scene(canvas, caption, Truth("color", (name,), (color,)), thing.style)


def _relation(maker: SceneMaker, rng: Generator, opposite: bool) -> Scene:
    rows, relation = list(maker.pair(rng)), _choose(RELATIONS, rng)
    things = [maker.things[row] for row in rows]
    colors = [_choose(list(COLORS), rng) if thing.tintable else "" for thing in things]
    if opposite:
        rows, things, colors = rows[::-1], things[::-1], colors[::-1]
    canvas, layers = maker.canvas(), _layout(maker, rows, colors, relation, rng)
    for layer in layers:
        paste(canvas, layer)
    said = [with_article(" ".join(filter(None, pair)))
            for pair in zip(colors, (thing.name for thing in things), strict=True)]  # fmt: skip
    between = _choose(SPELLINGS[relation], rng)
    forms = (f"{said[0]} {between} {said[1]}", f"{said[0]} is {between} {said[1]}")
    names = (things[0].name, things[1].name)
    truth = Truth("relation", names, (colors[0], colors[1]), relation=relation)
    return Scene(canvas, _choose(forms, rng), truth, things[0].style)


def _layout(
    maker: SceneMaker, rows: Sequence[int], colors: Sequence[str], relation: str, rng: Generator
) -> list[Layer]:
    """The two things where the relation says, the one behind first."""
    boxes = front_and_back(maker.side, rng) if relation == "in front of" else halves(
        maker.side, relation, rng)  # fmt: skip
    layers = [maker.placed(*one) for one in zip(rows, boxes, colors, strict=True)]
    return layers[::-1] if relation == "in front of" else layers


def _size(maker: SceneMaker, rng: Generator, opposite: bool) -> Scene:
    row = maker.pick(range(len(maker.things)), rng)
    thing, size = maker.things[row], _choose(("small", "large"), rng)
    if opposite:
        size = _next(("small", "large"), size)
    color = _choose(list(COLORS), rng) if thing.tintable else ""
    share = rng.uniform(0.26, 0.38) if size == "small" else rng.uniform(0.92, 1.0)
    side = round(maker.side * share)
    slack = maker.side - side
    left, top = (slack // 2 + jitter(rng, slack // 4) for _ in range(2))
    canvas = maker.canvas()
    paste(canvas, maker.placed(row, (left, top, side), color))
    word = _choose({"small": ("small", "tiny", "little"), "large": ("large", "big", "huge")}[size],
                   rng)  # fmt: skip
    caption = with_article(" ".join(filter(None, (word, color, thing.name))))
    return Scene(canvas, caption, Truth("size", (thing.name,), (color,), size=size), thing.style)


def _ground(maker: SceneMaker, rng: Generator, opposite: bool) -> Scene:
    row = maker.pick(range(len(maker.things)), rng)
    thing, ground = maker.things[row], _choose(list(GROUNDS), rng)
    if opposite:
        ground = _next(list(GROUNDS), ground)
    distinct = [name for name in COLORS if name not in GROUNDS[ground].clash]
    color = _choose(distinct, rng) if thing.tintable else ""
    canvas, floor = draw_ground(ground, maker.side, rng)
    side = round(maker.side * rng.uniform(0.5, 0.66))
    left = (maker.side - side) // 2 + jitter(rng, maker.side // 10)
    paste(canvas, maker.placed(row, (left, floor - side, side), color))
    said = with_article(" ".join(filter(None, (color, thing.name))))
    caption = f"{said} {_choose(GROUNDS[ground].spellings, rng)}"
    truth = Truth("ground", (thing.name,), (color,), ground=ground)
    return Scene(canvas, caption, truth, thing.style)


_MAKERS: dict[Kind, Maker] = {
    "count": _count, "color": _color, "relation": _relation, "size": _size, "ground": _ground,
}  # fmt: skip
