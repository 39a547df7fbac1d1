"""Shards: samples are read back as written, and written the same each time."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.archives import archive, encoded, pictures, quick, read, records, same, some
from undiffuse.data.shards import MAX_SIDE, Sample, find_shards, read_shards, write_shards
from undiffuse.errors import UserError


@quick
@given(st.lists(st.tuples(pictures, records), min_size=1, max_size=5), st.integers(1, 3))
def test_samples_are_read_back_as_written(
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


def test_the_bytes_depend_only_on_the_samples(tmp_path: Path) -> None:
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


def test_a_shard_appears_when_it_is_complete(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield from some(3)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_shards(broken(), tmp_path, prefix="p", per_shard=2)
    assert [path.name for path in tmp_path.iterdir()] == ["p-000000.tar"]
    assert len(list(read_shards(find_shards(tmp_path)))) == 2


def test_writing_fewer_shards_removes_the_old_ones(tmp_path: Path) -> None:
    write_shards(some(5), tmp_path, prefix="p", per_shard=1)
    write_shards(some(2), tmp_path, prefix="p-q", per_shard=1)
    paths = write_shards(some(3), tmp_path, prefix="p", per_shard=2)
    assert find_shards(tmp_path) == [*paths, *(tmp_path / f"p-q-{k:06d}.tar" for k in (0, 1))]


INVALID = (
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
)


def test_a_sample_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    for sample in INVALID:
        with pytest.raises(UserError) as caught:
            write_shards([*some(1), sample], tmp_path, prefix="p")
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == [], sample.key


def test_the_largest_picture_is_read_back(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (MAX_SIDE, MAX_SIDE, 4), dtype=np.uint8)
    paths = write_shards([Sample("noise", noise, {})], tmp_path, prefix="p")
    assert np.array_equal(next(read_shards(paths)).picture, noise)


def test_a_bad_prefix_or_shard_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="letters"):
        write_shards(some(1), tmp_path, prefix="a/b")
    with pytest.raises(UserError, match="1 or more"):
        write_shards(some(1), tmp_path, prefix="p", per_shard=0)


def test_shards_are_found_in_a_folder_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{re.escape(str(tmp_path))}.*undiffuse data"):
        find_shards(tmp_path)
    with pytest.raises(UserError, match="nowhere"):
        find_shards(tmp_path / "nowhere")
    for name in ("b.tar", "a.tar", "._a.tar", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.tar").mkdir()
    assert [path.name for path in find_shards(tmp_path)] == ["a.tar", "b.tar"]
    assert find_shards(tmp_path / "b.tar") == [tmp_path / "b.tar"]


# -- shards of other writers -----------------------------------------------------------------------


def test_other_formats_long_names_and_folders_are_read(tmp_path: Path) -> None:
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
        assert [s.key for s in samples[:4]] == ["a/b", "v1.0/w", "j", long]
        assert bad == []
        assert samples[0].record == {"caption": "ü"}
        assert samples[0].picture.shape == (4, 4, 4)
        assert np.array_equal(samples[0].picture[..., :3], rgb)
        assert (samples[0].picture[..., 3] == 255).all()


def test_webdataset_reads_the_same_samples(tmp_path: Path) -> None:
    iterators = pytest.importorskip("webdataset.tariterators")
    paths = write_shards(some(7), tmp_path, prefix="p", per_shard=4)
    theirs = list(iterators.tarfile_samples([{"url": str(path)} for path in paths]))
    ours = list(read_shards(paths))
    assert [s["__key__"] for s in theirs] == [s.key for s in ours]
    assert [json.loads(s["json"]) for s in theirs] == [s.record for s in ours]
    assert all({k for k in s if not k.startswith("__")} == {"png", "json"} for s in theirs)


def test_files_are_grouped_by_the_rule_of_webdataset(tmp_path: Path) -> None:
    """Neighbors with the same name up to the first dot, tested without the library."""
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
