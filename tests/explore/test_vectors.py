"""Parquet files of vectors and the search in them: exact, approximate, and never trusted."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Run
from undiffuse.bulk.job import Job, Result, run_in_process, run_job
from undiffuse.errors import UserError
from undiffuse.explore.vectors import KINDS, Floats, encode_vectors, open_vectors
from undiffuse.imaging.storage import StorageFolder

arrow = pytest.importorskip("pyarrow")
import pyarrow.parquet as parquet  # noqa: E402

pytestmark = pytest.mark.slow

pytest.importorskip("fsspec")
DIM, PARTS, EACH = 24, 3, 1500  # more than a row group to a part


def unit(rows: int, seed: int) -> Floats:
    """Vectors about twenty directions, as those of pictures lie."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(9).normal(size=(20, DIM))
    vectors = centers[rng.integers(0, 20, rows)] + 0.5 * rng.normal(size=(rows, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def vectors_of(part: int) -> dict[str, tuple[list[str], Floats]]:
    return {
        kind: ([f"{kind}-{part}-{k}" for k in range(EACH)], unit(EACH, 2 * part + number))
        for number, kind in enumerate(KINDS)
    }


def write_vectors(folder: Path | str, make: Callable[[int], dict[str, Any]] = vectors_of) -> Any:
    """As `undiffuse embed` writes them."""

    def worker(threads: int, part: int) -> Result:
        rows = make(part)
        counts = {kind: len(keys) for kind, (keys, _) in rows.items()}
        return Result(encode_vectors(rows, "c" * 16), counts, [])

    settings = {"model": "c" * 16, "dim": DIM}
    parts = list(range(PARTS))
    job = Job("embed", settings, parts, parts, ".parquet", lambda threads: partial(worker, threads))
    run_job(job, StorageFolder(str(folder)), run_in_process(1))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return write_vectors(tmp_path_factory.mktemp("vectors"))


def brute(vector: Floats, kind: str, count: int) -> list[tuple[str, float]]:
    rows = [vectors_of(part)[kind] for part in range(PARTS)]
    keys = [key for keys, _ in rows for key in keys]
    cosines = np.concatenate([vectors for _, vectors in rows]) @ vector
    best = np.argsort(-cosines, kind="stable")[:count]
    return [(keys[k], float(cosines[k])) for k in best]


@pytest.mark.parametrize("kind", KINDS)
def test_an_exact_search_compares_every_vector(
    whole: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = open_vectors(whole, kind=kind)
    assert (vectors.count, vectors.dim) == (PARTS * EACH, DIM)
    for query in unit(5, 77):
        expected = brute(query, kind, 7)
        found = vectors.search(query, 7)
        assert [hit.path for hit in found] == [key for key, _ in expected]
        assert [hit.cosine for hit in found] == pytest.approx([c for _, c in expected], abs=1e-6)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    said: list[str] = []
    streamed = open_vectors(whole, kind=kind, exact_below=10, say=said.append)
    assert streamed.search(query, 7) == found
    assert "pip install 'undiffuse[search]'" in said[0]


def test_above_a_size_an_approximate_index_answers_and_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    vectors_folder, cache = write_vectors(tmp_path / "vectors"), tmp_path / "cache"
    said: list[str] = []
    found = right = 0
    for _ in range(2):  # built, then read
        vectors = open_vectors(vectors_folder, cache=cache, exact_below=1000, say=said.append)
        for query in unit(6, 78):
            hits = {hit.path: hit.cosine for hit in vectors.search(query, 10)}
            expected = dict(brute(query, "image", 10))
            right += len(hits.keys() & expected.keys())
            found += len(expected)
            for key in hits.keys() & expected.keys():
                assert hits[key] == pytest.approx(expected[key], abs=1e-6)
    assert said == [f"building an approximate index of {PARTS * EACH} vectors, once"]
    assert right / found > 0.95


@pytest.mark.parametrize("address", ["vectors", "memory://vectors"])
def test_only_an_index_that_was_built_here_of_these_vectors_is_read(
    tmp_path: Path, address: str
) -> None:
    """usearch itself is killed by a damaged file, or follows one that was made for that."""
    pytest.importorskip("usearch")
    where = address if "://" in address else str(tmp_path / address)
    storage, cache = StorageFolder(where), tmp_path / "cache"
    write_vectors(where)
    said: list[str] = []

    def search(cache: Path | None = cache) -> str:
        vectors = open_vectors(where, cache=cache, exact_below=1000, say=said.append)
        return vectors.search(vectors_of(1)["image"][1][5], 1)[0].path

    def built() -> bool:
        said.clear()
        assert search() == "image-1-5"
        return said == [f"building an approximate index of {PARTS * EACH} vectors, once"]

    assert [built(), built()] == [True, False]
    index = storage.read("_index-image.usearch", 1 << 30)
    for data in (index[:5000], index[:-1] + b"x", b""):
        storage.write("_index-image.usearch", data)
        assert [built(), built()] == [True, False]
    manifest = json.loads(storage.read("_manifest.json", 1 << 20))
    storage.write("_manifest.json", json.dumps(manifest).encode())  # of other vectors, or newer
    assert [built(), built()] == [True, False]
    for record in cache.glob("index-*"):
        record.unlink()  # the index of somebody else
    assert [built(), built()] == [True, False]
    storage.remove("_index-image.usearch")
    assert search(None) == "image-1-5"
    assert "_index-image.usearch" not in storage.sizes()


def test_vectors_of_another_clip_or_kind_and_half_a_result_are_refused(
    whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="the CLIP cccccccccccccccc, and the query is of dddd"):
        open_vectors(whole, model="d" * 16)
    with pytest.raises(UserError, match="run the same `undiffuse embed` to its end"):
        open_vectors(tmp_path)
    images = write_vectors(tmp_path / "images", lambda part: {"image": vectors_of(part)["image"]})
    with pytest.raises(UserError, match="no vectors of kind text"):
        open_vectors(images, kind="text")
    with pytest.raises(UserError, match=r"shape \(3,\)"):
        open_vectors(images).search(np.zeros(3, np.float32))


def test_hostile_manifests_and_parts_are_refused(tmp_path: Path) -> None:
    write_vectors(tmp_path)
    manifest = tmp_path / "_manifest.json"
    good = manifest.read_text()
    about = json.loads(good)
    (tmp_path.parent / "outside.parquet").write_bytes(b"")
    for change in (
        {"settings": {"model": "c", "dim": 1 << 40}},
        {"settings": {}},
        {"parts": [{"name": "../outside.parquet", "rows": {"image": 1}}]},
        {"parts": [{"name": "part-000009.parquet", "rows": {"image": 1}}]},
        {"rows": []},
        {"parts": 7},
    ):
        manifest.write_text(json.dumps(about | change))
        with pytest.raises(UserError, match=r"_manifest\.json is broken, or a part"):
            open_vectors(tmp_path)
    manifest.write_text("[" * 100_000)
    with pytest.raises(UserError, match="is broken"):
        open_vectors(tmp_path)
    manifest.write_text(good)
    part = tmp_path / "part-000001.parquet"
    data = part.read_bytes()
    table = parquet.read_table(part)
    infinite = vectors_of(1) | {"image": (vectors_of(1)["image"][0], unit(EACH, 1) * np.inf)}
    for bad in (data[:-100], b"PAR1", encode_vectors(infinite, "c"), None, table.slice(0, 9)):
        if isinstance(bad, bytes):
            part.write_bytes(bad)
        else:
            parquet.write_table(bad or table.drop_columns(["vector"]), part)
        with pytest.raises(UserError, match=r"part-000001\.parquet is broken"):
            open_vectors(tmp_path).search(unit(1, 0)[0])


def test_search_and_space_read_vectors(model_folder: Path, run: Run) -> None:
    from PIL import Image

    Path("pictures").mkdir()
    for number in range(5):
        Image.new("RGB", (64, 64), (50 * number, 0, 0)).save(f"pictures/p{number}.png")
    run("embed", "pictures", "-o", "vectors", "--workers", "0")
    by_folder = run("search", "red", "pictures", "-n", "3")[1]
    by_vectors = run("search", "red", "vectors", "-n", "3")[1]
    assert [line.replace("pictures/", "") for line in by_folder] == by_vectors
    assert run("space", "red", "--pictures", "vectors", "-n", "2")[0] == 0
    status, _, err = run("search", "red", "vectors", "--sheet", "sheet.png")
    assert (status, "holds vectors: leave it out" in err) == (2, True)
    status, _, err = run("search", "red", "vectors", model=None)
    assert (status, "choose the CLIP by --model or --clip" in err) == (2, True)
