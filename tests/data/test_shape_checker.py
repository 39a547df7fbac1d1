"""The checker of shapes against scenes that are known, right ones and wrong ones."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.data.scenes import (
    KINDS,
    blurred,
    faded,
    halved,
    noisy,
    pair,
    pictures,
    rgb,
    scenes,
    single,
)
from undiffuse.data.shapes import COLOURS, SHAPES, SIDE, SIZES, Scene, Thing, check, look

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
