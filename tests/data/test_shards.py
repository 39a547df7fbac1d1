"""Shards: what is written comes back, byte for byte the same twice, and nothing hostile gets in."""

import contextlib
import io
import json
import pickle
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from undiffuse.data.shards import MAX_SIDE, Sample, find_shards, read_shards, write_shards
from undiffuse.errors import UserError

LINK = tarfile.SYMTYPE
quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
records = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    ),
    max_size=4,
)  # fmt: skip
pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4)))


def some(count: int) -> Iterator[Sample]:
    for k in range(count):
        yield Sample(f"k{k:03d}", np.full((3, 2, 4), k, np.uint8), {"caption": f"number {k}"})


def encoded(picture: np.ndarray | None = None, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.zeros((2, 2, 3), np.uint8) if picture is None else picture).save(out, kind)
    return out.getvalue()


def archive(path: Path, *members: tuple[str, bytes] | tuple[str, bytes, bytes], **how: Any) -> Path:
    """A tar of (name, data) or (name, link target, type), followed by twenty good samples."""
    with tarfile.open(path, "w", **how) as tar:
        for name, data, *kind in members:
            info = tarfile.TarInfo(name)
            if kind:
                info.type, info.linkname = kind[0], data.decode()
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        for k in range(20):
            for ending, data in (("png", encoded()), ("json", b"{}")):
                info = tarfile.TarInfo(f"good{k:02d}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def read(*paths: Path, share: float = 1.0) -> tuple[list[Sample], list[tuple[str, str]]]:
    bad: list[tuple[str, str]] = []
    samples = read_shards(paths, on_bad=lambda *told: bad.append(told), max_bad_share=share)
    return list(samples), bad


def same(a: Sample, b: Sample) -> bool:
    return a.key == b.key and a.record == b.record and np.array_equal(a.picture, b.picture)


@quick
@given(st.lists(st.tuples(pictures, records), min_size=1, max_size=5), st.integers(1, 3))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[np.ndarray, dict[str, Any]]],
    per_shard: int,
) -> None:
    folder = tmp_path_factory.mktemp("set")
    samples = [Sample(f"s-{k}", *pair) for k, pair in enumerate(made)]
    paths = write_shards(samples, folder, prefix="train", per_shard=per_shard)
    assert [path.name for path in paths] == [
        f"train-{k:06d}.tar" for k in range(-(-len(made) // per_shard))
    ]
    assert find_shards(folder) == paths
    back = list(read_shards(paths))
    assert len(back) == len(samples)
    assert all(same(a, b) for a, b in zip(samples, back, strict=True))


def test_bytes_depend_on_the_samples_only(tmp_path: Path) -> None:
    turned = [Sample(s.key, s.picture.copy("F"), {"b": 1, "a": 2}) for s in some(5)]
    straight = [Sample(s.key, s.picture, {"a": 2, "b": 1}) for s in some(5)]
    (one,) = write_shards(turned, tmp_path / "x", prefix="p")
    (two,) = write_shards(straight, tmp_path / "y" / "z", prefix="p")
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as tar:
        for info in tar:
            facts = (info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode)
            assert facts == (0, 0, 0, "", "", 0o644)
            assert not info.pax_headers


def test_a_shard_appears_only_when_complete(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield from some(3)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_shards(broken(), tmp_path, prefix="p", per_shard=2)
    assert [path.name for path in tmp_path.iterdir()] == ["p-000000.tar"]
    assert len(list(read_shards(find_shards(tmp_path)))) == 2


def test_a_smaller_set_leaves_no_older_shards(tmp_path: Path) -> None:
    write_shards(some(5), tmp_path, prefix="p", per_shard=1)
    write_shards(some(2), tmp_path, prefix="p-q", per_shard=1)
    paths = write_shards(some(3), tmp_path, prefix="p", per_shard=2)
    assert find_shards(tmp_path) == [*paths, *(tmp_path / f"p-q-{k:06d}.tar" for k in (0, 1))]


@pytest.mark.parametrize(
    "wrong",
    [
        Sample("with.dot", np.zeros((2, 2, 4), np.uint8), {}),
        Sample("../up", np.zeros((2, 2, 4), np.uint8), {}),
        Sample("", np.zeros((2, 2, 4), np.uint8), {}),
        Sample("k" * 91, np.zeros((2, 2, 4), np.uint8), {}),
        Sample("k000", np.zeros((2, 2, 4), np.uint8), {}),
        Sample("rgb", np.zeros((2, 2, 3), np.uint8), {}),
        Sample("flat", np.zeros((2, 2), np.uint8), {}),
        Sample("float", np.zeros((2, 2, 4), np.float32), {}),
        Sample("empty", np.zeros((0, 2, 4), np.uint8), {}),
        Sample("wide", np.zeros((1, MAX_SIDE + 1, 4), np.uint8), {}),
        Sample("list", np.zeros((2, 2, 4), np.uint8), []),  # type: ignore[arg-type]
        Sample("nan", np.zeros((2, 2, 4), np.uint8), {"x": float("nan")}),
        Sample("half", np.zeros((2, 2, 4), np.uint8), {"x": "\ud800"}),
        Sample("thing", np.zeros((2, 2, 4), np.uint8), {"x": object()}),
        Sample("long", np.zeros((2, 2, 4), np.uint8), {"x": "x" * (1 << 18)}),
    ],
    ids=lambda sample: sample.key[:8] or "nameless",
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, wrong: Sample) -> None:
    with pytest.raises(UserError) as caught:
        write_shards([*some(1), wrong], tmp_path, prefix="p")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_largest_picture_comes_back(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (MAX_SIDE, MAX_SIDE, 4), dtype=np.uint8)
    paths = write_shards([Sample("noise", noise, {})], tmp_path, prefix="p")
    assert np.array_equal(next(read_shards(paths)).picture, noise)


def test_wrong_prefix_or_shard_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="word"):
        write_shards(some(1), tmp_path, prefix="a/b")
    with pytest.raises(UserError, match="1 or more"):
        write_shards(some(1), tmp_path, prefix="p", per_shard=0)


def test_find_shards(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{re.escape(str(tmp_path))}.*undiffuse data"):
        find_shards(tmp_path)
    with pytest.raises(UserError, match="nowhere"):
        find_shards(tmp_path / "nowhere")
    for name in ("b.tar", "a.tar", "._a.tar", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.tar").mkdir()
    assert [path.name for path in find_shards(tmp_path)] == ["a.tar", "b.tar"]
    assert find_shards(tmp_path / "b.tar") == [tmp_path / "b.tar"]


# -- what other writers make ---------------------------------------------------------------------


def test_formats_long_names_and_folders(tmp_path: Path) -> None:
    rgb = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    long = "ordner/" + "ü" * 120
    members = [
        ("README", b"no dot, no sample"),
        ("./a/b.PNG", encoded(rgb)),
        ("./a/b.json", b'{"caption": "\\u00fc"}'),
        ("./a/b.seg.png", b"another kind"),
        ("v1.0/w.webp", encoded(rgb, "WEBP")),
        ("v1.0/w.json", b"{}"),
        ("j.json", b"{}"),
        ("j.jpeg", encoded(rgb, "JPEG")),
        (long + ".png", encoded(rgb)),
        (long + ".json", b"{}"),
    ]
    for how in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        samples, bad = read(archive(tmp_path / "x.tar", *members, format=how))
        assert [s.key for s in samples[:4]] == ["./a/b", "v1.0/w", "j", long]
        assert bad == []
        assert samples[0].record == {"caption": "ü"}
        assert samples[0].picture.shape == (4, 4, 4)
        assert np.array_equal(samples[0].picture[..., :3], rgb)
        assert (samples[0].picture[..., 3] == 255).all()


def test_webdataset_groups_the_shards_alike(tmp_path: Path) -> None:
    iterators = pytest.importorskip("webdataset.tariterators")
    paths = write_shards(some(7), tmp_path, prefix="p", per_shard=4)
    theirs = list(iterators.tarfile_samples([{"url": str(path)} for path in paths]))
    ours = list(read_shards(paths))
    assert [s["__key__"] for s in theirs] == [s.key for s in ours]
    assert [json.loads(s["json"]) for s in theirs] == [s.record for s in ours]
    assert all({k for k in s if not k.startswith("__")} == {"png", "json"} for s in theirs)


def test_grouping_by_webdatasets_rule(tmp_path: Path) -> None:
    """The rule itself, for where the library is not installed: neighbours, cut at the first dot."""
    paths = write_shards(some(5), tmp_path, prefix="p", per_shard=3)
    groups: list[tuple[str, set[str]]] = []
    for path in paths:
        with tarfile.open(path) as tar:
            for info in tar:
                assert info.isreg()
                match = re.match(r"^((?:.*/|)[^.]+)[.]([^/]*)$", info.name)
                assert match
                if not groups or groups[-1][0] != match[1]:
                    groups.append((match[1], set()))
                groups[-1][1].add(match[2])
    assert groups == [(f"k{k:03d}", {"png", "json"}) for k in range(5)]


# -- what is wrong or hostile --------------------------------------------------------------------


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG that declares a size it does not have."""
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
    "large picture": ("bytes", [("x.png", bytes(6 << 20)), OBJECT]),
    "large record": ("bytes", [PNG, ("x.json", b'{"x": "' + bytes(1 << 18) + b'"}')]),
    "twice": ("second", [PNG, PNG, OBJECT]),
    "two pictures": ("second", [PNG, ("x.jpg", encoded(kind="JPEG")), OBJECT]),
    "no record": ("only ['picture']", [PNG]),
    "no picture": ("only ['record']", [OBJECT]),
    "neither": ("only []", [("x.txt", b"a caption")]),
    "apart": ("only", [PNG, ("y.json", b"{}"), OBJECT]),
    "gif": ("only", [("x.gif", encoded(kind="GIF")), OBJECT]),
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
def test_a_damaged_archive_is_named_and_left(tmp_path: Path, start: bytes) -> None:
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


def test_a_missing_or_cut_archive_is_told(tmp_path: Path) -> None:
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
def test_no_change_of_bytes_does_harm(
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
    """Keys that came before the error, and what was told."""
    keys: list[str] = []
    told: list[str] = []
    samples = read_shards([path], on_bad=lambda where, why: told.append(where))
    with pytest.raises(UserError, match=reason):
        keys.extend(sample.key for sample in samples)
    return keys, told


def test_too_many_bad_samples_stop_the_run(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.tar", *((f"x{k}.png", encoded()) for k in range(4)))
    keys, told = until_refused(path, "16 of 20 samples")
    assert (len(told), len(keys)) == (4, 16)  # at the 20th, not before
    assert len(read(path, share=0.2)[0]) == 20


def test_few_samples_are_judged_at_the_end(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.tar", ("x.png", encoded()), ("y.png", encoded()))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        end = next(info.offset for info in tar if info.name == "good04.png")
    path.write_bytes(whole[:end] + bytes(1024))
    keys, _ = until_refused(path, "4 of 6 samples")
    assert keys == ["good00", "good01", "good02", "good03"]


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(10240))
    for paths in ([], [path]):
        with pytest.raises(UserError, match="0 of 0"):
            list(read_shards(paths, on_bad=lambda *_: None))
