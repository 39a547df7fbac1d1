"""Shapes: how they are drawn, captioned and kept."""

from collections import Counter

import numpy as np
import pytest

from tests.data.scenes import (
    COUNT,
    pair,
    rgb,
    scenes,
    single,
)
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
    random_scene,
    scene_at,
    shapes_samples,
)
from undiffuse.data.shards import read_shards, write_shards


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
