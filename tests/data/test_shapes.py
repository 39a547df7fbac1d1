"""Scenes of shapes: pictures, captions and the data set."""

from collections import Counter
from itertools import product

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
    COLORS,
    RELATIONS,
    SHAPES,
    SIDE,
    SIZES,
    Scene,
    SceneObject,
    check_scene,
    draw_scene,
    random_scene,
    scene_at,
    scene_caption,
    shapes_samples,
)
from undiffuse.data.shards import read_shards, write_shards


def test_a_picture_is_opaque_on_white_with_anti_aliased_edges() -> None:
    picture = draw_scene(single("black"))
    assert picture.shape == (SIDE, SIDE, 4)
    assert picture.dtype == np.uint8
    assert (picture[..., 3] == 255).all()
    assert (picture[0] == 255).all()
    assert tuple(picture[32, 32, :3]) == COLORS["black"]
    between = (picture[..., 0] > 30) & (picture[..., 0] < 250)
    assert 30 < between.sum() < 120


def test_a_shape_fills_its_box() -> None:
    for shape, size in product(SHAPES, SIZES):
        dark = (255.0 - rgb(single("black", shape, size))[..., 0]) / 230  # (H, W)
        sides = [(dark > 0.02).any(axis).sum() for axis in (0, 1)]
        assert 0 <= max(sides) - 2 * SIZES[size] <= 1.5, (shape, size)
        where = np.flatnonzero(dark.max(0))
        assert (where[0] + where[-1]) / 2 + 0.5 == pytest.approx(32, abs=0.51), (shape, size)


def test_a_circle_has_the_area_of_a_circle() -> None:
    dark = (255.0 - rgb(single("black"))[..., 0]) / 230
    assert dark.sum() == pytest.approx(np.pi * SIZES["large"] ** 2, rel=0.02)


def test_captions_name_count_size_color_shape_and_relation() -> None:
    captions = {
        single(): "a large red circle",
        Scene(single("cyan", "cross").objects * 2): "two large cyan crosses",
        Scene(single("black", "star", "small").objects * 4): "four small black stars",
        pair(): "a small red circle left of a large blue star",
        pair("above"): "a small red circle above a large blue star",
    }
    for scene, text in captions.items():
        assert scene_caption(scene) == text


def test_a_scene_without_a_caption_is_refused() -> None:
    for objects, relation in (
        ((), None),
        (single().objects * 5, None),
        (pair().objects, None),
        (pair().objects, "near"),
        (single().objects * 2, "above"),
        (single().objects, "above"),
    ):
        with pytest.raises(ValueError, match="objects"):
            Scene(objects, relation)


# -- the set -------------------------------------------------------------------------------------


def test_a_sample_depends_only_on_seed_and_index() -> None:
    few, more = list(shapes_samples(3, seed=9)), list(shapes_samples(6, seed=9))
    for index, (a, b) in enumerate(zip(few, more, strict=False)):
        assert (a.key, a.record) == (b.key, b.record)
        assert np.array_equal(a.picture, draw_scene(scene_at(index, 9)))
        assert np.array_equal(a.picture, b.picture)
    assert len({sample.key for seed in (1, 2) for sample in shapes_samples(4, seed)}) == 8
    assert scene_at(0, 1) != scene_at(1, 0)
    assert scene_at(2**64 - 1, 2**64 - 1) == scene_at(2**64 - 1, 2**64 - 1)


def test_the_data_set_never_changes() -> None:
    """Another version of NumPy must draw the same."""
    assert [scene_caption(scene_at(index, 0)) for index in range(4)] == [
        "a large red circle",
        "two small yellow diamonds",
        "a small green ring above a small yellow star",
        "four large black diamonds",
    ]
    assert scene_at(0, 0) == Scene((SceneObject("red", "circle", "large", 32.09, 23.55),))


def test_all_properties_are_about_equally_frequent() -> None:
    related = [scene for scene in scenes() if scene.relation is not None]
    assert 0.4 < len(related) / COUNT < 0.6
    first = [scene.objects[0] for scene in scenes()]
    counts = [len(scene.objects) for scene in scenes() if scene.relation is None]
    for names, found in (
        (COLORS, [thing.color for thing in first]),
        (SHAPES, [thing.shape for thing in first]),
        (SIZES, [thing.size for thing in first]),
        (RELATIONS, [scene.relation for scene in related]),
        ((1, 2, 3, 4), counts),
    ):
        tally = Counter(found)
        assert set(tally) == set(names)
        assert min(tally.values()) > 0.4 * len(found) / len(names)


def test_objects_keep_a_distance_and_stay_inside() -> None:
    for scene in scenes():
        reach = [(thing, SIZES[thing.size]) for thing in scene.objects]
        for k, (a, r) in enumerate(reach):
            assert r < a.x < SIDE - r
            assert r < a.y < SIDE - r
            for b, s in reach[:k]:
                assert max(abs(a.x - b.x), abs(a.y - b.y)) >= r + s + 3.9


def test_random_scenes_take_any_generator_and_seeds_have_a_range() -> None:
    one, two = (random_scene(np.random.default_rng(3)) for _ in range(2))
    assert one == two
    with pytest.raises(ValueError, match="key"):
        scene_at(0, seed=-1)


def test_shards_hold_captions_and_scenes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("shapes")
    paths = write_shards(shapes_samples(5, seed=2), folder, prefix="shapes")
    for index, sample in enumerate(read_shards(paths)):
        scene = scene_at(index, 2)
        assert sample.record["caption"] == scene_caption(scene)
        assert sample.record["scene"]["relation"] == scene.relation
        assert SceneObject(**sample.record["scene"]["objects"][0]) == scene.objects[0]
        assert check_scene(sample.picture[..., :3], scene).passed
