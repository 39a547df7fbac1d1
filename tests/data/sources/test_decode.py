"""Every kind of picture file as upright RGBA of 8 bits, and files that only look like one."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.sources.make import BAR, RED, SVG, picture, quick
from undiffuse.data.sources.decode import decode
from undiffuse.imaging.read import MAX_FILE


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_every_format_is_read_in_its_own_size() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"):
        pixels = decode(picture(kind, size=(40, 24)))
        assert pixels.shape == (24, 40, 4), kind
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - (*RED, 255)).max() <= 5, kind


def test_every_mode_becomes_8_bits_of_color() -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (8, 1))
    images = {
        "gray": Image.fromarray(ramp),
        "16 bits": Image.fromarray(ramp.astype(np.uint16) * 257),
        "32 bits": Image.fromarray(ramp.astype(np.int32) * 257),
        "float": Image.fromarray(ramp.astype(np.float32) / 255),
        "palette": Image.fromarray(ramp).convert("P"),
        "CMYK": Image.fromarray(ramp).convert("RGB").convert("CMYK"),
        "gray and alpha": Image.fromarray(ramp).convert("LA"),
    }
    for name, image in images.items():
        pixels = decode(encode(image, "TIFF"))
        assert np.abs(pixels[..., :3].astype(int) - ramp[..., None]).max() <= 1, name
        assert (pixels[..., 3] == 255).all(), name
    jpeg = decode(encode(images["CMYK"], "JPEG", quality=100))
    assert np.abs(jpeg[..., :3].astype(int) - ramp[..., None]).max() <= 6


def test_transparency_is_kept_whatever_holds_it() -> None:
    layer = Image.new("RGBA", (8, 8), (*RED, 255))
    layer.paste((0, 0, 0, 0), (0, 0, 4, 8))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.paste(0, (0, 0, 4, 8))
    for image, kind, options in (
        (layer, "PNG", {}), (layer, "WEBP", {"lossless": True}),
        (palette, "PNG", {"transparency": 0}), (palette, "GIF", {"transparency": 0}),
    ):  # fmt: skip
        data = encode(image, kind, **options)
        pixels = decode(data)
        assert not pixels[:, :4, 3].any()
        assert (pixels[:, 4:] == (*RED, 255)).all()


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, (0, 0, 255))]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(decode(data)[4, 4, :3].astype(int) - RED).max() <= 5


def test_exif_turns_the_picture_upright_and_a_broken_note_does_no_harm() -> None:
    wide = Image.new("RGB", (32, 16), "blue")
    wide.paste(RED, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encode(wide, "JPEG", exif=exif, quality=100))
    assert turned.shape == (32, 16, 4)
    assert np.abs(turned[4, 8, :3].astype(int) - RED).max() <= 6  # what was left is on top
    broken = encode(wide, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20))
    assert decode(broken).shape == (16, 32, 4)


def test_a_jpeg_is_decoded_no_larger_than_needed() -> None:
    data = picture("JPEG", size=(2048, 1024))
    assert decode(data).shape == (1024, 2048, 4)
    assert decode(data, 64).shape == (128, 256, 4)


def test_svg_is_rendered_at_the_wanted_side() -> None:
    for side in (32, 64, 128):
        pixels = decode(BAR, side)
        assert pixels.shape == (side, side // 2, 4)
        assert (pixels == (*RED, 255)).all()
    assert decode(BAR).shape == (256, 128, 4)
    assert decode(b"\xef\xbb\xbf<?xml version='1.0'?>" + BAR, 16).shape == (16, 8, 4)
    assert decode(BAR.decode().encode("utf-16"), 16).shape == (16, 8, 4)
    assert decode(BAR.replace(b' xmlns="http://www.w3.org/2000/svg"', b""), 16).any()


def bomb(width: int, height: int) -> bytes:
    """A PNG that declares a size it does not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no picture", "no picture that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no picture that can be read"),
        (bomb(60_000, 60_000), "pixels"),
        (bomb(9_000, 9_000), "too many"),
        (bomb(100, 100), "broken"),
        (picture(size=(200, 200))[:100], "broken"),
        (picture("JPEG", size=(200, 200))[:600], "broken"),
        (encode(Image.new("RGBA", (4, 4))), "nothing is visible"),
        (bytes(MAX_FILE + 1), "larger than 64 MB"),
        (b"<svg", "no XML"),
        (b"<html></html>", "not <svg>"),
        (SVG.format("").encode(), "nothing is visible"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_picture_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        decode(data, 16)
    assert "at 0x" not in str(caught.value)  # no address of an object in memory


@quick
@given(st.data())
def test_no_change_of_bytes_does_harm(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]))
    raw = bytearray(picture(kind, size=(32, 32)))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(raw[: data.draw(st.integers(1, len(raw)))]))
    except ValueError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 4
