"""Evaluation of what words are read as, with a text encoder that knows exact words alone."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.clip.lexicons import NAMES, write_lexicon
from undiffuse.clip.lexicon import Lexicon
from undiffuse.clip.reading import Reader
from undiffuse.errors import UserError
from undiffuse.evaluation.word_metrics import case_rows, evaluate_words, read_cases


class Exact:
    """A vector of its own for each name; everything else is equally far from all."""

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        out = np.zeros((len(texts), len(NAMES) + 1), np.float32)
        for row, text in enumerate(texts):
            out[row, NAMES.index(text) if text in NAMES else -1] = 1
        return out

    def encode_image(self, pictures: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(Lexicon(write_lexicon(tmp_path / "lexicon")))


def test_words_are_found_by_their_reading_alone(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "words.json"
    path.write_text(json.dumps({"steed": ["horse"], "poodle": ["cat"], "elefant": ["elephant"],
                                "qqq": ["dog"]}))  # fmt: skip
    found = {one.name: one.value for one in evaluate_words(read_cases(path), reader, Exact())}
    assert found == {
        "words: lexicon, top-5 accuracy": 0.5,
        "words: text encoder, as typed: top-5 accuracy": 0.0,
        "words: text encoder, as read: top-5 accuracy": 0.5,
    }
    rows = case_rows(read_cases(path), reader)
    assert [row["read"] for row in rows] == ["horse", "dog", "elephant", "qqq"]
    assert [row["found"] for row in rows] == [True, False, True, False]


def test_every_thing_of_a_prompt_must_be_found(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "prompts.jsonl"
    things = [{"concepts": ["horse"], "count": 1}, {"concepts": ["house"], "count": 1}]
    prompts = ["a steed on a house", "a steed on a cat", "a dog on a steed and a house"]
    lines = [json.dumps({"kind": "sentences", "prompt": p, "things": things}) for p in prompts]
    path.write_text("\n".join(lines))
    first, *_ = evaluate_words(read_cases(path), reader, Exact())
    assert first.name == "sentences: lexicon, top-5 accuracy"
    assert first.value == pytest.approx(2 / 3)


def test_tables_by_group_are_groups(tmp_path: Path) -> None:
    path = tmp_path / "languages.json"
    path.write_text(json.dumps({"German": {"hund": ["dog"]}, "French": {"chat": ["cat"]}}))
    assert list(read_cases(path)) == ["German", "French"]


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": 1}', '"x"', "3"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    for name in ("bad.json", "bad.jsonl"):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match="has no test words"):
            read_cases(tmp_path / name)


def test_the_answers_for_ten_languages_are_names(tmp_path: Path) -> None:
    groups = read_cases(Path(__file__).parents[2] / "datasets/ten_languages.json")
    assert len(groups) == 10
    assert {len(cases) for cases in groups.values()} == {100}
