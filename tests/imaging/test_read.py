"""Image files of every kind, and files that only look like one."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from undiffuse.errors import UserError
from undiffuse.imaging.read import find_images, read_image

RED = (200, 30, 40)


def test_every_format_is_read(tmp_path: Path) -> None:
    for name in ("x.png", "x.jpg", "x.webp", "x.bmp", "x.tiff", "x.gif", "ü☃.png"):
        Image.new("RGB", (100, 100), RED).save(tmp_path / name)
        pixels = read_image(tmp_path / name)
        assert pixels.shape == (64, 64, 3)
        assert np.abs(pixels.astype(int) - RED).max() <= 4, name


def test_black_and_white_stay_so_in_every_mode_and_16_bits_are_scaled(tmp_path: Path) -> None:
    gray = np.zeros((80, 80), np.uint8)
    gray[:, 40:] = 255
    images = [
        Image.fromarray(gray.astype(np.uint16) * 257),
        Image.fromarray(gray.astype(np.int32) * 257),
        Image.fromarray(gray.astype(np.float32) / 255),
    ]
    for mode in ("L", "LA", "P", "PA", "RGBA", "CMYK", "1"):
        images.append(Image.fromarray(gray).convert("RGB").convert(mode))
    for image in images:
        image.save(tmp_path / "x.tiff")
        pixels = read_image(tmp_path / "x.tiff")
        assert pixels[:, :28].max() <= 2, image.mode
        assert pixels[:, 36:].min() >= 253, image.mode


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (*RED, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").min() == 255
    palette = Image.new("P", (64, 64), 0)
    palette.putpalette([*RED, 0, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read_image(tmp_path / "palette.png").min() == 255


def test_the_first_frame_is_read_upright_and_whole(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, (0, 0, 255))]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert np.abs(read_image(tmp_path / "x.gif")[32, 32].astype(int) - RED).max() <= 4
    wide = Image.new("RGB", (128, 64), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    wide.save(tmp_path / "x.jpg", exif=exif)
    pixels = read_image(tmp_path / "x.jpg")
    assert pixels[:, :15].min() >= 250  # white at the sides: it stands
    assert np.abs(pixels[2, 32].astype(int) - RED).max() <= 6


def bomb(path: Path, side: int) -> None:
    """A PNG file of a few bytes that declares side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b""))


def test_a_file_that_is_no_image_is_refused_by_its_name(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.png", 60_000)
    bomb(tmp_path / "cut.png", 100)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "vector.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n")
    for name in ("bomb", "cut", "text", "empty", "vector", "missing"):
        with pytest.raises(UserError, match=name) as caught:
            read_image(tmp_path / f"{name}.png")
        assert "BytesIO" not in str(caught.value)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match="is no regular file"):
        read_image(tmp_path / "folder.png")


def test_images_are_found_by_suffix_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/ü.jpg", ".hidden/c.png", "d.txt", ".e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [name for name, _ in find_images(tmp_path)] == ["b.PNG", "a/ü.jpg"]
    with pytest.raises(UserError, match="is no folder"):
        list(find_images(tmp_path / "nowhere"))
