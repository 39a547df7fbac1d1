"""PNG files: pixels and records survive; files from elsewhere are checked."""

import json
import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from undiffuse.errors import UserError
from undiffuse.imaging import files, png

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_pixels_and_record_survive_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    record = {"prompt": "ein Apfel, красное яблоко ☕", "seed": 2**64 - 1, "band": [0.0, 1.0]}
    for scale in (1, 4, 16):
        files.write_atomic(path, png.encode_png(png.upscale(PIXELS, scale), record))
        pixels, found = png.read_png(path)
        assert found == record
        assert pixels.shape == (64 * scale, 64 * scale, 3)
        assert np.array_equal(png.downscale(pixels, path), PIXELS)


def test_pixels_that_were_changed_are_refused() -> None:
    large = png.upscale(PIXELS, 4)
    large[5, 5] ^= 1
    for pixels in (large, large[:-1], large[:, :-4], PIXELS[:32, :32], large[:200, :200]):
        with pytest.raises(UserError, match="changed"):
            png.downscale(pixels, Path("a.png"))


def test_a_grid_shows_every_picture_once() -> None:
    many = [np.full((64, 64, 3), 10 * k, np.uint8) for k in range(7)]
    sheet = png.image_grid(many, gap=4)
    assert sheet.shape == (3 * 68 + 4, 3 * 68 + 4, 3)
    for k in range(7):
        assert (sheet == 10 * k).all(-1).sum() == 64 * 64
    assert png.image_grid(many[:1], gap=0).shape == (64, 64, 3)


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    files.write_atomic(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"a\.png can't be written: No space"):
        files.write_atomic(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"old"


def test_places_that_cannot_be_written_are_told_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (
        tmp_path,
        tmp_path / "none" / "a.png",
        tmp_path / "file" / "a.png",
        tmp_path / ("x" * 300 + ".png"),
        tmp_path / "nul\0.png",
        Path("/proc/undiffuse.png"),
    ):
        with pytest.raises(UserError, match="can't be written"):
            files.check_writable(path)
    files.check_writable(tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def with_text(**texts: str) -> bytes:
    info, file = PngImagePlugin.PngInfo(), BytesIO()
    for key, text in texts.items():
        info.add_itxt(key, text)
    Image.fromarray(PIXELS).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg() -> bytes:
    file = BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG")
    return file.getvalue()


PNG = with_text(undiffuse='{"prompt": "a"}')
IHDR_END = 33  # signature, length, name, 13 bytes and a checksum
BOMB = chunk(b"zTXt", b"undiffuse\0\0" + zlib.compress(b"[" * (80 << 20), 9))
HOSTILE = {
    "empty": (b"", "no PNG"),
    "short": (PNG[:20], "no PNG"),
    "cut": (PNG[: len(PNG) // 2], "broken PNG"),
    "another kind": (jpeg(), "no PNG"),
    "only a beginning": (PNG[:8] + bytes(99), "broken PNG"),
    "huge": (PNG[:16] + struct.pack(">II", 10**5, 10**5) + PNG[24:], "larger"),
    "text that unpacks to 80 MB": (PNG[:IHDR_END] + BOMB + PNG[IHDR_END:], "broken|record"),
    "no record": (with_text(), "no record"),
    "another's record": (with_text(parameters="a red apple"), "no record"),
    "a long record": (with_text(undiffuse=json.dumps({"prompt": "x" * 99_999})), "no record"),
    "no JSON": (with_text(undiffuse="{"), "broken record"),
    "deep JSON": (with_text(undiffuse="[" * 60_000), "broken record"),
    "a list": (with_text(undiffuse="[1]"), "broken record"),
    "a long number": (with_text(undiffuse='{"seed": ' + "9" * 9999 + "}"), "broken record"),
}


def test_a_hostile_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for data, message in HOSTILE.values():
        path.write_bytes(data)
        with pytest.raises(UserError, match=message) as caught:
            png.read_png(path)
        assert "\n" not in str(caught.value)
        assert "a.png" in str(caught.value)


def test_a_path_that_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("none.png", "pipe", ".", "nul\0.png"):
        with pytest.raises(UserError, match="can't be read"):
            png.read_png(tmp_path / name)
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(20 << 20)
    with pytest.raises(UserError, match="too large"):
        png.read_png(tmp_path / "large.png")


def test_straight_colors_are_exact_for_every_color_and_alpha() -> None:
    alpha, color = np.mgrid[:256, :256]
    wanted = np.minimum((color * 255 + alpha // 2) // np.maximum(alpha, 1), 255)
    pixels = np.stack([color, color[:, ::-1], color, alpha], axis=-1).astype(np.uint8)
    straight = png.unpremultiply(pixels)
    assert np.array_equal(straight[..., 0], wanted)
    assert np.array_equal(straight[..., 1], wanted[:, ::-1])
    assert np.array_equal(straight[..., 3], alpha)
    floats = pixels.transpose(2, 0, 1)[None] / np.float32(127.5) - np.float32(1)
    assert np.array_equal(png.straight_bytes(floats), straight[None])
