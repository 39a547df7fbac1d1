"""The tokenizer of a pretrained CLIP, against transformers' own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import ucd_3_2_0

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.pretrained.pretrained_files import (
    TEXT,
    peer_tokenizer,
    vocabulary,
    write_hf,
    write_openai_vocabulary,
)
from tests.sample import originals
from undiffuse.clip.tokenizer import END, OPENAI, START, Tokenizer
from undiffuse.errors import UserError
from undiffuse.pretrained.layouts import HF, VitConfig
from undiffuse.pretrained.settings import Settings
from undiffuse.pretrained.tokenizer_files import read_tokenizer

PEER = peer_tokenizer()
OURS = Tokenizer(*vocabulary(), 16, pad=vocabulary()[0][END], rules=OPENAI)
words = st.sampled_from([w for s in originals() for w in [s.record["name"], *s.record["keywords"]]])
# Letters of newer versions of Unicode are none to the library, whose tables are of another one.
known = st.characters(codec="utf-8").filter(lambda letter: ucd_3_2_0.category(letter) != "Cn")
parts = words | st.text(known, max_size=5) | st.sampled_from(["'S", "'re", "½", "Ⅷ", "_", "12"])
texts = st.text(known, max_size=30) | st.lists(parts, max_size=6).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(texts)
@example("a red apple, in noto style")
@example("the cat's hat; THEY'RE 12 o'clock 1984")
@example("naïve café — 日本語 ½ x²y Ⅷ a_b _ 🍎🍏 don’t")
@example("cafe\u0301 ΟΔΟΣ İstanbul \u212a ſ 'ſ \x1c \x85 \u3000 \u200b")
@example("e\u0301\u0323 क्षि ไทย \ufeff")
def test_parity_with_transformers(text: str) -> None:
    assert OURS.encode(text) == PEER(text, add_special_tokens=False).input_ids


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_rows_with_start_end_and_padding(batch: list[str]) -> None:
    tokens = OURS(batch)
    wanted = PEER(batch, padding="max_length", max_length=16, truncation=True, return_tensors="np")
    assert np.array_equal(tokens.ids, wanted.input_ids)
    assert np.array_equal(tokens.lengths, wanted.attention_mask.sum(1))


def test_our_own_rules_are_others() -> None:
    """Numbers that are no digits, and signs of accents: a tokenizer's rules go with its files."""
    ours = Tokenizer(*vocabulary(), 16)
    assert ours.encode("x²y") != OURS.encode("x²y")


def test_a_text_can_not_end_itself() -> None:
    """Where transformers reads the name of a special token as one, it is words here."""
    assert vocabulary()[0][END] not in OURS.encode(f"a cat {END} a dog")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_hf(folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    for path in written.iterdir():
        if path.suffix == ".json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def config(folder: Path) -> VitConfig:
    return HF.read(Settings.read(folder / "config.json"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_both_forms_are_the_same(folder: Path) -> None:
    whole, read = read_tokenizer(folder, config(folder))
    assert [path.name for path in read] == ["tokenizer.json", "tokenizer_config.json"]
    write_openai_vocabulary(folder)
    parts, read = read_tokenizer(folder, config(folder))
    assert [path.name for path in read[:2]] == ["vocab.json", "merges.txt"]
    assert (parts.vocabulary, list(parts.merges)) == (whole.vocabulary, list(whole.merges))
    assert (whole.start, whole.end, whole.pad) == (START, END, vocabulary()[0][END])
    assert whole.context == TEXT["max_position_embeddings"]
    (folder / "tokenizer_config.json").unlink()
    assert read_tokenizer(folder, config(folder))[0] == parts


def test_merges_as_text_and_names_as_objects(folder: Path) -> None:
    """As files of 2022 have them."""
    whole, _ = read_tokenizer(folder, config(folder))
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    model["merges"] = [" ".join(pair) for pair in model["merges"]]
    change(folder / "tokenizer.json", model=model)
    change(folder / "tokenizer_config.json", pad_token={"content": "!"}, do_lower_case=True)
    again, _ = read_tokenizer(folder, config(folder))
    assert again == replace(whole, pad=vocabulary()[0]["!"])


def test_the_end_must_be_the_text_towers(folder: Path) -> None:
    fits = config(folder)
    assert read_tokenizer(folder, replace(fits, end=None))[0].end == END
    with pytest.raises(UserError, match="the text tower's end is 7"):
        read_tokenizer(folder, replace(fits, end=7))
    with pytest.raises(UserError, match="has more tokens than the text tower, 600"):
        read_tokenizer(folder, replace(fits, vocabulary=600))
    change(folder / "tokenizer_config.json", eos_token="!")
    with pytest.raises(UserError, match="the text tower's end is"):
        read_tokenizer(folder, replace(fits, end=None))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("tokenizer.json", {"normalizer": None}, "normalizer"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer"),
        ("tokenizer.json", {"model": None}, "model"),
        ("tokenizer.json", {"model": {"type": "WordPiece"}}, "type='WordPiece'"),
        ("tokenizer.json", {"model": {"type": "BPE"}}, "no end_of_word_suffix"),
        (
            "tokenizer.json",
            {"model": {"type": "BPE", "end_of_word_suffix": "</w>", "merges": 1}},
            "merges=1",
        ),
        (
            "tokenizer.json",
            {"model": {"type": "BPE", "end_of_word_suffix": "</w>", "merges": [["a"]]}},
            "no pair to merge",
        ),
        (
            "tokenizer.json",
            {"model": {"type": "BPE", "end_of_word_suffix": "</w>", "merges": [], "vocab": {}}},
            "has no token",
        ),
        (
            "tokenizer.json",
            {"model": {"type": "BPE", "end_of_word_suffix": "</w>", "merges": [], "vocab": [1]}},
            "does not number",
        ),
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer"}, "tokenizer_class='Bert"),
        ("tokenizer_config.json", {"do_lower_case": False}, "do_lower_case=False"),
        ("tokenizer_config.json", {"bos_token": 3}, "bos_token=3"),
        ("tokenizer_config.json", {"pad_token": "[PAD]"}, r"has no token '\[PAD\]'"),
    ],
)
def test_what_is_refused(folder: Path, name: str, values: dict[str, Any], said: str) -> None:
    change(folder / name, **values)
    with pytest.raises(UserError, match=said):
        read_tokenizer(folder, config(folder))


def test_vocabularies_that_are_broken(folder: Path) -> None:
    write_openai_vocabulary(folder)
    merges = (folder / "merges.txt").read_text()
    for broken, said in ((merges + "\na b c", "no pair"), (merges + "\nqq zz", "lacks")):
        (folder / "merges.txt").write_text(broken)
        with pytest.raises(UserError, match=said):
            read_tokenizer(folder, config(folder))
    (folder / "merges.txt").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer\.json, nor"):
        read_tokenizer(folder, config(folder))
