"""Damaged and hostile shards: bad samples are skipped and named, and nothing is executed."""

import contextlib
import pickle
import re
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.archives import LINK, archive, encoded, quick, read, some
from undiffuse.data.shards import read_shards, write_shards
from undiffuse.errors import UserError


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(width: int, height: int) -> bytes:
    """A small PNG file that declares a large picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was run",))


PNG = ("x.png", encoded())
OBJECT = ("x.json", b"{}")
WRONG: dict[str, tuple[str, list[Any]]] = {
    "symlink": ("link", [("x.png", b"/etc/passwd", LINK), OBJECT]),
    "hard link": ("link", [("x.png", b"good00.png", tarfile.LNKTYPE), OBJECT]),
    "device": ("device", [("x.png", b"", tarfile.CHRTYPE), OBJECT]),
    "pipe": ("device", [("x.png", b"", tarfile.FIFOTYPE), OBJECT]),
    "up": ("path", [("../x.png", encoded()), ("../x.json", b"{}")]),
    "up inside": ("path", [("a/../../x.png", encoded()), ("a/../../x.json", b"{}")]),
    "backslash": ("path", [("\\x.png", encoded()), ("\\x.json", b"{}")]),
    "absolute": ("path", [("/tmp/x.png", encoded()), ("/tmp/x.json", b"{}")]),
    "control": ("path", [("\x1b[2Jx.png", encoded()), ("\x1b[2Jx.json", b"{}")]),
    "large picture": ("UnidentifiedImage", [("x.png", bytes(6 << 20)), OBJECT]),
    "large record": ("bytes", [PNG, ("x.json", b'{"x": "' + bytes(1 << 18) + b'"}')]),
    "twice": ("second", [PNG, PNG, OBJECT]),
    "two pictures": ("second", [PNG, ("x.jpg", encoded(kind="JPEG")), OBJECT]),
    "no record": ("only ['picture']", [PNG]),
    "no picture": ("only ['json']", [OBJECT]),
    "neither": ("only ['text']", [("x.txt", b"a caption")]),
    "apart": ("only", [PNG, ("y.json", b"{}"), OBJECT]),
    "gif": ("UnidentifiedImage", [("x.gif", encoded(kind="GIF")), OBJECT]),
    "gif named png": ("UnidentifiedImage", [("x.png", encoded(kind="GIF")), OBJECT]),
    "tiff named png": ("UnidentifiedImage", [("x.png", encoded(kind="TIFF")), OBJECT]),
    "pickle": ("UnidentifiedImage", [("x.png", pickle.dumps(Exploit())), OBJECT]),
    "empty": ("UnidentifiedImage", [("x.png", b""), OBJECT]),
    "cut picture": ("PNG", [("x.png", encoded(np.eye(99, dtype=np.uint8))[:90]), OBJECT]),
    "bomb": ("DecompressionBomb", [("x.png", bomb(50_000, 50_000)), OBJECT]),
    "small bomb": ("DecompressionBomb", [("x.png", bomb(10_000, 10_000)), OBJECT]),
    "wide": ("1024", [("x.png", bomb(1025, 1)), OBJECT]),
    "deep": ("8 bits", [("x.png", encoded(np.zeros((2, 2), np.uint16))), OBJECT]),
    "list": ("list", [PNG, ("x.json", b"[1]")]),
    "number": ("int", [PNG, ("x.json", b"1")]),
    "no json": ("JSON", [PNG, ("x.json", b"{")]),
    "no text": ("JSON", [PNG, ("x.json", b"\xff\xfe\xfd")]),
    "nan": ("JSON", [PNG, ("x.json", b'{"x": NaN}')]),
    "infinite": ("JSON", [PNG, ("x.json", b'{"x": 1e999}')]),
    "half a pair": ("JSON", [PNG, ("x.json", b'{"x": "\\ud800"}')]),
    "nested": ("JSON", [PNG, ("x.json", b"[" * 100_000)]),
    "many digits": ("JSON", [PNG, ("x.json", b'{"x": ' + b"9" * 10_000 + b"}")]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_bad_sample_is_named_and_skipped(tmp_path: Path, name: str) -> None:
    reason, members = WRONG[name]
    path = archive(tmp_path / "shard.tar", *members)
    samples, bad = read(path)
    assert [s.key for s in samples] == [f"good{k:02d}" for k in range(20)]
    assert bad
    assert all(re.fullmatch(re.escape(f"{path}: ") + ".*[xy].*", where) for where, _ in bad)
    assert any(reason in why for _, why in bad)
    assert all(told.isprintable() for pair in bad for told in pair)
    with pytest.raises(UserError) as caught:
        list(read_shards([path]))
    assert str(caught.value) == f"{bad[0][0]}: {bad[0][1]}"
    assert [entry.name for entry in tmp_path.iterdir()] == ["shard.tar"]


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(header("x.png", 1 << 40), id="huge"),
        pytest.param(header("x.png", -512), id="negative"),
        pytest.param(header("x.png", 100) + b"cut", id="cut"),
        pytest.param(header("x", 1 << 40, tarfile.XHDTYPE), id="huge pax header"),
        pytest.param(header("x", -1024, tarfile.XHDTYPE), id="negative pax header"),
        pytest.param(header("x", 9000, tarfile.XHDTYPE) + b"1" * 9728, id="long pax header"),
        pytest.param(header("x", 9000, b"L") + b"1" * 9728, id="long name"),
        pytest.param((header("x", 10, b"x") + b"10 a=bcde\n" + bytes(502)) * 3000, id="chain"),
        pytest.param(b"no header at all" * 32, id="noise"),
        pytest.param(b"\x1f\x8b\x08" + bytes(509), id="gzip"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_damaged_archive_is_named_and_skipped(tmp_path: Path, start: bytes) -> None:
    damaged, whole = tmp_path / "a.tar", archive(tmp_path / "b.tar")
    lead = archive(tmp_path / "c.tar").read_bytes()
    end = lead.index(b"good01.png")  # the second sample's header: the first one is whole before it
    damaged.write_bytes(start)
    samples, bad = read(damaged, whole)
    assert len(samples) == 20
    assert len(bad) == 1
    assert bad[0][0].startswith(f"{damaged}: ")
    assert "damaged" in bad[0][1]
    damaged.write_bytes(lead[:end] + start)
    samples, bad = read(damaged, whole)
    assert len(samples) in (20, 21)
    assert [where for where, _ in bad if not where.startswith(str(damaged))] == []
    assert "damaged" in bad[-1][1]


def test_a_missing_or_truncated_archive_is_reported(tmp_path: Path) -> None:
    (path,) = write_shards(some(30), tmp_path, prefix="p")
    data = path.read_bytes()
    samples, bad = read(tmp_path / "gone.tar", path)
    assert (len(samples), len(bad)) == (30, 1)
    for end in (511, 512, 700, 1024, 20 * 2048, 20 * 2048 + 1024, 30 * 2048, 30 * 2048 + 511):
        path.write_bytes(data[:end])
        samples, bad = read(path)
        assert len(samples) <= end // 2048
        assert len(samples) >= end // 2048 - 1  # the last one before the cut may be lost to it
        assert len(bad) == 1, end
        assert "damaged" in bad[0][1]


@quick
@given(st.data())
def test_random_changes_of_bytes_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = archive(folder / "x.tar", ("n" * 120 + ".png", encoded()), format=tarfile.PAX_FORMAT)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, 8191))
        raw[at] = data.draw(st.integers(0, 255))
        # a right checksum lets the change through to what lies behind it
        block = at // 512 * 512
        if data.draw(st.booleans()):
            total = sum(raw[block : block + 148]) + 8 * 32 + sum(raw[block + 156 : block + 512])
            raw[block + 148 : block + 156] = b"%06o\0 " % total
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)) | st.just(len(raw)))])
    with contextlib.suppress(UserError):  # nothing at all could be read
        samples, _ = read(path)
        assert all(s.picture.dtype == np.uint8 and s.picture.shape[2] == 4 for s in samples)


def until_refused(path: Path, reason: str) -> tuple[list[str], list[str]]:
    """The keys read before the error, and the reported samples."""
    keys: list[str] = []
    told: list[str] = []
    samples = read_shards([path], on_bad=lambda where, why: told.append(where))
    with pytest.raises(UserError, match=reason):
        keys.extend(sample.key for sample in samples)
    return keys, told


def test_too_many_bad_samples_are_an_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.tar", *((f"x{k}.png", encoded()) for k in range(4)))
    keys, told = until_refused(path, "16 of 20 samples")
    assert (len(told), len(keys)) == (4, 16)  # at the 20th, not before
    assert len(read(path, share=0.2)[0]) == 20


def test_the_share_of_few_samples_is_checked_at_the_end(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.tar", ("x.png", encoded()), ("y.png", encoded()))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        end = next(info.offset for info in tar if info.name == "good04.png")
    path.write_bytes(whole[:end] + bytes(1024))
    keys, _ = until_refused(path, "4 of 6 samples")
    assert keys == ["good00", "good01", "good02", "good03"]


def test_an_archive_without_samples_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(10240))
    for paths in ([], [path]):
        with pytest.raises(UserError, match="0 of 0"):
            list(read_shards(paths, on_bad=lambda *_: None))
