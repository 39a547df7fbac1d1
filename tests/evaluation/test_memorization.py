"""Copies of training pictures are found, and other pictures are not taken for copies."""

import numpy as np
import pytest

from tests.evaluation.fakes import KnowingEncoder, blurred, sample
from undiffuse.data.split import HELD_OUT_CONCEPT, HELD_OUT_PAIR
from undiffuse.evaluation.memorization import (
    Neighbors,
    TrainingIndex,
    calibrate,
    downsample,
    nearest_neighbors,
)
from undiffuse.evaluation.protocols import Pictures

DATA = sample()
PICTURES = DATA.pictures.pictures
TRAINED = DATA.plain_rows("train")
HELD_OUT = PICTURES[DATA.plain_rows(HELD_OUT_PAIR, HELD_OUT_CONCEPT)]


class PixelEncoder(KnowingEncoder):
    """Knows no picture, so that a blurred copy is near but not equal."""

    def __init__(self) -> None:
        super().__init__(DATA)
        self.known = {}


@pytest.fixture(scope="module")
def index() -> TrainingIndex:
    pictures = PICTURES[TRAINED]
    concepts = DATA.column(TRAINED, "concept")
    return TrainingIndex.build(pictures, PixelEncoder().encode_image(pictures), concepts)


def search(index: TrainingIndex, pictures: Pictures) -> Neighbors:
    return index.search(pictures, PixelEncoder().encode_image(pictures))


def copied(index: TrainingIndex, pictures: Pictures) -> float:
    """The share of copies, by the thresholds from real held-out pictures."""
    thresholds = calibrate(search(index, HELD_OUT))
    return float(index.find_copies(search(index, pictures), thresholds).mean())


def test_nearest_neighbors_equal_a_brute_force_search() -> None:
    rng = np.random.default_rng(0)
    queries, rows = rng.random((70, 12), np.float32), rng.random((200, 12), np.float32)
    concepts = rng.integers(20, size=200)
    found = nearest_neighbors(queries, rows, concepts)
    for query, row, ratio in zip(queries, *found, strict=True):
        distance = np.linalg.norm(rows.astype(np.float64) - query, axis=1)
        assert row == distance.argmin()
        other = distance[concepts != concepts[row]].min()
        assert ratio == pytest.approx(distance.min() / other, rel=1e-4)


def test_exact_and_blurred_copies_are_found(index: TrainingIndex) -> None:
    for copies in (PICTURES[TRAINED[::4]], blurred(PICTURES[TRAINED[::4]])):
        assert copied(index, copies) > 0.9


def test_held_out_pictures_and_mixtures_are_no_copies(index: TrainingIndex) -> None:
    assert copied(index, HELD_OUT) <= 0.1
    one, other = (PICTURES[rows].astype(np.float32) for rows in (TRAINED, np.roll(TRAINED, 40)))
    assert copied(index, (0.5 * one + 0.5 * other).astype(np.uint8)) < 0.05


def test_downsampling_averages_blocks() -> None:
    picture = np.zeros((1, 3, 64, 64), np.uint8)
    picture[0, 1, :4, :2] = 255
    small = downsample(picture).reshape(3, 16, 16)
    assert small[1, 0, 0] == pytest.approx(0.5)
    assert small.sum() == pytest.approx(0.5)
