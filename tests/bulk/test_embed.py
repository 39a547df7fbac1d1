"""`undiffuse embed`: whole data sets to vectors, with a tiny CLIP of random weights."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.bulk.test_job import contents
from tests.conftest import Run
from tests.data.archives import archive, encoded
from tests.sample import FOLDER, originals
from undiffuse.bulk.embed import ClipModel, EmbedWorker, embed_job
from undiffuse.bulk.job import run_in_process, run_job
from undiffuse.data.shards import find_shards, read_shards
from undiffuse.errors import UserError
from undiffuse.explore.index import ImageIndex
from undiffuse.explore.vectors import KINDS
from undiffuse.imaging.read import read_image
from undiffuse.imaging.storage import StorageFolder
from undiffuse.runtime.networks import ClipEncoder

pytestmark = pytest.mark.slow

parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("fsspec")

PLAIN = ("--workers", "0")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve PNG files, with transparency, some wide and some tall."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, sample in enumerate(originals()[:12]):
        image = Image.fromarray(sample.picture)
        if number % 3:
            image = image.resize((80, 50) if number % 3 == 1 else (30, 70))
        image.save(folder / f"{sample.key}.png")
    return folder


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three of the sample's shards: 84 pictures."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for name in ("blob", "composite", "emojione"):
        shutil.copy(FOLDER / f"{name}-000000.tar", folder)
    return folder


def rows(folder: Path, kind: str = "image") -> dict[str, bytes]:
    """Key -> vector; fails where a key occurs twice."""
    tables = [parquet.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    found = [row for table in tables for row in table.to_pylist() if row["kind"] == kind]
    vectors = {row["key"]: np.array(row["vector"], np.float32).tobytes() for row in found}
    assert len(vectors) == len(found)
    return vectors


def test_a_folder_gives_the_vectors_that_search_makes_of_it(
    pictures: Path, model_folder: Path, tmp_path: Path, run: Run
) -> None:
    status, lines, _ = run("embed", str(pictures), "-o", "vectors", "--kind", "image", *PLAIN)
    assert (status, lines) == (0, ["vectors: complete, 1 parts, 12 images, 0 texts"])
    run("search", "cat", str(pictures), "--index", "index")
    index = ImageIndex.read(tmp_path / "index")
    searched = {p: v.tobytes() for p, v in zip(index.paths, index.vectors, strict=True)}
    assert rows(tmp_path / "vectors") == searched
    table = parquet.read_table(next((tmp_path / "vectors").glob("*.parquet")))
    assert str(table.schema.field("vector").type).startswith("fixed_size_list<element: float")
    assert set(table["model"].to_pylist()) == {ClipEncoder(model_folder, 1).hash}


def test_shards_give_each_picture_and_each_caption_once(
    model_folder: Path, shards: Path, tmp_path: Path, run: Run
) -> None:
    assert run("embed", "shards", "-o", "vectors", *PLAIN)[0] == 0
    images = rows(tmp_path / "vectors")
    keys = {sample.key for sample in read_shards(find_shards(shards))}
    assert {key.partition("/")[2] for key in images} == keys
    manifest = json.loads((tmp_path / "vectors" / "_manifest.json").read_text())
    assert len(manifest["parts"]) == 3
    assert manifest["rows"]["image"] == len(images) == len(keys)
    table = parquet.read_table(tmp_path / "vectors" / "part-000000.parquet").to_pylist()
    encoder = ClipEncoder(model_folder, 1)
    sample = next(s for s in originals() if s.key == table[0]["key"].partition("/")[2])
    said = next(row["vector"] for row in table if row["kind"] == "text")
    assert said == encoder.encode_text([sample.record["name"]])[0].tolist()


def test_the_same_bytes_for_any_number_of_threads_and_after_a_kill(
    shards: Path, tmp_path: Path, run: Run
) -> None:
    for threads in "12":
        run("embed", "shards", "-o", f"v{threads}", "--threads", threads, *PLAIN)
    assert contents(tmp_path / "v1") == contents(tmp_path / "v2")
    for name in ("_manifest.json", "part-000001.parquet", "_parts/part-000002.json"):
        (tmp_path / "v2" / name).unlink()
    status, _, err = run("embed", "shards", "-o", "v2", *PLAIN)
    assert (status, "1 of 3 parts are finished" in err) == (0, True)
    assert contents(tmp_path / "v1") == contents(tmp_path / "v2")


def test_tables_and_parquet_files_and_the_parts_of_a_folder_agree(
    pictures: Path, tmp_path: Path, run: Run
) -> None:
    import pyarrow as arrow

    names = sorted(path.name for path in pictures.glob("*.png"))
    run("embed", str(pictures), "-o", "folder", "--per-part", "5", *PLAIN)
    assert len(list((tmp_path / "folder").glob("*.parquet"))) == 3
    by_name = rows(tmp_path / "folder")
    assert sorted(by_name) == names

    files = tmp_path / "files"
    files.mkdir()
    for part in range(3):
        some = names[4 * part : 4 * part + 4]
        table = {"image": [(pictures / name).read_bytes() for name in some], "text": some}
        parquet.write_table(arrow.table(table), files / f"data-{part}.parquet")
    run("embed", str(files), "-o", "parquet", *PLAIN)
    assert len(list((tmp_path / "parquet").glob("*.parquet"))) == 3
    assert sorted(rows(tmp_path / "parquet").values()) == sorted(by_name.values())

    lines = ["file_name,text", *(f"{name},a thing" for name in names)]
    (pictures / "metadata.csv").write_text("\n".join(lines))
    run("embed", str(pictures), "-o", "table", "--per-part", "5", *PLAIN)
    assert rows(tmp_path / "table") == by_name
    assert rows(tmp_path / "table", "text").keys() == by_name.keys()


def test_what_is_read_and_written_may_lie_at_an_address(
    pictures: Path, shards: Path, tmp_path: Path, run: Run
) -> None:
    """fsspec's `memory://`, as any object storage: shards, Parquet files and single pictures."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(pictures), "/in/pictures", recursive=True)
    memory.put(str(shards), "/in/shards", recursive=True)
    run("embed", str(pictures), "-o", "pictures-v", *PLAIN)
    run("embed", "shards", "-o", "shards-v", *PLAIN)
    for kind in ("pictures", "shards"):
        status, _, err = run("embed", f"memory://in/{kind}", "-o", f"memory://out/{kind}", *PLAIN)
        assert status == 0, err
        memory.get(f"/out/{kind}/", str(tmp_path / f"got-{kind}"), recursive=True)
        local = tmp_path / f"{kind}-v"
        assert {name for name in contents(local) if name.startswith("part-")} == {
            path.name for path in (tmp_path / f"got-{kind}").glob("part-*")
        }
        assert rows(tmp_path / f"got-{kind}") == rows(local)
    found = run("search", "cat", "memory://out/shards", "-n", "1")[1]
    assert found[0].split()[1] in rows(tmp_path / "shards-v")


def test_bad_samples_are_counted_and_named(tmp_path: Path, run: Run) -> None:
    data = tmp_path / "data"
    data.mkdir()
    archive(data / "a.tar", ("torn.png", encoded()[:40]), ("torn.txt", b"words"))
    archive(data / "b.tar")
    (data / "b.tar").write_bytes((data / "b.tar").read_bytes()[:9000])
    status, _, err = run("embed", "data", "-o", "vectors", *PLAIN)
    assert status == 0
    assert "2 samples were left out" in err
    assert "a.tar: torn: the " in err
    assert "b.tar: the archive is damaged" in err
    assert {key.partition("/")[2] for key in rows(tmp_path / "vectors")} <= {
        f"good{k:02d}" for k in range(20)
    }


def test_too_many_bad_samples_stop_the_run(tmp_path: Path, run: Run) -> None:
    data = tmp_path / "data.tar"
    archive(data, *((f"{k:02}.png", b"no picture") for k in range(30)))
    status, lines, err = run("embed", "data.tar", "-o", "vectors", *PLAIN)
    assert (status, lines) == (2, [])
    assert "30 of 50 samples can't be used" in err
    assert not (tmp_path / "vectors" / "_manifest.json").exists()
    assert run("embed", "data.tar", "-o", "vectors", "--max-bad", "0.7", *PLAIN)[0] == 0


def test_hostile_archives_leave_nothing_on_the_disk(tmp_path: Path, run: Run) -> None:
    hostile: list[Any] = [
        ("../../escape.png", encoded()), ("/tmp/escape.png", encoded()),
        ("link.png", b"/etc/passwd", tarfile.SYMTYPE),
    ]  # fmt: skip
    archive(tmp_path / "hostile.tar", *hostile)
    run("embed", "hostile.tar", "-o", "vectors", *PLAIN)
    assert len(rows(tmp_path / "vectors")) == 20
    assert not list(tmp_path.parent.rglob("escape*"))


def test_errors_name_the_thing_and_the_way_out(tmp_path: Path, run: Run) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (("nothing", "-o", "v"), "nothing does not exist"),
        (("empty", "-o", "v"), "holds no pictures"),
        ((str(FOLDER), "-o", "v", "--address", "auto", *PLAIN), "--workers is 0"),
        (("s3x://a/b", "-o", "v"), "s3x"),
        ((str(FOLDER), "-o", "gopherx://v", *PLAIN), "gopherx"),
    ):
        status, lines, err = run("embed", *arguments)
        assert (status, lines) == (2, [])
        assert said in err
        assert "Traceback" not in err


def test_another_clip_is_another_job(
    model_folder: Path, pictures: Path, tmp_path: Path, run: Run
) -> None:
    output = StorageFolder(str(tmp_path / "vectors"))
    job = embed_job(str(pictures), ClipModel(model_folder), KINDS)
    run_job(job, output, run_in_process(1))
    status, _, err = run("embed", str(pictures), "-o", "vectors", *PLAIN, model=None)
    assert status == 2
    assert "model: " in err
    assert "--overwrite" in err


def test_a_worker_with_another_clip_stops(
    model_folder: Path, pictures: Path, tmp_path: Path
) -> None:
    worker = EmbedWorker(str(pictures), ClipModel(model_folder), "0" * 16, ["image"], 10, 1)
    with pytest.raises(UserError, match="give every machine the same"):
        worker([0, 2])


def test_read_image_and_embed_see_the_same_pixels(pictures: Path) -> None:
    from undiffuse.bulk.embed import _on_white, _padded
    from undiffuse.data.sources.decode import decode

    for path in pictures.glob("*.png"):
        seen = _padded(_on_white(decode(path.read_bytes(), 64)))
        assert np.array_equal(seen, read_image(path).transpose(2, 0, 1))
