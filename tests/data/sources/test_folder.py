"""Folders and zip archives of pictures, as messy as people have them."""

import os
import zipfile
from pathlib import Path

import pytest

from tests.data.sources.make import BAR, noise, picture, read, read_with_bad, write
from undiffuse.data.sources import open_source
from undiffuse.data.sources.file_names import caption_from_name
from undiffuse.errors import UserError

PNG = picture()


def test_text_files_beside_the_pictures_are_captions(tmp_path: Path) -> None:
    write(tmp_path, {
        "a.png": PNG, "a.txt": b"\xef\xbb\xbfa red apple\r\n\r\n  an apple,\tred \r\n",
        "b.JPG": picture("JPEG"), "b.caption": "two pears",
        "c.svg": BAR, "c.txt": "ein Bär\nein Bär".encode("utf-16"),
        "d.png": PNG, "d.txt": "caf\xe9".encode("cp1252"),
        "e.png": PNG, "e.json": '{"prompt": "a bee", "style": "flat", "label": "insect"}',
        "empty.png": PNG, "empty.txt": " \r\n",
        "none.webp": picture("WEBP"),
        "readme.txt": "no caption", ".hidden.png": PNG, ".git/x.png": PNG,
    })  # fmt: skip
    items = read(tmp_path)
    assert {key: item.captions for key, item in items.items()} == {
        "a.png": ["a red apple", "an apple, red"],
        "b.JPG": ["two pears"],
        "c.svg": ["ein Bär"],
        "d.png": ["café"],
        "e.png": ["a bee"],
        "empty.png": [],
        "none.webp": [],
    }
    assert (items["e.png"].style, items["e.png"].label) == ("flat", "insect")
    assert items["a.png"].origin == str(tmp_path / "a.png")
    source = open_source(tmp_path)
    assert source.format == "folder with caption files"
    assert (
        source.describe()
        == f"{tmp_path}: {source.format}: 7 pictures, 6 of them with a caption file"
    )


def test_a_text_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": PNG, "a.txt": b"\x00\x01", "b.png": PNG, "b.txt": "x" * 300_000,
                     "c.png": PNG, "c.txt": "good", "d.png": PNG, "d.json": "[1]"})  # fmt: skip
    items, bad = read_with_bad(tmp_path)
    assert list(items) == ["c.png"]
    assert [(Path(origin).name, reason[:25]) for origin, reason in bad] == [
        ("a.png", "the caption file is binar"), ("b.png", "the file has more than 25"),
        ("d.png", "the JSON is a list, not a"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("red_apple-02.png", "red apple"),
        ("fruit/Red Apple (1).PNG", "Red Apple"),
        ("001_green--pear.jpg", "green pear"),
        ("3_apples.png", "3 apples"),
        ("ArrowLeft@2x.png", "Arrow Left"),
        ("home-24px.svg", "home"),
        ("home_64x64 copy 2.svg", "home"),
        ("man's hat.png", "man's hat"),
        ("grüner_Baum.png", "grüner Baum"),
        ("gru\u0308n.png", "grün"),
        ("赤い_りんご.png", "赤い りんご"),
        ("red.apple.v2.png", "red apple v2"),
        ("IMG_1234.jpg", ""),
        ("DSC00012.JPG", ""),
        ("n01440764_10026.JPEG", ""),
        ("1f34e.svg", ""),
        ("emoji_u1f34e.svg", ""),
        ("d41d8cd98f00b204e9800998ecf8427e.png", ""),
        ("0001.png", ""),
    ],
)
def test_names_become_captions(name: str, caption: str) -> None:
    assert caption_from_name(name) == caption


def test_file_names_are_captions_and_folders_are_labels(tmp_path: Path) -> None:
    write(tmp_path, {"fruit/red_apple-01.png": PNG, "fruit/red_apple-02.png": PNG,
                     "animals/cats/IMG_0001.png": PNG, "3/0001.png": PNG})  # fmt: skip
    items = read(tmp_path)
    assert {key: (item.label, item.captions) for key, item in items.items()} == {
        "3/0001.png": ("3", []),
        "animals/cats/IMG_0001.png": ("cats", ["cats"]),
        "fruit/red_apple-01.png": ("fruit", ["red apple"]),
        "fruit/red_apple-02.png": ("fruit", ["red apple"]),
    }
    assert "3 folders as labels" in open_source(tmp_path).describe()


def test_one_folder_is_no_label_and_one_split_is_no_split(tmp_path: Path) -> None:
    write(tmp_path, {f"train/images/{k}.png": PNG for k in range(200)})
    items = read(tmp_path)
    assert {item.label for item in items.values()} == {""}
    splits = [item.split for item in items.values()]
    assert 0 < splits.count("validation") < 20
    assert splits.count("train") + splits.count("validation") == 200


def test_folders_named_as_splits_are_splits(tmp_path: Path) -> None:
    write(tmp_path, {"Train/cat/a.png": PNG, "Train/dog/b.png": PNG, "val/cat/c.png": PNG,
                     "test/dog/d.png": PNG})  # fmt: skip
    items = read(tmp_path)
    assert [(item.split, item.label) for item in items.values()] == [
        ("train", "cat"), ("train", "dog"), ("test", "dog"), ("validation", "cat"),
    ]  # fmt: skip


def test_names_that_are_no_unicode_are_read(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/gr\xfcn.png"
    try:
        with open(path, "wb") as file:
            file.write(PNG)
    except OSError:
        pytest.skip("this file system takes Unicode names alone")
    write(tmp_path, {"\x1b[2J.png": PNG, "日本.png": PNG})
    items = read(tmp_path)
    assert sorted(item.captions for item in items.values()) == [["2J"], ["grün"], ["日本"]]
    for item in items.values():
        assert item.key.isprintable()
        assert item.origin.isprintable()
        item.key.encode()


def test_files_that_cannot_be_used_are_counted_and_named(tmp_path: Path) -> None:
    write(tmp_path, {"photo.heic": b"x", "cut.png": PNG[:40], "text.jpg": "hello", "ok.png": PNG,
                     "notes.docx": "x"})  # fmt: skip
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked.png").symlink_to(tmp_path / "ok.png")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    items, bad = read_with_bad(tmp_path)
    assert list(items) == ["linked.png", "ok.png"]
    assert [Path(origin).name for origin, _ in bad] == ["cut.png", "photo.heic", "text.jpg"]
    assert bad[1][1] == ".heic can't be read: convert it to PNG or JPEG"


def test_a_zip_archive_is_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (("d/a.png", PNG), ("d/a.txt", "a cat"), ("d/b.png", PNG),
                           ("__MACOSX/d/a.png", b"x"), ("d/", "")):  # fmt: skip
            archive.writestr(name, data)
    items = read(path)
    assert {key: item.captions for key, item in items.items()} == {
        "d/a.png": ["a cat"],
        "d/b.png": [],
    }
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="no zip archive that can be read"):
        open_source(path)


def test_a_zip_bomb_is_one_bad_picture(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("ok.png", PNG)
        archive.writestr("x.png", bytes(70 << 20))
    _, bad = read_with_bad(path)
    assert [(origin, reason) for origin, reason in bad] == [
        (f"{path}: x.png", "the file has more than 65536 KiB")
    ]


def test_shuffling_permutes_all_pictures_the_same_way_each_time(tmp_path: Path) -> None:
    write(tmp_path, {f"{'ab'[k % 2]}/{k:03d}.png": noise(k) for k in range(60)})
    plain = list(read(tmp_path))
    first = list(read(tmp_path, shuffle=5, seed=1))
    assert first == list(read(tmp_path, shuffle=5, seed=1))
    assert first != list(read(tmp_path, shuffle=5, seed=2))
    assert sorted(first) == plain != first
    assert len({key[0] for key in first[:10]}) == 2  # not folder after folder
