"""Tar shards: addresses, streaming from anywhere, and archives that are damaged or hostile."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.sources.make import BAR, noise, picture, quick, read, read_with_bad, tar
from tests.sample import FOLDER
from undiffuse.data.sources import open_source
from undiffuse.data.sources.webdataset import expand_braces, read_samples
from undiffuse.errors import UserError

PNG = picture()


def samples(count: int, first: int = 0) -> list[tuple[str, bytes | str]]:
    numbers = range(first, first + count)
    return [m for k in numbers for m in ((f"{k:04d}.png", noise(k)), (f"{k:04d}.txt", f"n {k}"))]


def shards(folder: Path, count: int = 3, each: int = 10) -> Path:
    for k in range(count):
        (folder / f"s-{k:03d}.tar").write_bytes(tar(*samples(each, k * each)))
    return folder


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("s3://b/x-{009..011}.tar", ["s3://b/x-009.tar", "s3://b/x-010.tar", "s3://b/x-011.tar"]),
        ("{b,a}/{1..0}.tar", ["b/1.tar", "b/0.tar", "a/1.tar", "a/0.tar"]),
        ("x.tar", ["x.tar"]),
        ("{a}{}.tar", ["a.tar"]),
    ],
)
def test_braces_are_written_out(address: str, written: list[str]) -> None:
    assert expand_braces(address) == written


def test_braces_that_name_too_many_shards_are_refused() -> None:
    for address in ("{0..99999999999999999999}.tar", "{000..999}" * 3):
        with pytest.raises(UserError, match="more than 1000000 shards"):
            expand_braces(address)


def test_the_usual_members_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(tar(
        ("d/a.png", PNG), ("d/a.txt", "a cat\na dog"), ("d/a.cls", "7\n"), ("d/a.seg.png", b"x"),
        ("d/b.JPG", picture("JPEG")), ("d/b.json", json.dumps({"caption": "a bee", "style": "s"})),
        ("d/c.webp", picture("WEBP")), ("d/c.caption", b"\xef\xbb\xbfa bird\r\n"),
        ("d/d.svg", BAR),
        ("d/e.txt", "from text"), ("d/e.json", '{"caption": "no", "label": "e"}'), ("d/e.png", PNG),
        ("./d/f.png", PNG), ("./d/f.cls", "big_dog"),
        ("d/g.png", PNG), ("d/g.json", '{"label": "x"}'),
        ("README.md", "no sample"), ("._a.png", b"x"),
    ))  # fmt: skip
    items = read(path, side=32)
    assert {key: (i.captions, i.label, i.style) for key, i in items.items()} == {
        "x/d/a": (["a cat", "a dog"], "7", ""),
        "x/d/b": (["a bee"], "", "s"),
        "x/d/c": (["a bird"], "", ""),
        "x/d/d": ([], "", ""),
        "x/d/e": (["from text"], "e", ""),
        "x/d/f": (["big dog"], "big_dog", ""),
        "x/d/g": (["x"], "x", ""),
    }
    assert items["x/d/d"].image.shape == (32, 16, 4)
    assert items["x/d/a"].origin == f"{path}: d/a"


def test_this_projects_own_shards_are_read() -> None:
    items = read(FOLDER)
    apple = items["twemoji-000000/twemoji_1f34e"]
    assert apple.captions[0] == "red apple"
    assert apple.captions[1].startswith("red apple, ")
    assert apple.style == "twemoji"
    assert {item.split for item in items.values()} >= {"train", "held-out concept"}


def test_a_folder_a_pattern_and_compressed_shards(tmp_path: Path) -> None:
    shards(tmp_path)
    (tmp_path / "t.tar.gz").write_bytes(gzip.compress(tar(*samples(5, 100))))
    (tmp_path / "00000.parquet").write_bytes(b"beside shards, as img2dataset leaves it")
    assert len(read(tmp_path)) == 35
    assert len(read(f"{tmp_path}/s-*.tar")) == 30
    assert len(read(f"{tmp_path}/s-{{000..001}}.tar")) == 20
    assert len(read(tmp_path / "t.tar.gz")) == 5


def test_a_missing_shard_is_one_bad_sample_and_the_run_goes_on(tmp_path: Path) -> None:
    shards(tmp_path)
    items, bad = read_with_bad(f"{tmp_path}/s-{{000..003}}.tar")
    assert len(items) == 30
    assert len(bad) == 1
    assert bad[0][0] == f"{tmp_path}/s-003.tar"
    assert "No such file" in bad[0][1]


def test_shards_are_streamed_from_any_address(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for path in shards(tmp_path).iterdir():
        memory.pipe(f"/set/{path.name}", path.read_bytes())
    memory.pipe("/set/z.tar.gz", gzip.compress(tar(*samples(3, 90))))
    local = [item.captions for item in read(f"{tmp_path}/s-*.tar").values()]
    for address in ("memory://set/s-{000..002}.tar", "memory://set/s-*.tar", "memory://set",
                    "memory://set/"):  # fmt: skip
        items = read(address)
        assert [item.captions for item in items.values()] == local, address
        assert next(iter(items)) == "s-000/0000"
    assert len(read("memory://set/z.tar.gz")) == 3
    with pytest.raises(UserError, match=r"no .tar shards at memory://nothing"):
        open_source("memory://nothing/")
    with pytest.raises(UserError, match="none can be used"):
        read("memory://set/gone.tar")
    with pytest.raises(UserError, match="can't be listed: Protocol not known"):
        open_source("nonsense://x/")


class Pipe(io.RawIOBase):
    """A stream that can't be sought in, and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        return self.file.read(min(size, 700))


def test_an_archive_is_read_forward_only() -> None:
    data = tar(("x.bin", bytes(100_000)), *samples(5), ("long" * 60 + ".png", PNG))
    found = list(read_samples(Pipe(data)))  # type: ignore[arg-type]
    assert [key for key, *_ in found] == [*(f"{k:04d}" for k in range(5)), "long" * 60]
    assert all(not problem for *_, problem, _ in found)


def test_workers_divide_the_shards_or_the_samples(tmp_path: Path) -> None:
    shards(tmp_path)
    every = set(read(tmp_path))
    for workers in (2, 3, 7, 40):
        parts = [set(read_with_bad_or_nothing(tmp_path, k, workers)) for k in range(workers)]
        assert sum(map(len, parts)) == len(every)
        assert set.union(*parts) == every
    assert {key[:5] for key in read(tmp_path, worker=1, workers=3)} == {"s-001"}
    mixed = [set(read(tmp_path, worker=k, workers=2, shuffle=8, seed=4)) for k in range(2)]
    assert not mixed[0] & mixed[1]
    assert mixed[0] | mixed[1] == every


def read_with_bad_or_nothing(path: Path, worker: int, workers: int) -> list[str]:
    return [item.key for item in open_source(path, worker=worker, workers=workers)]


def test_the_shuffle_buffer_mixes_shards_the_same_way_each_time(tmp_path: Path) -> None:
    shards(tmp_path, 4, 25)
    plain = [item.key for item in open_source(tmp_path)]

    def order(**options: Any) -> list[str]:
        return [item.key for item in open_source(tmp_path, **options)]

    first = order(shuffle=30, seed=1)
    assert first == order(shuffle=30, seed=1) != order(shuffle=30, seed=2)
    assert sorted(first) == plain != first
    source = open_source(tmp_path, shuffle=30, seed=1)
    assert [item.key for item in source] == [item.key for item in source] == first
    assert len({key[:5] for key in first[:20]}) > 1


BAD: dict[str, tuple[str, list[tuple[str, bytes | str]]]] = {
    "two pictures": ("second picture", [("x.png", PNG), ("x.jpg", PNG)]),
    "no picture": ("only text", [("x.txt", "a cat")]),
    "no json": ("no JSON", [("x.png", PNG), ("x.json", "{")]),
    "list": ("not an object", [("x.png", PNG), ("x.json", "[]")]),
    "large text": ("above 262144 bytes", [("x.png", PNG), ("x.txt", "x" * 300_000)]),
    "large picture": ("above 67108864", [("x.png", bytes((64 << 20) + 1))]),
    "up": ("no plain relative path", [("../x.png", PNG), ("../x.txt", "")]),
    "absolute": ("no plain relative path", [("/tmp/x.png", PNG)]),
    "control": ("no plain relative path", [("\x1b[2Jx.png", PNG)]),
    "twice": ("occurs twice", [("good01.png", PNG)]),
    "no decoder": ("no picture that can be read", [("x.png", b"x")]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sample_is_named_and_left_out(tmp_path: Path, name: str) -> None:
    reason, members = BAD[name]
    path = tmp_path / "x.tar"
    good = [(f"good{k:02d}.png", noise(k)) for k in range(3)]
    path.write_bytes(tar(good[0], good[1], ("good01.txt", ""), good[2], *members))
    items, bad = read_with_bad(path)
    assert list(items) == ["x/good00", "x/good01", "x/good02"]
    assert len(bad) == 1
    assert reason in bad[0][1]
    assert bad[0][0].startswith(f"{path}: ")
    assert bad[0][0].isprintable()


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
        for number, kind in enumerate(kinds):
            info = tarfile.TarInfo(f"{number}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("ok.png")
        info.size = len(PNG)
        archive.addfile(info, io.BytesIO(PNG))
    items, bad = read_with_bad(path)
    assert list(items) == ["x/ok"]
    assert [reason for _, reason in bad] == ["a member is a link or a device, not a file"] * 4


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "end",
    [
        header("x.png", 1 << 50), header("x.png", 1 << 62), header("x.bin", 1 << 39),
        header("x.png", -512), header("x.png", 100) + b"cut",
        header("x", 1 << 40, tarfile.XHDTYPE), header("x", -1024, tarfile.XHDTYPE),
        header("x", 9000, tarfile.XHDTYPE) + b"1" * 9728, header("x", 9000, b"L") + b"1" * 9728,
        (header("x", 10, b"x") + b"10 a=bcde\n" + bytes(502)) * 3000,
        header("x", 20, b"x") + b"20 size=-512\n" + bytes(499) + header("x.png", 9),
        b"no header at all" * 32, b"\x1f\x8b\x08" + bytes(509), b"",
    ],
    ids=range(14),
)  # fmt: skip
def test_the_damaged_rest_of_an_archive_is_one_bad_sample(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(tar(*samples(3)))
    whole = tar(*samples(5))
    start = whole[: whole.index(b"0004.png")]
    (tmp_path / "a.tar").write_bytes(start + end)
    items, bad = read_with_bad(tmp_path)
    assert {key for key in items if key[0] == "b"} == {"b/0000", "b/0001", "b/0002"}
    assert len(items) in (6, 7)  # the sample before the damage may be lost to it
    assert [origin for origin, _ in bad][-1].startswith(str(tmp_path / "a.tar"))
    assert len(bad) <= 2
    (tmp_path / "a.tar").write_bytes(end)
    items, bad = read_with_bad(tmp_path)
    assert len(items) == 3
    assert 1 <= len(bad) <= 2


@quick
@given(st.data())
def test_no_change_of_bytes_does_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x.tar"
    raw = bytearray(tar(("n" * 120 + ".png", PNG), *samples(4), format=tarfile.PAX_FORMAT))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
        block = at // 512 * 512
        if data.draw(st.booleans()):  # a right checksum lets the change through
            total = sum(raw[block : block + 148]) + 8 * 32 + sum(raw[block + 156 : block + 512])
            raw[block + 148 : block + 156] = b"%06o\0 " % total
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)) | st.just(len(raw)))])
    try:
        items, bad = read_with_bad(path)
    except UserError:  # nothing at all could be read
        return
    assert all(item.image.shape[2] == 4 for item in items.values())
    assert all(text.isprintable() for pair in bad for text in pair)
