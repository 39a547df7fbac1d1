"""ImageFolder tables: CSV as spreadsheets write it, JSON Lines, Parquet, and hostile ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.sources.make import noise, picture, quick, read, read_with_bad, write
from undiffuse.data.sources import open_source
from undiffuse.data.sources.columns import COLUMNS, read_words
from undiffuse.errors import UserError

PNG = picture()


def captions(root: Path) -> dict[str, list[str]]:
    return {key: item.captions for key, item in read(root).items()}


@pytest.mark.parametrize(
    "table",
    [
        b"file_name,text\na.png,a cat\nd/b.png,a dog\n",
        b'\xef\xbb\xbfFile_Name;Caption\r\na.png;a cat\r\nd\\b.png;"a\r\ndog"\r\n',
        "file_name\ttext\na.png\ta cat\nd/b.png\ta dog\n".encode("utf-16"),
        b"text,other,image\n a  cat ,x,a.png\n,,\na dog,y,./d/b.png,too,many\n",
    ],
)
def test_csv_is_read_in_every_dialect(tmp_path: Path, table: bytes) -> None:
    write(tmp_path, {"a.png": PNG, "d/b.png": PNG, "metadata.csv": table, "d/b.txt": "no"})
    assert captions(tmp_path) == {"a.png": ["a cat"], "d/b.png": ["a dog"]}
    assert open_source(tmp_path).format == "ImageFolder"
    assert captions(tmp_path / "metadata.csv") == captions(tmp_path)


def test_rows_of_one_file_are_one_item_with_several_captions(tmp_path: Path) -> None:
    rows = ["file_name,text", "a.png,one", "a.png,two", "b.png,three", "a.png,four"]
    write(tmp_path, {"a.png": PNG, "b.png": PNG, "metadata.csv": "\n".join(rows)})
    assert captions(tmp_path) == {"a.png": ["one", "two"], "b.png": ["three"], "a.png:5": ["four"]}


def test_json_lines_name_label_style_split_and_lists_of_captions(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"file_name": "a.png", "captions": ["a cat", "", "a cat", "cat\nhere", 3], "label": "cat"},
        {"file_name": "b.png", "text": None, "prompt": "a dog", "style": "flat", "split": "val"},
        {"file_name": "c.png", "label": 3},
        {"file_name": "d.png", "category": "big_dog", "split": "held-out"},
        {"file_name": "e.png", "name": "bee", "keywords": ["insect", "bee", "honey"]},
    ]
    write(tmp_path, {f"{c}.png": PNG for c in "abcde"})
    write(tmp_path, {"metadata.jsonl": "".join(json.dumps(row) + "\r\n" for row in rows)})
    items = read(tmp_path)
    assert [(i.captions, i.label, i.style) for i in items.values()] == [
        (["a cat", "cat here", "3"], "cat", ""),
        (["a dog"], "", "flat"),
        ([], "3", ""),
        (["big dog"], "big_dog", ""),
        (["bee", "bee, insect, honey"], "", ""),
    ]
    assert [items[key].split for key in ("b.png", "d.png")] == ["validation", "held-out"]
    assert items["b.png"].origin == f"{tmp_path / 'metadata.jsonl'}:2"


def test_parquet_tables_and_tables_in_split_folders(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    write(tmp_path, {"train/a.png": PNG, "test/b.png": PNG})
    for split, name in (("train", "a"), ("test", "b")):
        table = pa.table({"file_name": [f"{name}.png"], "text": [[f"picture {name}", "x"]]})
        pq.write_table(table, tmp_path / split / "metadata.parquet")
    items = read(tmp_path)
    assert {key: (i.captions, i.split) for key, i in items.items()} == {
        "test/b.png": (["picture b", "x"], "test"), "train/a.png": (["picture a", "x"], "train"),
    }  # fmt: skip


def test_any_single_table_of_file_names_counts_and_others_do_not(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": PNG, "captions.csv": "filename,description\na.png,a cat\n"})
    assert captions(tmp_path) == {"a.png": ["a cat"]}
    (tmp_path / "captions.csv").write_text("score,comment\n1,a.png\n")
    assert captions(tmp_path) == {"a.png": ["a"]}  # its name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.png", "leaves the data set's folder"),
        ("d/../../secret.png", "leaves the data set's folder"),
        ("/etc/passwd", "leaves the data set's folder"),
        ("C:\\x.png", "leaves the data set's folder"),
        ("https://example.org/x.png", "is an address"),
        ("missing.png", "there is no file missing.png"),
        ("x\x00.png", "leaves the data set's folder"),
        ("", "has no file_name"),
        (None, "has no file_name"),
        (["a.png"], "has no file_name"),
        (".", "no file"),
        ("a" * 5000 + ".png", "can't be read"),
    ],
)
def test_a_row_that_names_no_picture_of_the_set_is_named(
    tmp_path: Path, name: Any, reason: str
) -> None:
    root = tmp_path / "set"
    rows = [{"file_name": "ok.png", "text": "x"}, {"file_name": name, "text": "x"}]
    write(tmp_path, {"secret.png": PNG, "set/ok.png": PNG})
    write(root, {"metadata.jsonl": "\n".join(map(json.dumps, rows))})
    items, bad = read_with_bad(root)
    assert list(items) == ["ok.png"]
    assert [origin for origin, _ in bad] == [f"{root / 'metadata.jsonl'}:2"]
    assert reason in bad[0][1]
    assert len(bad[0][1]) < 600


def test_lines_that_are_no_json_are_named_by_number(tmp_path: Path) -> None:
    good = '{"file_name": "ok.png", "text": "x"}'
    lines = [good, "{", "[1]", "", "[" * 100_000, '"' + "x" * 600_000, good.replace("x", "y", 1)]
    write(tmp_path, {"ok.png": PNG, "metadata.jsonl": "\n".join(lines)})
    items, bad = read_with_bad(tmp_path)
    assert list(items) == ["ok.png", "ok.png:7"]
    assert [origin.rpartition(":")[2] for origin, _ in bad] == ["2", "3", "5", "6"]


@quick
@given(table=st.binary(max_size=400), kind=st.sampled_from(["csv", "tsv", "jsonl"]))
def test_no_bytes_in_a_table_do_harm(
    tmp_path_factory: pytest.TempPathFactory, table: bytes, kind: str
) -> None:
    root = tmp_path_factory.mktemp("table")
    start = b"" if kind == "jsonl" else b"file_name,text\na.png,x\n"
    write(root, {"a.png": PNG, f"metadata.{kind}": start + table})
    items, bad = read_with_bad(root)
    assert all(text.isprintable() for pair in bad for text in pair)
    assert all(item.image.shape == (6, 8, 4) for item in items.values())


cells = st.text(max_size=12) | st.none() | st.integers() | st.floats() | st.booleans()
values = st.recursive(
    cells,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
names = st.sampled_from([name for names in COLUMNS.values() for name in names])


@quick
@given(st.dictionaries(names | st.text(max_size=5), values, max_size=5))
def test_any_record_gives_clean_words(record: dict[str, Any]) -> None:
    words = read_words(record, {"label": ["cat", "dog"]})
    for text in (*words.captions, words.label, words.style, words.split):
        assert isinstance(text, str)
        assert text == text.strip()
        assert "\n" not in text
        text.encode()
    assert all(words.captions)


def test_a_table_is_streamed_and_divided_among_workers(tmp_path: Path) -> None:
    rows = [f"{k}.png,number {k}" for k in range(20)]
    write(tmp_path, {f"{k}.png": noise(k) for k in range(20)})
    write(tmp_path, {"metadata.csv": "file_name,text\n" + "\n".join(rows)})
    parts = [set(read(tmp_path, worker=k, workers=3)) for k in range(3)]
    assert sorted(map(len, parts)) == [6, 7, 7]
    assert set.union(*parts) == set(read(tmp_path))


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    write(tmp_path, {"a.png": PNG, "metadata.parquet": b"PAR1"})
    with pytest.raises(UserError, match=r"pip install 'undiffuse\[data\]'"):
        open_source(tmp_path)
