from itertools import product

import numpy as np
import pytest

from tests.evaluation.fakes import blank, blurred, disc, sample
from undiffuse.evaluation.image_quality import (
    background,
    edge_sharpness,
    laplacian_variance,
    white_background,
    white_share,
)


def ramp(width: int, contrast: int = 240) -> np.ndarray:
    row = np.clip((np.arange(64) - 20) / width, 0, 1) * contrast
    return np.broadcast_to(np.rint(row).astype(np.uint8), (1, 3, 64, 64)).copy()


def test_sharpness_is_two_over_the_width_of_an_edge() -> None:
    for width, contrast in product((1, 2, 4, 8), (80, 240)):
        # The gradient is summed over one more column than the Laplacian: 63 of 62.
        sharpness = edge_sharpness(ramp(width, contrast))[0] * 62 / 63
        assert sharpness == pytest.approx(2 / width, rel=0.03), (width, contrast)


def test_sharpness_does_not_depend_on_the_number_of_edges() -> None:
    small, large = edge_sharpness(disc((0, 0, 0), 8)), edge_sharpness(disc((0, 0, 0), 28))
    assert small[0] == pytest.approx(large[0], rel=0.1)
    assert laplacian_variance(disc((0, 0, 0), 28)) > 2 * laplacian_variance(disc((0, 0, 0), 8))


def test_more_blur_lowers_both_measures_more() -> None:
    pictures = sample().pictures.pictures[:60]
    for measure in (edge_sharpness, laplacian_variance):
        sharp, once, twice = (measure(blurred(pictures, n)).mean() for n in (0, 1, 3))
        assert twice < once < 0.8 * sharp


def test_a_blank_picture_has_no_edges() -> None:
    assert edge_sharpness(blank(2)).tolist() == [0.0, 0.0]
    assert laplacian_variance(blank(1)).tolist() == [0.0]


def test_the_background_is_connected_to_the_border() -> None:
    ring = disc((200, 30, 30), 24)
    ring[disc((0, 0, 0), 16) == 0] = 255  # white inside, as the white of an eye
    region = background(ring)[0]
    assert region[0].all()
    assert not region[32, 32]
    assert (region == (np.hypot(*(np.mgrid[:64, :64] - 31.5)) > 24)).all()


def test_the_background_is_found_through_a_maze() -> None:
    picture = blank(1, 0)
    for row in range(0, 64, 4):
        picture[..., row, :] = 255
        picture[..., row + 1 : row + 4, 63 if row % 8 else 0] = 255
    picture[..., 0, :62] = picture[..., :, 0] = 255
    light = picture[0].min(0) == 255
    assert (background(picture)[0] == light).all()


def test_the_white_share_counts_background_pixels_within_4_of_white() -> None:
    real = white_background(disc((200, 30, 30)))
    other = disc((30, 30, 200), 24)
    assert white_share(other, real).tolist() == [1.0]  # another shape is no fault
    gray = np.minimum(other, 240)
    assert white_share(gray, real).tolist() == [0.0]
    half = other.copy()
    half[..., :32] = np.minimum(half[..., :32], 250)
    assert white_share(half, real)[0] == pytest.approx(0.5, abs=0.02)
    assert white_share(np.minimum(other, 252), real).tolist() == [1.0]
    assert white_share(disc((30, 30, 200), ground=100), real).tolist() == [0.0]


def test_a_halo_lowers_the_white_share_and_soft_edges_do_not() -> None:
    real = white_background(disc((200, 30, 30)))
    soft = disc((200, 30, 30))
    soft[disc((0, 0, 0), 21) == 0] = np.minimum(soft, 235)[disc((0, 0, 0), 21) == 0]
    assert white_share(soft, real).tolist() == [1.0]
    halo = disc((200, 30, 30))
    halo[disc((0, 0, 0), 26) == 0] = np.minimum(halo, 235)[disc((0, 0, 0), 26) == 0]
    assert white_share(halo, real)[0] < 0.9


def test_real_backgrounds_are_white() -> None:
    pictures = sample().pictures.pictures
    white = white_background(pictures)
    judged = white.mean((1, 2)) > 0.2
    assert judged.sum() > 150
    assert (white_share(pictures[judged], white[judged]) == 1.0).all()
