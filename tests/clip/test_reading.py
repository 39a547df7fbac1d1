"""What prompts are read as: known words stay, unknown ones become the nearest known ones."""

from pathlib import Path

import pytest

from tests.clip.lexicons import write_lexicon
from undiffuse.clip.lexicon import Lexicon
from undiffuse.clip.reading import Reader


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(Lexicon(write_lexicon(tmp_path_factory.mktemp("lexicon") / "lexicon")))


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("a steed on the house", "a horse on the house"),
        ("a  Steed, and THE dog!", "a horse, and THE dog!"),
        ("two poodles", "two dog"),
        ("nanook", "polar bear"),
        ("a white bear", "a polar bear"),
        ("a white-bear", "a polar bear"),
        ("teh dog", "the dog"),
        ("elefant", "elephant"),
        ("strawbery", "strawberry"),
        ("bycicle", "bicycle"),
        ("a bicylce and a hosre", "a bicycle and a horse"),
        ("ein rotes Haus", "red house"),
        ("ein Hund und zwei Katzen", "dog and two cat"),
        ("ein steed", "ein horse"),
        ("un chat", "cat"),
        ("un chat noir", "black cat"),
        ("chauve-souris", "elephant"),
        ("une Chauve-Souris-noir", "une elephant-black"),
        ("mariposa", "butterfly"),
        ("un chat rouge", "red cat"),
        ("un chat et un horse rouge", "cat and red horse"),
        ("un chat, rouge", "cat, red"),
        ("la rose", "la strawberry"),
        ("un chat rose", "pink cat"),
        ("un", "un"),
        ("gift", "bicycle"),
        ("猫と犬", "cat and dog"),
        ("赤い猫", "赤い cat"),
        ("teh", "tea"),
    ],
)
def test_a_prompt_is_read(reader: Reader, typed: str, read: str) -> None:
    assert reader.read(typed).text == read


@pytest.mark.parametrize(
    "prompt",
    [
        "a red horse on the house", "  A  Dog ", "", "🍎", "123", "a chat", "x" * 300, "'", "-",
        "the dog's hat", "a gift", "a dog sitting on the house", "qqq zzz", "\x00",
        "ｈｏｒｓｅ" * 9,
    ],
)  # fmt: skip
def test_known_words_and_words_without_a_reading_stay(reader: Reader, prompt: str) -> None:
    reading = reader.read(prompt)
    assert (reading.text, reading.changes) == (prompt, ())


def test_every_reading_is_read_as_itself(reader: Reader) -> None:
    for typed in ("a steed", "teh dog", "ein Hund", "two poodles", "猫と犬"):
        assert not reader.read(reader.read(typed).text).changes


def test_a_change_tells_the_word_the_reading_and_the_reason(reader: Reader) -> None:
    names = reader.lexicon.languages
    (steed,) = reader.read("a steed").changes
    assert steed.note(names) == "steed: read as horse (kind of)"
    assert steed.others == ("dog",)
    notes = [change.note(names) for change in reader.read("ein Hund").changes]
    assert notes == ["hund: read as dog (German)"]
    (teh,) = reader.read("teh dog").changes
    assert teh.note(names) == "teh: read as the (spelling)"


def test_known_words_do_not_load_the_tables(tmp_path: Path) -> None:
    lexicon = Lexicon(write_lexicon(tmp_path / "lexicon"))
    Reader(lexicon).read("a red horse on the house")
    assert set(vars(lexicon)) & {"known", "_tables", "common", "_targets"} == {"known"}
