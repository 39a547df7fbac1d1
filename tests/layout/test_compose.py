"""Things are where a scene says, and pictures are composed of their drawings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.data.shapes import connected_components
from undiffuse.layout.boxes import RELATION_NAMES, Box, place
from undiffuse.layout.compose import Composition, premultiply
from undiffuse.layout.grounds import GROUNDS
from undiffuse.layout.layers import bounds_of, resized
from undiffuse.layout.scene import Group, Node, Pair, Row, Scene
from undiffuse.layout.words import ACTION, GROUND_PATTERNS, HOLDING, RELATIONS

SIDE = 64
GROUP = st.builds(Group, st.sampled_from(["cat", "dog", "hat"]), st.integers(1, 12),
                  st.sampled_from([0.45, 0.6, 1.0]))  # fmt: skip


def _larger(node: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    rows = st.lists(node, min_size=2, max_size=3).map(lambda parts: Row(tuple(parts)))
    return rows | st.builds(Pair, st.sampled_from(RELATION_NAMES), node, node)


NODE: st.SearchStrategy[Node] = st.recursive(GROUP, _larger, max_leaves=4)


def drawing(color: tuple[int, int, int], width: int = 40, height: int = 30) -> np.ndarray:
    """A rectangle on a transparent picture."""
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    picture[20 : 20 + height, 10 : 10 + width] = (*color, 255)
    return picture


RED, BLUE = drawing((255, 0, 0)), drawing((0, 0, 255), 20, 40)


def center(picture: np.ndarray, channel: int) -> np.ndarray:
    """Row and column of the middle of what has a color."""
    mask = (picture[..., channel] > 200) & (picture[..., 3] > 200)
    return np.argwhere(mask).mean(0)


@given(NODE)
def test_every_thing_has_a_box_in_the_picture(node: Node) -> None:
    placed = place(node)
    assert len(placed) == sum(group.count for group in Scene(node).things)
    for one in placed:
        box = one.box.fit(30, 20)
        assert min(box.left, box.top) > -1e-9
        assert max(box.left + box.width, box.top + box.height) < 1 + 1e-9
        assert box.width / box.height == pytest.approx(1.5)
        assert min(box.width, box.height) > 0


@given(st.floats(0.1, 1), st.floats(0.1, 1), st.integers(1, 99), st.integers(1, 99))
def test_a_thing_fills_its_box_in_one_direction(
    width: float, height: float, across: int, down: int
) -> None:
    fitted = Box(0.0, 0.0, width, height).fit(across, down)
    assert fitted.width == pytest.approx(width) or fitted.height == pytest.approx(height)
    assert fitted.width <= width + 1e-9
    assert fitted.height <= height + 1e-9


@pytest.mark.parametrize("count", range(2, 13))
def test_equal_things_do_not_touch(count: int) -> None:
    picture = Composition(Scene(Group("cat", count))).compose([RED], 0, 0)
    drawn = picture[..., 3] > 0
    assert len(np.unique(connected_components(drawn.astype(np.int64))[drawn])) == count


@pytest.mark.parametrize(
    ("relation", "axis", "sign"),
    [("left of", 1, -1), ("right of", 1, 1), ("above", 0, -1), ("below", 0, 1), ("on", 0, -1),
     ("beside", 1, -1), (ACTION, 1, -1)],
)  # fmt: skip
def test_relations_are_seen(relation: str, axis: int, sign: int) -> None:
    composition = Composition(Scene(Pair(relation, Group("cat"), Group("dog"))))
    picture = composition.compose([RED, BLUE], 0, 0)
    difference = center(picture, 0)[axis] - center(picture, 2)[axis]
    assert sign * difference > SIDE / 8


def test_what_is_in_front_hides_what_is_behind() -> None:
    front = Composition(Scene(Pair("in front of", Group("cat"), Group("dog"))))
    behind = Composition(Scene(Pair("behind", Group("dog"), Group("cat"))))
    one, other = front.compose([RED, BLUE], 0, 0), behind.compose([BLUE, RED], 0, 0)
    assert np.array_equal(one, other)
    both = (one[..., 0] > 200) & (one[..., 2] > 200)
    assert not both.any()


def test_one_drawing_serves_equal_things() -> None:
    composition = Composition(Scene(Row((Group("dog"), Group("cat"), Group("dog", 2)))))
    assert composition.texts == ["dog", "cat"]
    assert composition.note == "composed of dog, cat, 2 x dog"


@pytest.mark.parametrize("ground", GROUNDS)
def test_things_stand_on_a_ground(ground: str) -> None:
    composition = Composition(Scene(Group("cat"), ground))
    picture = composition.compose([drawing((255, 0, 255))], 3, 4)
    assert (picture[..., 3] == 255).all()
    thing = (picture == (255, 0, 255, 255)).all(-1)
    assert 0.1 < thing.mean() < 0.5
    assert np.array_equal(picture, composition.compose([drawing((255, 0, 255))], 3, 4))
    assert ground in composition.note


def test_every_relation_that_is_read_has_places() -> None:
    assert {*RELATION_NAMES} == {*RELATIONS.values(), ACTION, HOLDING} - {"between"}


def test_every_ground_can_be_said() -> None:
    assert GROUND_PATTERNS.keys() == GROUNDS.keys()
    for ground, pattern in GROUND_PATTERNS.items():
        for spelling in GROUNDS[ground].spellings:
            assert pattern.fullmatch(f"a cat {spelling}"), spelling


def test_an_empty_drawing_leaves_its_place_empty() -> None:
    empty = np.zeros_like(RED)
    picture = Composition(Scene(Row((Group("cat"), Group("dog"))))).compose([RED, empty], 0, 0)
    assert (picture[..., 3] > 0).any()
    assert (center(picture, 0) > 0).all()


def test_transparent_colors_do_not_shine_through() -> None:
    straight = np.array([[[200, 100, 0, 128], [200, 100, 0, 0]]], np.uint8)
    assert premultiply(straight).tolist() == [[[100, 50, 0, 128], [0, 0, 0, 0]]]


def test_edges_keep_their_color_when_they_are_resized() -> None:
    premultiplied = np.zeros((32, 32, 4), np.uint8)
    premultiplied[8:24, 8:24] = (50, 50, 50, 128)
    small = resized(premultiplied, bounds_of(premultiplied), 5, 7).astype(int)
    assert small.shape == (7, 5, 4)
    assert np.abs(small - (50, 50, 50, 128)).max() <= 1
    padded = resized(premultiplied, (0, 0, 32, 32), 7, 7).astype(int)
    assert (padded[..., :3] <= padded[..., 3:]).all()
