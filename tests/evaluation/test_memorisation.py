import numpy as np
import pytest

from tests.evaluation.fakes import KnowingEncoder, blurred, sample
from undiffuse.evaluation.dataset import CELL, CONCEPT
from undiffuse.evaluation.memorisation import Bank, CopyTest, low_pass, nearest

MATERIAL = sample()


class PixelEncoder(KnowingEncoder):
    """Sees pictures alone, so that a blurred copy is near but not equal."""

    def __init__(self) -> None:
        super().__init__(MATERIAL)
        self.known = {}


@pytest.fixture(scope="module")
def bank() -> Bank:
    rows = MATERIAL.plain_rows("train")
    pictures = MATERIAL.pictures.pictures[rows]
    return Bank.of(pictures, PixelEncoder().encode_image(pictures), MATERIAL.field(rows, "concept"))


@pytest.fixture(scope="module")
def copy_test(bank: Bank) -> CopyTest:
    real = MATERIAL.pictures.pictures[MATERIAL.plain_rows(CELL, CONCEPT)]
    return CopyTest.calibrate(bank.look_up(real, PixelEncoder().encode_image(real)))


def test_nearest_is_the_brute_force_answer() -> None:
    rng = np.random.default_rng(0)
    queries, rows = rng.random((70, 12), np.float32), rng.random((200, 12), np.float32)
    shows = rng.integers(20, size=200)
    found = nearest(queries, rows, shows)
    for query, row, ratio in zip(queries, found.row, found.ratio, strict=True):
        distance = np.linalg.norm(rows.astype(np.float64) - query, axis=1)
        assert row == distance.argmin()
        other = distance[shows != shows[row]].min()
        assert ratio == pytest.approx(distance.min() / other, rel=1e-4)


def test_planted_copies_are_found(bank: Bank, copy_test: CopyTest) -> None:
    rows = MATERIAL.plain_rows("train")[::4]
    for copies in (MATERIAL.pictures.pictures[rows], blurred(MATERIAL.pictures.pictures[rows])):
        hits = copy_test(bank.look_up(copies, PixelEncoder().encode_image(copies)), bank)
        assert hits.mean() > 0.9


def test_pictures_never_trained_on_are_no_copies(bank: Bank, copy_test: CopyTest) -> None:
    real = MATERIAL.pictures.pictures[MATERIAL.plain_rows(CELL, CONCEPT)]
    assert copy_test(bank.look_up(real, PixelEncoder().encode_image(real)), bank).mean() <= 0.1


def test_mixtures_are_no_copies(bank: Bank, copy_test: CopyTest) -> None:
    rows = MATERIAL.plain_rows("train")
    pictures = MATERIAL.pictures.pictures.astype(np.float32)
    mixed = (0.5 * pictures[rows] + 0.5 * pictures[np.roll(rows, 40)]).astype(np.uint8)
    assert copy_test(bank.look_up(mixed, PixelEncoder().encode_image(mixed)), bank).mean() < 0.05


def test_low_pass_averages_squares() -> None:
    picture = np.zeros((1, 3, 64, 64), np.uint8)
    picture[0, 1, :4, :2] = 255
    small = low_pass(picture).reshape(3, 16, 16)
    assert small[1, 0, 0] == pytest.approx(0.5)
    assert small.sum() == pytest.approx(0.5)
