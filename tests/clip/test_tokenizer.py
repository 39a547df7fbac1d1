"""The tokenizer, against the library that everybody uses, on any text."""

import json
import time
from functools import cache
from unicodedata import ucd_3_2_0

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sample import originals, tokenizer
from undiffuse.clip.tokenizer import END, END_OF_WORD, START, WORD_PATTERN, Tokenizer, normalize
from undiffuse.errors import UserError
from undiffuse.training.bpe import train_bpe

TOKENIZER = tokenizer()
words = st.sampled_from([w for s in originals() for w in [s.record["name"], *s.record["keywords"]]])
# Letters of newer versions of Unicode are none to the library, whose tables are of another one.
known = st.characters(codec="utf-8").filter(lambda letter: ucd_3_2_0.category(letter) != "Cn")
texts = st.text(known, max_size=30) | st.lists(words | st.text(known, max_size=5), max_size=6).map(
    " ".join
)


@cache
def peer():
    """The tokenizers library with our vocabulary, and our pieces as its regular expression."""
    import tokenizers
    from tokenizers import models, pre_tokenizers

    merges = [tuple(pair) for pair in TOKENIZER.merges]
    model = models.BPE(dict(TOKENIZER.vocabulary), merges, end_of_word_suffix=END_OF_WORD)
    made = tokenizers.Tokenizer(model)
    # Python's \w is letters and all numbers, its \d decimal digits; ſ is an s to it.
    pieces = r"(?i:'[sſ]|'t|'re|'ve|'m|'ll|'d)|[\p{L}\p{Nl}\p{No}]+|\p{Nd}|[^\s\p{L}\p{N}]+"
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(pieces), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return made


@settings(max_examples=60, deadline=None)
@given(texts)
@example("a red apple, in noto style")
@example("the cat's hat; they're 12 o'clock")
@example("naïve café — 日本語 ½ x² a_b _ 🍎🍏")
@example("<|endoftext|> <|startoftext|> </w>")
def test_ids_are_those_of_the_tokenizers_library(text: str) -> None:
    assert TOKENIZER.encode(text) == peer().encode(normalize(text)).ids


@settings(max_examples=60, deadline=None)
@given(texts)
def test_decoding_gives_the_words_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == " ".join(
        WORD_PATTERN.findall(normalize(text))
    )


@given(texts)
def test_every_character_but_white_space_is_in_a_word(text: str) -> None:
    assert "".join(WORD_PATTERN.findall(normalize(text))) == normalize(text).replace(" ", "")


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.sampled_from([None, 4, 9]))
def test_rows_are_truncated_and_padded(batch: list[str], length: int | None) -> None:
    tokens = TOKENIZER(batch, length)
    width = length or TOKENIZER.context
    assert tokens.ids.shape == (len(batch), width)
    for text, ids, used, cut in zip(batch, tokens.ids, tokens.lengths, tokens.cut, strict=True):
        whole = TOKENIZER.encode(text)
        assert ids[0] == TOKENIZER.vocabulary[START]
        assert ids[used - 1] == TOKENIZER.vocabulary[END]
        assert list(ids[1 : used - 1]) == whole[: width - 2]
        assert not ids[used:].any()
        assert cut == TOKENIZER.decode(whole[width - 2 :])


def test_the_truncated_text_is_returned() -> None:
    assert TOKENIZER(["red apple"]).cut == ("",)
    text = "a man, a woman, a cat, a dog, a red apple, a top hat, glasses and a flag"
    tokens = TOKENIZER([text, "short"])
    assert tokens.cut[0].endswith("a flag")
    assert tokens.cut[1] == ""
    kept = TOKENIZER.decode(tokens.ids[0, 1 : tokens.lengths[0] - 1])
    assert f"{kept} {tokens.cut[0]}".replace(" ", "") == text.replace(" ", "")


def test_an_empty_text_has_start_and_end() -> None:
    for text in ("", "   ", "\n\t\u2003"):
        assert TOKENIZER.encode(text) == []
        tokens = TOKENIZER([text])
        assert tokens.lengths[0] == 2
        assert TOKENIZER.decode(tokens.ids[0, :2]) == ""


def test_no_texts_give_no_rows() -> None:
    assert TOKENIZER([]).ids.shape == (0, TOKENIZER.context)


def test_case_and_white_space_make_no_difference() -> None:
    assert TOKENIZER.encode("A  Red\nAPPLE ") == TOKENIZER.encode("a red apple")


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    """Arguments from a terminal with another encoding contain them."""
    assert TOKENIZER.encode("caf\udce9") == TOKENIZER.encode("caf ?")
    assert TOKENIZER.encode("\ud83c") == TOKENIZER.encode("?")


def test_common_words_are_one_token() -> None:
    assert len(TOKENIZER.encode("apple")) == 1
    assert len(TOKENIZER.encode("🍎")) >= 2


def test_a_long_word_is_encoded_in_time() -> None:
    start = time.perf_counter()
    TOKENIZER(["ha" * 1000])
    assert time.perf_counter() - start < 5


def test_a_tokenizer_is_read_from_its_own_json() -> None:
    again = Tokenizer.from_json(TOKENIZER.to_json(), TOKENIZER.context)
    assert again.vocabulary == TOKENIZER.vocabulary
    assert list(again.merges) == list(TOKENIZER.merges)
    assert again.encode("a red apple") == TOKENIZER.encode("a red apple")


def without(token: str) -> str:
    data = json.loads(TOKENIZER.to_json())
    del data["vocabulary"][token]
    return json.dumps(data)


def test_invalid_json_and_missing_tokens_are_refused() -> None:
    for text in (
        "", "{", "[]", "1", "null", "{}", '{"merges": [], "vocabulary": []}',
        '{"merges": [["a"]], "vocabulary": {}}', '{"merges": 3, "vocabulary": {}}',
        '{"merges": [], "vocabulary": {"a": "x"}}', '{"merges": [], "vocabulary": {"a": 1e999}}',
    ):  # fmt: skip
        with pytest.raises(UserError, match=r"vocabulary can't be read|vocabulary lacks"):
            Tokenizer.from_json(text, 16)
    for token in (START, END, "a", "z</w>", "apple</w>"):
        with pytest.raises(UserError, match="lacks"):
            Tokenizer.from_json(without(token), 16)


def test_a_vocabulary_with_duplicate_ids_is_refused() -> None:
    data = json.loads(TOKENIZER.to_json())
    data["vocabulary"]["apple</w>"] = data["vocabulary"][START]
    with pytest.raises(UserError, match="does not number"):
        Tokenizer.from_json(json.dumps(data), 16)


def test_training_is_reproducible_and_bounded() -> None:
    lines = ["red apple", "green apple", "a man with a hat"] * 3
    one, other = (train_bpe(lines, 600, 8) for _ in range(2))
    assert one == other
    assert len(one.vocabulary) <= 600
    assert sorted(one.vocabulary.values()) == list(range(len(one.vocabulary)))
    assert one.encode("🍎 zebra?")  # no byte is unknown
    assert np.all(one(["red apple"]).ids >= 0)
