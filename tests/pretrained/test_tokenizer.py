"""The tokenizer of a pretrained CLIP, against transformers' own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
from transformers import CLIPTextConfig

from tests.pretrained.pretrained_files import (
    TEXT,
    peer_tokenizer,
    vocabulary,
    write_openai_vocabulary,
)
from undiffuse.clip.tokenizer import END, START
from undiffuse.errors import UserError
from undiffuse.pretrained.tokenizer import PretrainedTokenizer, read_tokenizer

TEXTS = [
    "",
    "a red apple, in noto style",
    "the cat's hat; THEY'RE 12 o'clock 1984",
    "naïve café — 日本語 ½ x²y Ⅷ a_b _ 🍎🍏 don’t",
    "cafe\u0301 ΟΔΟΣ İstanbul \u212a ſ 'ſ \x1c \x85 \u3000 \u200b",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    peer_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def read(folder: Path, **values: Any) -> PretrainedTokenizer:
    settings = {**TEXT, "eos_token_id": vocabulary()[0][END], **values}
    return read_tokenizer(folder, CLIPTextConfig(**settings))[0]


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_both_kinds_of_files_give_the_ids_of_transformers(folder: Path) -> None:
    peer = peer_tokenizer()
    wanted = peer(TEXTS, padding="max_length", max_length=16, truncation=True, return_tensors="np")
    for change_files in (lambda _: None, write_openai_vocabulary):
        change_files(folder)
        tokens = read(folder)(TEXTS)
        assert np.array_equal(tokens.ids, wanted.input_ids)
        assert np.array_equal(tokens.lengths, wanted.attention_mask.sum(1))


def test_merges_may_be_strings_as_in_files_of_2022(folder: Path) -> None:
    before = read(folder)(TEXTS)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    model["merges"] = [" ".join(pair) for pair in model["merges"]]
    change(folder / "tokenizer.json", model=model)
    assert np.array_equal(read(folder)(TEXTS).ids, before.ids)


def test_the_files_that_are_hashed(folder: Path) -> None:
    config = CLIPTextConfig(**TEXT, eos_token_id=2)
    names = [path.name for path in read_tokenizer(folder, config)[1]]
    assert names == ["tokenizer.json", "tokenizer_config.json"]
    write_openai_vocabulary(folder)
    (folder / "tokenizer_config.json").rename(folder / "special_tokens_map.json")
    names = [path.name for path in read_tokenizer(folder, config)[1]]
    assert names == ["vocab.json", "merges.txt", "special_tokens_map.json"]


def test_the_end_of_a_long_text_is_cut_and_reported(folder: Path) -> None:
    tokens = read(folder)(["red apple", "one two three four five six  seven eight nine Ten Hat"])
    assert tokens.cut[0] == ""
    assert tokens.cut[1].endswith("nine Ten Hat")
    assert tokens.ids[1, -1] == vocabulary()[0][END]
    assert tokens.lengths[1] == 16


def test_special_tokens_in_a_text_are_ordinary_words(folder: Path) -> None:
    numbers = vocabulary()[0]
    for change_files in (lambda _: None, write_openai_vocabulary):
        change_files(folder)
        tokens = read(folder, max_position_embeddings=77)([f"a {END} b {START} c", "\udc80 cat"])
        assert (tokens.ids[0] == numbers[START]).sum() == 1
        assert (tokens.ids[0, : tokens.lengths[0]] == numbers[END]).sum() == 1


def test_the_end_must_be_that_of_the_text_encoder(folder: Path) -> None:
    assert read(folder, eos_token_id=2).end == vocabulary()[0][END]
    with pytest.raises(UserError, match=r"and not as \[start, 7\]"):
        read(folder, eos_token_id=7)
    with pytest.raises(UserError, match="exceeds the text encoder's 600 tokens"):
        read(folder, vocab_size=600)


def test_broken_files_are_refused_by_name(folder: Path) -> None:
    whole = (folder / "tokenizer.json").read_text()
    model = json.loads(whole)["model"]
    changes = ({"type": "WordPiece"}, {"end_of_word_suffix": None}, {"merges": [["a"]]},
               {"merges": [[END, "n</w>"]]}, {"vocab": {"a": "b"}}, {"vocab": None})  # fmt: skip
    texts = [json.dumps({"model": {**model, **one}}) for one in changes]
    for broken in ("", "[]", "{", "\udc80", "null", *texts):
        (folder / "tokenizer.json").write_bytes(broken.encode(errors="surrogateescape"))
        with pytest.raises(UserError, match=r"tokenizer\.json can't be used: [^\n]+$"):
            read(folder)
    (folder / "tokenizer.json").write_text(whole)
    write_openai_vocabulary(folder)
    merges = (folder / "merges.txt").read_text()
    for broken in (merges + "\na b c", merges + "\nqq zz"):
        (folder / "merges.txt").write_text(broken)
        with pytest.raises(UserError, match=r"vocab\.json can't be used: [^\n]+$"):
            read(folder)
    (folder / "merges.txt").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer\.json, nor vocab\.json and merges"):
        read(folder)
