"""The browser's own tokenizer, lexicon and prompts give what Python's give."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import byte_tokenizer
from tests.studio.javascript import needs_node, run_module
from undiffuse.clip.lexicon import FILE, Lexicon
from undiffuse.clip.reading import Reader
from undiffuse.clip.spelling import correct, edit_distance, sound
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.pipeline import SHIPPED_WEIGHTS
from undiffuse.runtime.networks import ClipEncoder

pytestmark = needs_node
TOKENIZE = """
  const { Tokenizer } = await load("tokenizer");
  const tokenizer = new Tokenizer(JSON.parse(data.json), data.context);
  const { ids, lengths, cut } = tokenizer.pad(data.texts);
  return { ids: Array.from(ids, Number), lengths: Array.from(lengths, Number), cut };
"""
READ = """
  const { readFileSync } = await import("node:fs");
  const { Lexicon } = await load("lexicon");
  const { Reader } = await load("reading");
  const file = readFileSync(data.path);
  const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
  const reader = new Reader(await Lexicon.read(buffer, data.languages));
  await reader.prepare(["a red apple"]);
  if (reader.lexicon.words) throw new Error("it was unpacked for known words");
  await reader.prepare(["xqzzy"]);
  return data.prompts.map(([text, sure]) => reader.read(text, sure));
"""
# Known, misspelled, inflected, in other languages and scripts, phrases, and no words at all.
PROMPTS = [
    "a red apple", "aple", "a bleu elefant", "teh cat", "zebra", "zebra with stripes", "kitties",
    "wolves and foxes", "pomme rouge", "ein roter Apfel", "Katze mit Hut", "un gato negro",
    "manzana", "mariposa", "le chien", "chapeau", "кошка", "красное яблоко", "собаки", "猫",
    "赤いりんご", "红色的苹果", "帽子の猫", "고양이", "사과", "قطة", "תפוח", "μήλο", "सेब",
    "mela rossa con foglia", "hund", "cat hund", "motor cycle", "fire engine", "ice-cream cone",
    "the dog's bone", "it’s raining", "rianbow", "elepahnt", "bycicle", "computre", "xqzzy",
    "qwertyuiop", "happiness", "run quickly", "2 hearts", "", "!!!", "a", "Ärztin", "straße",
    "piłka nożna", "kırmızı elma", "voiture bleue", "automobile", "smartphone", "spaceship",
    "unicornio", "sun flower", "sunflowers", "knives", "grinning face", "visage", "日本",
    "a cat 猫 and chien", "naïve café", "İstanbul", "ΣΊΣΥΦΟΣ", "crème brûlée", "emoji 😀 cat",
    "una manzana roja y un taxi amarillo", "un gato rosa", "una rosa", "le chien", "t-shirt vert",
    "ein weißer Hund mit rotem Hut", "зелёный кот", "红色的汽车", "une maison, rouge", "猫x犬",
    "arc-en-ciel", "un Hors-bord rouge", "chauve-souris-", "porte-clés", "山体滑坡",
    "calender", "potatoe", "wasp", "cardigan", "mellon",
]  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> Tokenizer:
    return ClipEncoder(SHIPPED_WEIGHTS).tokenizer


def assert_same_tokens(tokenizer: Tokenizer, texts: list[str]) -> None:
    wanted = tokenizer(texts)
    data = {"json": tokenizer.to_json(), "context": tokenizer.context, "texts": texts}
    found = run_module(TOKENIZE, data)
    assert found["lengths"] == wanted.lengths.tolist()
    assert found["ids"] == wanted.ids.ravel().tolist()
    assert found["cut"] == list(wanted.cut)


# Characters that both sides know: a newer Unicode in Node.js gives others their classes.
CHARACTERS = st.one_of(
    st.characters(exclude_categories=("Cs", "Cn", "Co")),
    st.sampled_from("abcdest'ſΣσİ_1²½٣ 　\x85"),
)


@settings(max_examples=4, deadline=None)
@given(st.lists(st.text(CHARACTERS, max_size=60), min_size=50, max_size=200))
def test_texts_have_the_same_tokens(shipped: Tokenizer, texts: list[str]) -> None:
    assert_same_tokens(shipped, texts)


def test_prompts_have_the_same_tokens_also_where_they_are_cut(shipped: Tokenizer) -> None:
    texts = [*PROMPTS, "it's I'll we've 'SAID he'd", "x" * 200, "cat " * 60, "\ud83d lone"]
    assert_same_tokens(shipped, texts)
    assert_same_tokens(byte_tokenizer(), texts)


def test_unknown_words_are_read_the_same() -> None:
    lexicon = Lexicon(SHIPPED_WEIGHTS / FILE)
    reader = Reader(lexicon)
    pairs = [[text, sure] for text in PROMPTS for sure in (False, True)]
    data = {
        "path": str(lexicon.path), "languages": lexicon.languages, "prompts": pairs,
    }  # fmt: skip
    found = run_module(READ, data)
    changed = 0
    for (text, sure), one in zip(pairs, found, strict=True):
        wanted: Any = reader.read(str(text), bool(sure))
        assert one["text"] == wanted.text, text
        changed += wanted.text != text
        assert [[c["word"], c["text"], c["reason"], c["language"]] for c in one["changes"]] == [
            [c.word, c.text, c.reason, c.language] for c in wanted.changes
        ], text
    assert changed > 40


@settings(max_examples=5, deadline=None)
@given(st.lists(st.text("abcdeghiknopqstuwxyz", min_size=1, max_size=9), min_size=20, max_size=60))
def test_spelling_costs_are_the_same(words: list[str]) -> None:
    body = """
      const { correct, editDistance, sound } = await load("spelling");
      const [first] = data;
      return data.map((word) => [sound(word), editDistance(first, word),
        correct(word, data.slice(0, 4), data.slice(0, 9),
          data.slice(9).filter((one) => one !== word))]);
    """
    found = run_module(body, words)
    for word, (said, distance, (right, least)) in zip(words, found, strict=True):
        others = [one for one in words[9:] if one != word]
        wanted = correct(word, words[:4], words[:9], others)
        assert said == sound(word)
        assert distance == pytest.approx(edit_distance(words[0], word))
        assert right == wanted[0]
        assert (json.dumps(least) == "null") == (wanted[0] == "")
