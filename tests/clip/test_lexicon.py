"""The lexicon's file: what is written is read, and a broken file is refused."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from tests.clip.lexicons import ENGLISH, KNOWN, NAMES, write_lexicon
from undiffuse.clip.lexicon import Candidate, Lexicon, pack_lexicon
from undiffuse.errors import UserError

META = {"undiffuse": json.dumps({"format": 1, "languages": {}})}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    lexicon = Lexicon(write_lexicon(tmp_path / "lexicon"))
    assert lexicon.known == {*KNOWN, "chat"}
    assert lexicon.names == sorted(NAMES)
    for word, found in ENGLISH.items():
        assert lexicon.english(word) == found
        assert lexicon.is_english(word)
    assert not lexicon.is_english("hund")
    assert [word for word in ENGLISH if lexicon.is_rare(word)] == ["mariposa", "gift"]
    assert lexicon.other_languages("hund") == {"de": [Candidate("dog", "name", "de")]}
    assert set(lexicon.other_languages("mariposa")) == {"es"}
    assert lexicon.inflected("hunde", 3, 2) == ["hund"]


def test_a_table_of_many_blocks_finds_every_word(tmp_path: Path) -> None:
    table = {
        f"word{number}": [Candidate(f"name{number % 97}", "keyword")] for number in range(9999)
    }
    path = tmp_path / "lexicon"
    path.write_bytes(save(pack_lexicon([], [], [], table, {}, []), META))
    lexicon = Lexicon(path)
    assert len(load(path.read_bytes())["english.ends"]) > 4 * 5  # blocks
    for word, found in table.items():
        assert lexicon.english(word) == found
    for absent in ("", "word", "zzz", "word10000"):
        assert lexicon.english(absent) == []
    assert len(lexicon._tables["english"].around("word99")) == 110


@pytest.mark.parametrize("part", ["known", "english", "english.ends", "english.first", "targets"])
def test_a_broken_part_is_refused(tmp_path: Path, part: str) -> None:
    path = write_lexicon(tmp_path / "lexicon")
    tensors = load(path.read_bytes())
    bomb = np.frombuffer(zlib.compress(bytes(1 << 25)), np.uint8)
    for damage in (bomb, tensors[part][:-3], tensors[part].astype(np.float32)[:2], None):
        broken = {name: t for name, t in tensors.items() if name != part}
        broken |= {} if damage is None else {part: damage}
        path.write_bytes(save(broken, META))
        lexicon = Lexicon(path)
        with pytest.raises(UserError, match="is broken"):
            print(lexicon.known, lexicon.english("steed"), lexicon.english("dog"))


def test_another_file_is_refused(tmp_path: Path) -> None:
    for name, data in (
        ("text", b"no lexicon"),
        ("weights", save({"x": np.zeros(1)})),
        ("newer", save({}, {"undiffuse": json.dumps({"format": 99, "languages": {}})})),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=r"is no lexicon|has format 99"):
            print(Lexicon(tmp_path / name).known)
    with pytest.raises(UserError, match="there is no lexicon"):
        print(Lexicon(tmp_path / "none").known)
