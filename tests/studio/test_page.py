"""The page's files: readable, without inline code, and with nothing from elsewhere."""

import re
from pathlib import Path

import pytest

from tests.studio.conftest import Studio
from tests.studio.javascript import LOCAL
from undiffuse.studio import api

SERVED = list(api.page_files().values())
FILES = [*SERVED, *sorted(LOCAL.iterdir())]  # and those of the exported site
EACH = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")


@EACH
def test_a_file_is_short(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) < 300
    assert max(map(len, lines)) <= 100


@EACH
def test_nothing_is_loaded_from_elsewhere_or_inline(path: Path) -> None:
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(https?:)?//[a-z]+\.", text)
    assert "innerHTML" not in text
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", text)


@pytest.mark.parametrize("path", SERVED, ids=lambda path: path.name)
def test_it_is_served_with_its_type(studio: Studio, path: Path) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html",
             ".svg": "image/svg+xml"}  # fmt: skip
    reply = studio.get(f"/{path.name}")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith(kinds[path.suffix])


def test_every_text_that_is_used_exists_and_every_one_is_used() -> None:
    table = (Path(api.__file__).with_name("page") / "texts.en.js").read_text("utf-8")
    known = set(re.findall(r"^  (\w+):", table, re.M))
    used = set()
    for path in FILES:
        if path.name == "texts.en.js":
            continue
        text = path.read_text("utf-8")
        used |= set(re.findall(r"\btexts\.(?!en\b)(\w+)", text))
        used |= set(re.findall(r'data-(?:text|label|placeholder)="(\w+)"', text))
    used |= {"style", "steps", "sampler", "guidance", "freshness", "negative", "seed", "size"}
    used |= {"compose", "fast", "candidates", "negativeExample"}  # named by the setting
    assert used <= known | {"help"}
    assert known <= used


def test_no_word_is_written_elsewhere() -> None:
    for path in FILES:
        if path.suffix == ".html":
            body = path.read_text("utf-8").partition("<body>")[2]
            words = re.sub(r"<[^>]*>", " ", body).split()
            assert set(words) <= {"undiffuse"}
