"""The initial image of a model that draws transparency."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from undiffuse.pipeline.init_image import InitImage, read_init_image


@pytest.fixture
def clear(tmp_path: Path) -> Path:
    """A red square in an empty picture, 8x4: wider than high."""
    image = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    image.paste((200, 40, 0, 128), (2, 1, 6, 3))
    image.save(tmp_path / "clear.png")
    return tmp_path / "clear.png"


def test_transparency_is_read_and_premultiplied(clear: Path) -> None:
    image = read_init_image({"start": clear}, 8, 4)
    assert image is not None
    assert image.pixels.shape == (8, 8, 4)
    assert image.pixels[4, 4].tolist() == [200, 40, 0, 128]
    assert (image.pixels[0, :, 3] == 0).all()  # around it
    alpha = 128 / 255
    wanted = np.array([200 / 255 * alpha, 40 / 255 * alpha, 0, alpha]) * 2 - 1
    np.testing.assert_allclose(image.normalized[0, :, 4, 4], wanted, atol=1e-6)
    assert (image.normalized[0, :, 0, 0] == -1).all()


def test_without_transparency_it_is_on_white(clear: Path) -> None:
    image = read_init_image({"start": clear}, 8, 3)
    assert image is not None
    assert image.pixels[0, 0].tolist() == [255, 255, 255]
    assert image.pixels[4, 4].tolist() == [227, 147, 127]


@pytest.mark.parametrize(("alpha", "drawn"), [(255, [255, 255, 255, 255]), (254, [9, 9, 9, 0])])
def test_what_is_drawn_into_an_opaque_image_is_opaque(alpha: int, drawn: list[int]) -> None:
    own = np.full((2, 2, 4), 7, np.uint8)
    own[..., 3] = alpha
    mask = np.array([[True, False], [False, False]])
    pixels = np.full((1, 2, 2, 4), 9, np.uint8)
    pixels[..., 3] = 0
    pasted = InitImage(own, mask=mask).paste_unmasked(pixels)
    assert pasted[0, 0, 0].tolist() == drawn
    assert (pasted[0][~mask] == own[~mask]).all()
