"""Shapes: the checker against scenes that are known, right ones and wrong ones."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from undiffuse.data.shapes import (
    COLOURS,
    RELATIONS,
    SHAPES,
    SIDE,
    SIZES,
    Scene,
    Thing,
    caption,
    check,
    draw_scene,
    look,
    random_scene,
    scene_at,
    shapes_samples,
)
from undiffuse.data.shards import read_shards, write_shards

COUNT = 200
KINDS = list(product(COLOURS, SHAPES, SIZES))


@cache
def scenes() -> list[Scene]:
    return [scene_at(index, seed=5) for index in range(COUNT)]


@cache
def pictures() -> list[np.ndarray]:
    return [rgb(scene) for scene in scenes()]


def rgb(scene: Scene) -> np.ndarray:
    return draw_scene(scene)[..., :3]


def blurred(picture: np.ndarray, radius: float = 1.0) -> np.ndarray:
    return np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def noisy(picture: np.ndarray, deviation: float = 12.0) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def faded(picture: np.ndarray) -> np.ndarray:
    return (252 - (255.0 - picture) * 0.9).clip(0, 255).astype(np.uint8)


def halved(picture: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(picture).reduce(2))


def single(colour: str = "red", shape: str = "circle", size: str = "large") -> Scene:
    return Scene((Thing(colour, shape, size, 32.0, 32.0),))


def pair(relation: str = "left of") -> Scene:
    first = Thing("red", "circle", "small", 20.0, 32.0)
    return Scene((first, Thing("blue", "star", "large", 46.0, 32.0)), relation)


# -- drawing -------------------------------------------------------------------------------------


def test_a_picture_is_opaque_on_white_with_soft_edges() -> None:
    picture = draw_scene(single("black"))
    assert picture.shape == (SIDE, SIDE, 4)
    assert picture.dtype == np.uint8
    assert (picture[..., 3] == 255).all()
    assert (picture[0] == 255).all()
    assert tuple(picture[32, 32, :3]) == COLOURS["black"]
    between = (picture[..., 0] > 30) & (picture[..., 0] < 250)
    assert 30 < between.sum() < 120


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_fills_its_box(shape: str, size: str) -> None:
    dark = (255.0 - rgb(single("black", shape, size))[..., 0]) / 230  # (H, W)
    sides = [(dark > 0.02).any(axis).sum() for axis in (0, 1)]
    assert 0 <= max(sides) - 2 * SIZES[size] <= 1.5
    where = np.flatnonzero(dark.max(0))
    assert (where[0] + where[-1]) / 2 + 0.5 == pytest.approx(32, abs=0.51)


def test_area_of_the_circle() -> None:
    dark = (255.0 - rgb(single("black"))[..., 0]) / 230
    assert dark.sum() == pytest.approx(np.pi * SIZES["large"] ** 2, rel=0.02)


@pytest.mark.parametrize(
    ("scene", "text"),
    [
        (single(), "a large red circle"),
        (Scene(single("cyan", "cross").things * 2), "two large cyan crosses"),
        (Scene(single("black", "star", "small").things * 4), "four small black stars"),
        (pair(), "a small red circle left of a large blue star"),
        (pair("above"), "a small red circle above a large blue star"),
    ],
)
def test_captions(scene: Scene, text: str) -> None:
    assert caption(scene) == text


@pytest.mark.parametrize(
    ("things", "relation"),
    [
        ((), None),
        (single().things * 5, None),
        (pair().things, None),
        (pair().things, "near"),
        (single().things * 2, "above"),
        (single().things, "above"),
    ],
)
def test_what_no_caption_describes_is_no_scene(
    things: tuple[Thing, ...], relation: str | None
) -> None:
    with pytest.raises(ValueError, match="things"):
        Scene(things, relation)


# -- the set -------------------------------------------------------------------------------------


def test_a_sample_depends_on_seed_and_index_only() -> None:
    few, more = list(shapes_samples(3, seed=9)), list(shapes_samples(6, seed=9))
    for index, (a, b) in enumerate(zip(few, more, strict=False)):
        assert (a.key, a.record) == (b.key, b.record)
        assert np.array_equal(a.picture, draw_scene(scene_at(index, 9)))
        assert np.array_equal(a.picture, b.picture)
    assert len({sample.key for seed in (1, 2) for sample in shapes_samples(4, seed)}) == 8
    assert scene_at(0, 1) != scene_at(1, 0)
    assert scene_at(2**64 - 1, 2**64 - 1) == scene_at(2**64 - 1, 2**64 - 1)


def test_the_set_stays_what_it_is() -> None:
    """Written down once: another version of NumPy has to draw the same set."""
    assert [caption(scene_at(index, 0)) for index in range(4)] == [
        "a large red circle",
        "two small yellow diamonds",
        "a small green ring above a small yellow star",
        "four large black diamonds",
    ]
    assert scene_at(0, 0) == Scene((Thing("red", "circle", "large", 32.09, 23.55),))


def test_the_set_holds_everything_about_evenly() -> None:
    related = [scene for scene in scenes() if scene.relation is not None]
    assert 0.4 < len(related) / COUNT < 0.6
    first = [scene.things[0] for scene in scenes()]
    counts = [len(scene.things) for scene in scenes() if scene.relation is None]
    for names, found in (
        (COLOURS, [thing.colour for thing in first]),
        (SHAPES, [thing.shape for thing in first]),
        (SIZES, [thing.size for thing in first]),
        (RELATIONS, [scene.relation for scene in related]),
        ((1, 2, 3, 4), counts),
    ):
        tally = Counter(found)
        assert set(tally) == set(names)
        assert min(tally.values()) > 0.4 * len(found) / len(names)


def test_things_keep_apart_and_inside() -> None:
    for scene in scenes():
        reach = [(thing, SIZES[thing.size]) for thing in scene.things]
        for k, (a, r) in enumerate(reach):
            assert r < a.x < SIDE - r
            assert r < a.y < SIDE - r
            for b, s in reach[:k]:
                assert max(abs(a.x - b.x), abs(a.y - b.y)) >= r + s + 3.9


def test_any_generator_will_do() -> None:
    one, two = (random_scene(np.random.default_rng(3)) for _ in range(2))
    assert one == two
    with pytest.raises(ValueError, match="key"):
        scene_at(0, seed=-1)


def test_the_set_as_shards(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("shapes")
    paths = write_shards(shapes_samples(5, seed=2), folder, prefix="shapes")
    for index, sample in enumerate(read_shards(paths)):
        scene = scene_at(index, 2)
        assert sample.record["caption"] == caption(scene)
        assert sample.record["scene"]["relation"] == scene.relation
        assert Thing(**sample.record["scene"]["things"][0]) == scene.things[0]
        assert check(sample.picture[..., :3], scene).passed


# -- the checker, on what is right ---------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda picture: picture, id="as drawn"),
        pytest.param(blurred, id="blurred"),
        pytest.param(noisy, id="noisy"),
        pytest.param(lambda picture: noisy(blurred(picture)), id="both"),
        pytest.param(faded, id="faded"),
        pytest.param(halved, id="at 32 pixels"),
    ],
)
def test_right_pictures_pass(change: Callable[[np.ndarray], np.ndarray]) -> None:
    verdicts = [
        check(change(picture), scene).passed
        for picture, scene in zip(pictures(), scenes(), strict=True)
    ]
    assert np.mean(verdicts) >= 0.99


def test_every_kind_is_seen_as_what_it_is() -> None:
    for kind in KINDS:
        (thing,) = look(blurred(rgb(single(*kind)), 0.7))
        assert (thing.colour, thing.shape, thing.size) == kind
        assert (thing.x, thing.y) == pytest.approx((32, 32), abs=4)  # the centre of mass


def test_places_are_found() -> None:
    seen = {thing.colour: (thing.x, thing.y) for thing in look(rgb(pair()))}
    assert seen["red"] == pytest.approx((20, 32), abs=0.1)
    assert seen["blue"] == pytest.approx((46, 33), abs=0.5)  # a star's mass is below its middle


# -- the checker, on what is wrong ---------------------------------------------------------------


def test_verdicts_say_what_differs() -> None:
    """The picture of one scene against the caption of the next: right where the two agree."""
    plain = [k for k, scene in enumerate(scenes()) if scene.relation is None]
    agree = 0
    for k, other in pairwise(plain):
        asked, shown = scenes()[k], scenes()[other]
        a, b = asked.things[0], shown.things[0]
        due = {
            "count": len(asked.things) == len(shown.things),
            "colour": a.colour == b.colour,
            "shape": a.shape == b.shape,
            "size": a.size == b.size,
        }
        agree += check(pictures()[other], asked).verdicts == due
    assert agree >= 0.99 * (len(plain) - 1)


@pytest.mark.parametrize(
    "change", [lambda p: p, lambda p: noisy(blurred(p))], ids=["sharp", "soft"]
)
def test_a_changed_property_fails_alone(change: Callable[[np.ndarray], np.ndarray]) -> None:
    names = {"colour": list(COLOURS), "shape": list(SHAPES), "size": list(SIZES)}
    wrong = tried = 0
    for k, scene in enumerate(scenes()[:60]):
        for name, values in names.items():
            at = values.index(getattr(scene.things[0], name))
            value = values[(at + 1 + k % (len(values) - 1)) % len(values)]
            changed: dict[str, Any] = {name: value}
            things = tuple(replace(thing, **changed) for thing in scene.things)
            if scene.relation is not None:  # only the first of the two is changed
                things = (things[0], scene.things[1])
            alike = len({(thing.colour, thing.shape) for thing in things}) == 1
            if (scene.relation and alike) or (value == "large" and len(things) > 1):
                continue  # no scene, or no room to grow
            result = check(change(rgb(Scene(things, scene.relation))), scene)
            assert not result.passed
            wrong += [n for n, ok in result.verdicts.items() if not ok] != [name]
            tried += 1
    assert tried > 100
    assert wrong <= 0.01 * tried


def test_the_other_way_round() -> None:
    turned = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    for scene, picture in zip(scenes(), pictures(), strict=True):
        if scene.relation is None:
            continue
        back = check(picture, Scene(scene.things, turned[scene.relation]))
        assert [name for name, right in back.verdicts.items() if not right] == ["relation"]
        same = Scene(scene.things[::-1], turned[scene.relation])
        assert check(picture, same).passed


def test_colours_bound_to_the_wrong_things_fail() -> None:
    scene = pair()
    a, b = scene.things
    swapped = Scene((replace(a, colour=b.colour), replace(b, colour=a.colour)), scene.relation)
    result = check(rgb(swapped), scene)
    assert result.verdicts["count"]
    assert not (result.verdicts["colour"] and result.verdicts["shape"])


def test_one_missing_and_one_too_many() -> None:
    asked = Scene(tuple(Thing("green", "ring", "small", x, 20.0) for x in (12.0, 32.0, 52.0)))
    for things in (asked.things[:2], (*asked.things, replace(asked.things[0], y=45.0))):
        verdicts = check(rgb(Scene(things)), asked).verdicts
        assert verdicts == {"count": False, "colour": True, "shape": True, "size": True}
    verdicts = check(rgb(Scene(pair().things[1:])), pair()).verdicts
    assert [name for name, right in verdicts.items() if not right] == ["count", "relation"]


def test_no_picture_at_all() -> None:
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    assert look(white) == ()
    assert not any(check(white, pair()).verdicts.values())
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    for picture in (np.zeros_like(white), noise):
        assert not check(picture, single()).passed


def test_specks_do_not_count() -> None:
    picture = rgb(single()).copy()
    picture[3:6, 3:6] = 0
    assert check(picture, single()).passed


@pytest.mark.parametrize(
    "corners",
    [
        pytest.param([(10, 26), (54, 26), (54, 38), (10, 38)], id="bar"),
        pytest.param([(20, 20), (44, 20), (44, 44), (38, 44), (38, 26), (20, 26)], id="hook"),
        pytest.param([(16, 16), (48, 16), (16, 48), (48, 48)], id="hourglass"),
    ],
)
def test_what_is_none_of_the_shapes_is_unknown(corners: list[tuple[int, int]]) -> None:
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    ImageDraw.Draw(canvas).polygon(corners, COLOURS["red"])
    (thing,) = look(np.array(canvas))
    assert (thing.shape, thing.colour) == ("unknown", "red")


@pytest.mark.parametrize(
    ("tone", "name"),
    [
        ((139, 0, 0), "red"),
        ((255, 90, 90), "red"),
        ((255, 105, 180), "pink"),
        ((125, 75, 40), "brown"),
        ((105, 105, 105), "grey"),
        ((0, 255, 0), "green"),
        ((0, 90, 0), "green"),
        ((0, 0, 128), "blue"),
        ((135, 206, 235), "cyan"),
        ((75, 0, 130), "purple"),
        ((255, 215, 0), "yellow"),
        ((210, 105, 30), "orange"),
        ((50, 50, 50), "black"),
    ],
)
def test_colours_are_named_as_people_name_them(tone: tuple[int, int, int], name: str) -> None:
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    picture[20:44, 20:44] = tone
    (thing,) = look(picture)
    assert (thing.colour, thing.shape) == (name, "square")


def test_things_that_touch_are_told_apart_by_colour() -> None:
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    picture[20:44, 8:32] = COLOURS["red"]
    picture[20:44, 32:56] = COLOURS["blue"]
    seen = {(thing.colour, thing.shape) for thing in look(blurred(picture, 0.7))}
    assert seen == {("red", "square"), ("blue", "square")}
