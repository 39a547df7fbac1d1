"""Scenes: what the captions say is counted, located and measured in the pictures."""

from collections import Counter
from itertools import count as counter

import numpy as np
import pytest

from undiffuse.data.scene_layers import COLORS, plural, tint
from undiffuse.data.scene_things import Thing, thing_of
from undiffuse.data.scenes import KINDS, RELATIONS, Scene, SceneMaker
from undiffuse.errors import UserError
from undiffuse.layout.grounds import GROUNDS, draw_ground
from undiffuse.layout.layers import Layer, paste

SIDE = 64


def square(color: tuple[int, int, int], *, size: int = 32) -> np.ndarray:
    """An opaque square in the middle."""
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    start = (SIDE - size) // 2
    picture[start : start + size, start : start + size] = (*color, 255)
    return picture


GREEN = Thing(square((0, 255, 0)), "apple", "flat")
BLUE = Thing(square((0, 0, 255)), "mouse", "flat")
SHADOW = Thing(square((0, 0, 0)), "saxophone", "solid", tintable=True)


def scenes(things: list[Thing], number: int = 150, kind: str = "") -> list[Scene]:
    maker = SceneMaker(things)
    made = (maker.scene(seed=1, step=step) for step in counter())
    return [next(s for s in made if not kind or s.truth.kind == kind) for _ in range(number)]


def center(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def blobs(mask: np.ndarray) -> int:
    """Connected parts of a mask, by flood fill."""
    left, found = mask.copy(), 0
    while left.any():
        found += 1
        waiting = [tuple(np.argwhere(left)[0])]
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < left.shape[0] and 0 <= x < left.shape[1] and left[y, x]:
                left[y, x] = False
                waiting += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return found


def test_a_scene_depends_on_seed_and_step_only() -> None:
    one, other = SceneMaker([GREEN, BLUE, SHADOW]), SceneMaker([GREEN, BLUE, SHADOW])
    other.scene(seed=0, step=1)
    first, second = one.scene(seed=7, step=3, index=2), other.scene(seed=7, step=3, index=2)
    assert first.caption == second.caption
    np.testing.assert_array_equal(first.picture, second.picture)
    assert any(one.scene(7, 3, i).caption != first.caption for i in range(3, 9)), (
        "the index changes nothing"
    )


def test_every_kind_of_scene_is_made_and_premultiplied() -> None:
    made = scenes([GREEN, BLUE, SHADOW], 400)
    kinds = Counter(scene.truth.kind for scene in made)
    assert kinds.keys() == KINDS.keys()
    for kind, share in KINDS.items():
        assert kinds[kind] / 400 == pytest.approx(share, abs=0.08)
    for scene in made:
        assert scene.picture.shape == (SIDE, SIDE, 4)
        assert (scene.picture[..., :3] <= scene.picture[..., 3:]).all(), scene.caption


def test_as_many_things_are_seen_as_the_caption_counts() -> None:
    words = {"two": 2, "three": 3, "four": 4, "five": 5}
    seen = set()
    for scene in scenes([GREEN, BLUE], 60, "count"):
        assert blobs(scene.picture[..., 3] > 127) == scene.truth.count
        said = scene.caption.split()[0]
        assert words.get(said) == scene.truth.count or said == str(scene.truth.count)
        assert scene.caption.endswith(("apples", "mice"))
        seen.add(said)
    assert {"two", "2"} <= seen


def test_a_tinted_thing_has_the_color_that_the_caption_says() -> None:
    seen = set()
    for scene in scenes([SHADOW], 60, "color"):
        color = scene.truth.colors[0]
        assert color in scene.caption
        assert "saxophone" in scene.caption
        pixels = scene.picture[scene.picture[..., 3] == 255][:, :3]
        np.testing.assert_array_equal(pixels, np.broadcast_to(COLORS[color], pixels.shape))
        seen.add(color)
    assert len(seen) > 6


def test_two_things_stand_as_the_relation_says() -> None:
    seen = set()
    for scene in scenes([GREEN, BLUE], 120, "relation"):
        apple = center((scene.picture[..., 1] > 200) & (scene.picture[..., 3] > 200))
        mouse = center((scene.picture[..., 2] > 200) & (scene.picture[..., 3] > 200))
        first, second = (apple, mouse) if scene.truth.names[0] == "apple" else (mouse, apple)
        relation = scene.truth.relation
        if relation in ("left of", "right of"):
            assert (first[0] < second[0]) == (relation == "left of")
        elif relation in ("above", "below"):
            assert (first[1] < second[1]) == (relation == "above")
        seen.add(relation)
    assert seen == set(RELATIONS)


def test_the_thing_in_front_covers_the_other_one() -> None:
    front = [s for s in scenes([GREEN, BLUE], 150, "relation") if s.truth.relation == "in front of"]
    assert len(front) > 10
    for scene in front:
        solid = scene.picture[..., 3] > 200
        first, second = (1, 2) if scene.truth.names[0] == "apple" else (2, 1)
        small = solid & (scene.picture[..., first] > 200)
        large = solid & (scene.picture[..., second] > 200)
        assert blobs(small) == 1
        rows, columns = np.nonzero(small)
        assert small[rows.min() : rows.max(), columns.min() : columns.max()].all()
        assert large.sum() > small.sum()


def test_small_and_large_things_differ_in_size() -> None:
    widths: dict[str, list[int]] = {"small": [], "large": []}
    for scene in scenes([GREEN], 40, "size"):
        widths[scene.truth.size].append(int((scene.picture[..., 3] > 127).any(0).sum()))
    assert max(widths["small"]) < SIDE * 0.45
    assert min(widths["large"]) > SIDE * 0.85


@pytest.mark.parametrize("name", GROUNDS)
def test_a_ground_is_opaque_and_has_a_floor(name: str) -> None:
    canvas, floor = draw_ground(name, SIDE, np.random.default_rng(0))
    assert canvas.shape == (SIDE, SIDE, 4)
    assert (canvas[..., 3] == 255).all()
    assert SIDE * 0.5 < floor <= SIDE


def test_things_on_a_ground_do_not_have_its_color() -> None:
    for scene in scenes([SHADOW], 60, "ground"):
        assert scene.truth.colors[0] not in GROUNDS[scene.truth.ground].clash
        assert any(words in scene.caption for words in GROUNDS[scene.truth.ground].spellings)


def test_pasting_is_the_over_operator() -> None:
    rng = np.random.default_rng(3)
    canvas, pixels = (rng.integers(0, 256, (8, 8, 4), np.uint8) for _ in range(2))
    for layer in (canvas, pixels):
        layer[..., :3] = layer[..., :3] * (layer[..., 3:] / 255)
    expected = pixels + canvas * (1 - pixels[..., 3:] / 255)
    paste(canvas, Layer(pixels, 0, 0))
    np.testing.assert_allclose(canvas, expected, atol=1)
    paste(canvas, Layer(pixels, 100, 0))  # outside: nothing happens


def test_tinting_keeps_the_alpha() -> None:
    pixels = np.array([[[0, 0, 0, 128]]], np.uint8)
    np.testing.assert_array_equal(tint(pixels, "red")[0, 0], [110, 23, 23, 128])


def test_plurals() -> None:
    assert [plural(n) for n in ("dog", "polar bear", "mouse", "box", "cherry", "fish")] == [
        "dogs", "polar bears", "mice", "boxes", "cherries", "fish",
    ]  # fmt: skip


def test_records_of_people_faces_and_long_names_make_no_things() -> None:
    record = {"name": "dog", "group": "animals & nature", "tone": "", "family": "flat"}
    found = thing_of(GREEN.picture, record)
    assert found is not None
    assert (found.name, found.countable, found.tintable) == ("dog", True, False)
    for change in ({"tone": "dark skin tone"}, {"group": "flags"}, {"name": "a b c d"},
                   {"name": "red apple"}):  # fmt: skip
        assert thing_of(GREEN.picture, {**record, **change}) is None


def test_no_things_and_different_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="nothing to make scenes of"):
        SceneMaker([])
    with pytest.raises(UserError, match="one size"):
        SceneMaker([GREEN, Thing(np.zeros((32, 32, 4), np.uint8), "dot")])
