"""The gallery: listing, search, deletion, and that nothing else can be read."""

from pathlib import Path

import numpy as np
import pytest

from tests.studio.conftest import Studio
from undiffuse.errors import UserError
from undiffuse.imaging.png import encode_png
from undiffuse.studio.gallery import Gallery

RECORD = {"prompt": "x"}


def test_pictures_are_listed_newest_first_in_pages(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.prepare()
    for number in range(5):
        name = f"20260101-00000{number}-0000000{number}.png"
        (tmp_path / name).write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8), RECORD))
    (tmp_path / "mine.png").write_bytes(b"not the studio's")
    first = gallery.stems(count=2)
    assert [stem[-1] for stem in first] == ["4", "3"]
    assert [stem[-1] for stem in gallery.stems(first[-1])] == ["2", "1", "0"]


def test_the_same_file_is_kept_once(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.prepare()
    data = encode_png(np.zeros((8, 8, 3), np.uint8), RECORD)
    assert gallery.add(data, RECORD) == gallery.add(data, RECORD)
    assert len(gallery.stems()) == 1


def test_a_picture_is_found_by_words_and_deleted(studio: Studio) -> None:
    names = {
        event["file"].removesuffix(".png")
        for prompt in ("cat", "dog")
        for event in studio.draw(prompt=prompt, steps=1)
        if event["type"] == "picture"
    }
    found = studio.get("/api/gallery?search=cat%20%2B%20hat").json()["pictures"]
    assert names <= {row["name"] for row in found}
    cosines = [row["cosine"] for row in found]
    assert cosines == sorted(cosines, reverse=True)
    gone = names.pop()
    assert studio.call("DELETE", f"/api/pictures/{gone}").status == 204
    assert studio.call("DELETE", f"/api/pictures/{gone}").status == 404
    left = studio.get("/api/gallery?search=cat").json()["pictures"]
    assert gone not in {row["name"] for row in left}


@pytest.mark.parametrize("query", ["count=0", "count=x", "count=999", "search=x.png",
                                   "search=%22", "search=cat%20-%20/etc/x.png"])  # fmt: skip
def test_a_wrong_query_is_refused(studio: Studio, query: str) -> None:
    reply = studio.call("GET", f"/api/gallery?{query}")
    assert reply.status == 400, reply.body


@pytest.mark.parametrize(
    "path",
    ["/api/pictures/../../etc/passwd", "/api/pictures/..%2f..%2fetc%2fpasswd.png",
     "/api/pictures/mine.png", "/api/uploads/..%2f20260101-000000-00000000.png", "/base.css/..",
     "/../pyproject.toml", "/api/uploads/x.png", "/studio/page/base.css", "/%2e%2e/base.css",
     "/api/pictures/20260101-000000-00000000.png%00"],
)  # fmt: skip
def test_only_generated_names_are_read(studio: Studio, path: str) -> None:
    (studio.folder / "mine.png").write_bytes(b"secret")
    reply = studio.get(path)
    assert reply.status in (400, 404)
    assert b"secret" not in reply.body


def test_a_link_in_the_folder_is_not_followed(studio: Studio, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    name = "20260101-000000-aaaaaaaa"
    (studio.folder / f"{name}.png").symlink_to(secret)
    try:
        assert studio.get(f"/api/pictures/{name}.png").status == 404
    finally:
        (studio.folder / f"{name}.png").unlink()


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        Gallery(tmp_path / "file" / "below").prepare()


def test_old_uploads_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undiffuse.studio.gallery.MAX_UPLOADS", 3)
    gallery = Gallery(tmp_path)
    gallery.prepare()
    names = [gallery.upload(encode_png(np.full((8, 8, 3), k, np.uint8))) for k in range(5)]
    assert len(list((tmp_path / "uploads").iterdir())) == 3
    assert gallery.upload_path(names[-1]).is_file()
