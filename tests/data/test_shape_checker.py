"""The checker of shapes on known scenes, right and wrong ones."""

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
from undiffuse.data.shapes import (
    COLORS,
    SHAPES,
    SIDE,
    SIZES,
    Scene,
    SceneObject,
    check_scene,
    detect_objects,
)

CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sharp": lambda picture: picture,
    "blurred": blurred,
    "noisy": noisy,
    "soft": lambda picture: noisy(blurred(picture)),
    "faded": faded,
    "at 32 pixels": halved,
}

# -- the checker, on right pictures --------------------------------------------------------------


@pytest.mark.slow
def test_right_pictures_pass_sharp_or_degraded() -> None:
    for name, change in CHANGES.items():
        pairs = zip(pictures(), scenes(), strict=True)
        passed = [check_scene(change(picture), scene).passed for picture, scene in pairs]
        assert np.mean(passed) >= 0.99, name


def test_every_kind_of_object_is_detected() -> None:
    for kind in KINDS:
        (thing,) = detect_objects(blurred(rgb(single(*kind)), 0.7))
        assert (thing.color, thing.shape, thing.size) == kind
        assert (thing.x, thing.y) == pytest.approx((32, 32), abs=4)  # the center of mass


def test_positions_are_detected() -> None:
    seen = {thing.color: (thing.x, thing.y) for thing in detect_objects(rgb(pair()))}
    assert seen["red"] == pytest.approx((20, 32), abs=0.1)
    assert seen["blue"] == pytest.approx((46, 33), abs=0.5)  # a star's mass is below its middle


# -- the checker, on wrong pictures --------------------------------------------------------------


def test_verdicts_name_what_differs() -> None:
    """The picture of one scene against the caption of the next."""
    plain = [k for k, scene in enumerate(scenes()) if scene.relation is None]
    agree = 0
    for k, other in pairwise(plain):
        asked, shown = scenes()[k], scenes()[other]
        a, b = asked.objects[0], shown.objects[0]
        due = {
            "count": len(asked.objects) == len(shown.objects),
            "color": a.color == b.color,
            "shape": a.shape == b.shape,
            "size": a.size == b.size,
        }
        agree += check_scene(pictures()[other], asked).verdicts == due
    assert agree >= 0.99 * (len(plain) - 1)


@pytest.mark.slow
def test_a_changed_property_fails_alone() -> None:
    names = {"color": list(COLORS), "shape": list(SHAPES), "size": list(SIZES)}
    wrong = tried = 0
    for k, scene in enumerate(scenes()[:60]):
        for name, values in names.items():
            at = values.index(getattr(scene.objects[0], name))
            value = values[(at + 1 + k % (len(values) - 1)) % len(values)]
            changed: dict[str, Any] = {name: value}
            objects = tuple(replace(each, **changed) for each in scene.objects)
            if scene.relation is not None:  # only the first of the two is changed
                objects = (objects[0], scene.objects[1])
            alike = len({(each.color, each.shape) for each in objects}) == 1
            if (scene.relation and alike) or (value == "large" and len(objects) > 1):
                continue  # no scene, or no room to grow
            for change in (CHANGES["sharp"], CHANGES["soft"]):
                result = check_scene(change(rgb(Scene(objects, scene.relation))), scene)
                assert not result.passed
                wrong += [n for n, ok in result.verdicts.items() if not ok] != [name]
                tried += 1
    assert tried > 200
    assert wrong <= 0.01 * tried


def test_the_opposite_relation_fails() -> None:
    turned = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    for scene, picture in zip(scenes(), pictures(), strict=True):
        if scene.relation is None:
            continue
        back = check_scene(picture, Scene(scene.objects, turned[scene.relation]))
        assert [name for name, right in back.verdicts.items() if not right] == ["relation"]
        same = Scene(scene.objects[::-1], turned[scene.relation])
        assert check_scene(picture, same).passed


def test_swapped_colors_fail() -> None:
    scene = pair()
    a, b = scene.objects
    swapped = Scene((replace(a, color=b.color), replace(b, color=a.color)), scene.relation)
    result = check_scene(rgb(swapped), scene)
    assert result.verdicts["count"]
    assert not (result.verdicts["color"] and result.verdicts["shape"])


def test_a_missing_and_an_extra_object_fail_the_count() -> None:
    asked = Scene(tuple(SceneObject("green", "ring", "small", x, 20.0) for x in (12.0, 32.0, 52.0)))
    for things in (asked.objects[:2], (*asked.objects, replace(asked.objects[0], y=45.0))):
        verdicts = check_scene(rgb(Scene(things)), asked).verdicts
        assert verdicts == {"count": False, "color": True, "shape": True, "size": True}
    verdicts = check_scene(rgb(Scene(pair().objects[1:])), pair()).verdicts
    assert [name for name, right in verdicts.items() if not right] == ["count", "relation"]


def test_blank_and_noisy_pictures_fail() -> None:
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    assert detect_objects(white) == ()
    assert not any(check_scene(white, pair()).verdicts.values())
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    for picture in (np.zeros_like(white), noise):
        assert not check_scene(picture, single()).passed


def test_specks_do_not_count() -> None:
    picture = rgb(single()).copy()
    picture[3:6, 3:6] = 0
    assert check_scene(picture, single()).passed


def test_other_shapes_are_unknown() -> None:
    others = {
        "bar": [(10, 26), (54, 26), (54, 38), (10, 38)],
        "hook": [(20, 20), (44, 20), (44, 44), (38, 44), (38, 26), (20, 26)],
        "hourglass": [(16, 16), (48, 16), (16, 48), (48, 48)],
    }
    for name, corners in others.items():
        canvas = Image.new("RGB", (SIDE, SIDE), "white")
        ImageDraw.Draw(canvas).polygon(corners, COLORS["red"])
        (found,) = detect_objects(np.array(canvas))
        assert (found.shape, found.color) == ("unknown", "red"), name


def test_colors_are_named_as_people_name_them() -> None:
    names = {
        (139, 0, 0): "red",
        (255, 90, 90): "red",
        (255, 105, 180): "pink",
        (125, 75, 40): "brown",
        (105, 105, 105): "gray",
        (0, 255, 0): "green",
        (0, 90, 0): "green",
        (0, 0, 128): "blue",
        (135, 206, 235): "cyan",
        (75, 0, 130): "purple",
        (255, 215, 0): "yellow",
        (210, 105, 30): "orange",
        (50, 50, 50): "black",
    }
    for rgb_value, name in names.items():
        picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
        picture[20:44, 20:44] = rgb_value
        (found,) = detect_objects(picture)
        assert (found.color, found.shape) == (name, "square"), rgb_value


def test_objects_that_touch_are_told_apart_by_color() -> None:
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    picture[20:44, 8:32] = COLORS["red"]
    picture[20:44, 32:56] = COLORS["blue"]
    seen = {(thing.color, thing.shape) for thing in detect_objects(blurred(picture, 0.7))}
    assert seen == {("red", "square"), ("blue", "square")}
