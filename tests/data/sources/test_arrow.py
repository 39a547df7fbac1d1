"""Data sets of the `datasets` library on disk, and Parquet files with pictures in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.make import noise, read, read_with_bad, write
from undiffuse.data.sources import open_source
from undiffuse.errors import UserError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
            "text": {"dtype": "string", "_type": "Value"}}  # fmt: skip


def table(count: int, first: int = 0) -> Any:
    numbers = range(first, first + count)
    images = pa.array([{"bytes": noise(k), "path": f"{k}.png"} for k in numbers])
    columns = {"image": images, "label": [k % 2 for k in numbers],
               "text": [f"number {k}" if k % 5 else "" for k in numbers]}  # fmt: skip
    noted = json.dumps({"info": {"features": FEATURES}})
    return pa.table(columns).replace_schema_metadata({"huggingface": noted})


def save(root: Path, *tables: Any) -> Path:
    """As `Dataset.save_to_disk` of datasets 5.2 does."""
    root.mkdir(parents=True)
    names = [f"data-{k:05d}-of-{len(tables):05d}.arrow" for k in range(len(tables))]
    for name, rows in zip(names, tables, strict=True):
        with pa.ipc.new_stream(str(root / name), rows.schema) as stream:
            stream.write_table(rows, 4)
    write(root, {
        "state.json": json.dumps({"_data_files": [{"filename": name} for name in names]}),
        "dataset_info.json": json.dumps({"features": FEATURES}),
    })  # fmt: skip
    return root


def test_a_saved_data_set_gives_captions_and_the_names_of_labels(tmp_path: Path) -> None:
    root = save(tmp_path / "saved", table(6), table(5, 6))
    items = read(root)
    assert [item.captions for item in items.values()] == [
        [f"number {k}"] if k % 5 else [] for k in range(11)
    ]
    assert items["data-00001-of-00002.arrow/000001"].label == "dog"
    assert open_source(root).format == "datasets"
    parts = [set(read(root, worker=k, workers=2)) for k in range(2)]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(items)


def test_a_saved_dictionary_gives_its_splits(tmp_path: Path) -> None:
    save(tmp_path / "train", table(4))
    save(tmp_path / "validation", table(2, 4))
    write(tmp_path, {"dataset_dict.json": '{"splits": ["train", "validation"]}'})
    assert [item.split for item in read(tmp_path).values()] == ["train"] * 4 + ["validation"] * 2
    assert open_source(tmp_path).describe().endswith("2 files, splits train, validation")


def test_parquet_files_as_downloaded(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split, count in (("train", 5), ("test", 3)):
        pq.write_table(table(count), tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    items = read(tmp_path)
    assert [item.split for item in items.values()] == ["test"] * 3 + ["train"] * 5
    assert items["data/train-00000-of-00001.parquet/000001"].captions == ["number 1"]
    plain = pa.table({"jpg": [noise(1), None, b"x"], "caption": ["a", "b", "c"], "n": [1, 2, 3]})
    pq.write_table(plain, tmp_path / "one.parquet")
    kept, bad = read_with_bad(tmp_path / "one.parquet")
    assert [item.captions for item in kept.values()] == [["a"]]
    assert [origin[-5:] for origin, _ in bad] == ["row 1", "row 2"]
    assert "holds no picture" in bad[0][1]


def test_hostile_saved_data_sets_are_refused_by_name(tmp_path: Path) -> None:
    outside = save(tmp_path / "outside", table(1))
    for number, (name, text, reason) in enumerate((
        ("state.json", '{"_data_files": [{"filename": "../outside/data-00000-of-00001.arrow"}]}',
         "no file of its own folder"),
        ("state.json", '{"_data_files": [{"filename": 3}]}', "no file of its own folder"),
        ("state.json", '{"_data_files": []}', "lists no data"),
        ("state.json", "[]", "not an object"),
        ("dataset_dict.json", '{"splits": ["../outside"]}', "no file of its own folder"),
        ("dataset_dict.json", '{"splits": ["gone"]}', "there is no file"),
    )):  # fmt: skip
        root = write(tmp_path / str(number), {name: text})
        with pytest.raises(UserError, match=reason):
            open_source(root)
    (outside / "data-00000-of-00001.arrow").write_bytes(b"no arrow file")
    with pytest.raises(UserError, match="none can be used"):
        read(outside)


def test_a_cut_arrow_file_gives_what_is_whole(tmp_path: Path) -> None:
    root = save(tmp_path / "saved", table(8))
    path = root / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-900])
    items, bad = read_with_bad(root)
    assert len(items) == 4
    assert [origin for origin, _ in bad] == [str(path)]
