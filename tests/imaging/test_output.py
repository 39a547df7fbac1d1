"""Size, background and formats of finished pictures; tracing, compared with a renderer."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from undiffuse.errors import UserError
from undiffuse.imaging.output import Output, check_format, encode_picture
from undiffuse.imaging.vector import MAX_BYTES, MAX_PATHS, encode_svg, quantize, to_lab

# Drawn like the flat, the outlined and the shaded emoji families.
DRAWINGS = {
    "flat": '<path d="M128 70c40-40 100-10 90 60-8 60-50 100-90 90-40 10-82-30-90-90-10-70 50-100 '
    '90-60z" fill="#d33"/><path d="M128 70c0-20 10-40 30-50" stroke="#642" stroke-width="10" '
    'fill="none"/><ellipse cx="165" cy="45" rx="30" ry="14" fill="#4a4"/>',
    "outlined": '<g stroke="#222" stroke-width="8"><rect x="50" y="110" width="156" height="120" '
    'fill="#e8c27a"/><polygon points="30,115 128,30 226,115" fill="#b43"/><rect x="110" y="160" '
    'width="40" height="70" fill="#753"/></g><circle cx="215" cy="40" r="22" fill="#fd4"/>',
    "shaded": '<defs><linearGradient id="g" x2="0" y2="1"><stop stop-color="#fd5"/><stop '
    'offset="1" stop-color="#f90"/></linearGradient></defs><circle cx="128" cy="128" r="110" '
    'fill="url(#g)"/><circle cx="90" cy="100" r="14" fill="#333"/><circle cx="166" cy="100" '
    'r="14" fill="#333"/><path d="M70 150q58 70 116 0" fill="none" stroke="#333" '
    'stroke-width="12"/>',
}


def render(svg: str) -> np.ndarray:
    resvg = pytest.importorskip("resvg_py")
    png = bytes(resvg.svg_to_bytes(svg_string=svg, width=256, height=256))
    return np.array(Image.open(BytesIO(png)).convert("RGBA"))


def on_white(pixels: np.ndarray) -> np.ndarray:
    rgba = pixels.astype(np.float64)
    return rgba[..., :3] * rgba[..., 3:] / 255 + 255 - rgba[..., 3:]


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_traced_picture_is_small_and_looks_like_its_pixels(name: str) -> None:
    pytest.importorskip("vtracer")
    body = DRAWINGS[name]
    pixels = render(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256">{body}</svg>')
    svg = encode_svg(pixels)
    again = render(svg.decode())
    error = ((on_white(again) - on_white(pixels)) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 28
    assert np.abs(again[..., 3].astype(float) - pixels[..., 3]).mean() < 4  # transparency is kept
    assert len(svg) <= MAX_BYTES
    assert 1 < svg.count(b"<path") <= MAX_PATHS
    assert encode_svg(pixels) == svg


def test_an_empty_picture_is_an_empty_svg() -> None:
    pytest.importorskip("vtracer")
    svg = encode_svg(np.zeros((64, 64, 4), np.uint8))
    assert not render(svg.decode()).any()


@pytest.mark.slow
def test_noise_is_cut_down_to_the_limits() -> None:
    pytest.importorskip("vtracer")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    svg = encode_svg(noise)
    assert len(svg) <= MAX_BYTES
    assert svg.count(b"<path") <= MAX_PATHS


def test_lab_is_that_of_the_standard() -> None:
    """Values of the sRGB primaries as published (Lindbloom)."""
    rgb = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]])
    wanted = [[100, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86],
              [0, 0, 0]]  # fmt: skip
    np.testing.assert_allclose(to_lab(rgb), wanted, atol=0.1)


def test_quantization_keeps_a_picture_of_few_colors() -> None:
    colors = np.array([[250, 10, 10, 255], [10, 200, 30, 255], [0, 0, 0, 0]], np.uint8)
    pixels = colors[np.random.default_rng(1).integers(0, 3, (32, 32))]
    np.testing.assert_array_equal(quantize(pixels, 8), pixels)


def test_a_picture_is_reduced_by_area_and_enlarged_smoothly() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (128, 128, 3)).astype(np.uint8)
    means = pixels.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(Output(64).render(pixels) - means).max() <= 1.0  # two passes round
    assert Output(512).render(pixels).shape == (512, 512, 3)
    assert Output().render(pixels) is pixels


def test_empty_pixels_do_not_darken_the_edge() -> None:
    pixels = np.zeros((128, 128, 4), np.uint8)
    pixels[:, :63] = (200, 100, 50, 255)
    small = Output(64).render(pixels)
    assert np.abs(small[:, :32, :3].astype(int) - (200, 100, 50)).max() <= 2
    assert np.abs(small[:, 31, 3].astype(int) - 128).max() <= 1


def test_the_background_is_blended_by_alpha() -> None:
    pixels = np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    blended = Output(None, "#00f").render(pixels)
    np.testing.assert_array_equal(blended, [[[255, 0, 0], [0, 0, 255], [0, 0, 127]]])
    np.testing.assert_array_equal(Output(None, "white").render(pixels)[0, 1], [255] * 3)
    assert Output(None, "transparent").render(pixels) is pixels


@pytest.mark.parametrize(
    ("size", "background"), [(100, None), (True, None), (64, "#12"), (64, "red"), (None, "#ggg")]
)
def test_a_bad_size_or_background_is_one_line(size: int | None, background: str | None) -> None:
    with pytest.raises(UserError, match="unknown: ") as caught:
        Output(size, background)
    assert "\n" not in str(caught.value)


def test_a_background_needs_transparency() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    assert Output(None, "white").render(pixels) is pixels
    for background in ("transparent", "#fff000"):
        with pytest.raises(UserError, match="draws transparency"):
            Output(None, background).render(pixels)


def test_webp_keeps_every_pixel_and_a_missing_tracer_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    data = encode_picture(pixels, {}, ".webp")
    np.testing.assert_array_equal(np.array(Image.open(BytesIO(data))), pixels)
    monkeypatch.setattr("undiffuse.imaging.vector.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"undiffuse\[svg\]"):
        check_format(Path("a.svg"))
