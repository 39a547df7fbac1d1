"""The lexicon's sources: WordNet's relations, keywords, and names in other languages."""

import json
from pathlib import Path

import pytest

from tests.data.tiny_wordnet import tiny_wordnet
from undiffuse.clip.lexicon import Lexicon
from undiffuse.data import lexicon, wordnet
from undiffuse.data.color_words import color_words
from undiffuse.data.colors import NAMES as COLORS
from undiffuse.data.emoji_words import LANGUAGES, EmojiWords, code_of
from undiffuse.data.lexicon_english import EnglishBuilder, rank_keywords
from undiffuse.data.lexicon_languages import function_words, language_table
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

ROOT = Path(__file__).parents[2]
NAMES = ["dog", "cat", "couch", "weapon", "apple"]


def builder(**keywords: list[str]) -> EnglishBuilder:
    net = tiny_wordnet()
    net.tagged.update({(word, "n"): 1 for word in net.senses})
    return EnglishBuilder(net, NAMES, keywords, {"a", "red"})


def pairs(word: str, built: EnglishBuilder) -> list[tuple[str, str]]:
    return [(one.text, one.reason) for one in built.candidates(word)]


def test_relations_of_wordnet_give_candidates() -> None:
    built = builder()
    assert pairs("dog", built) == [("dog", "name")]
    assert pairs("sofa", built) == [("couch", "synonym")]
    assert pairs("sword", built) == [("weapon", "kind of")]
    assert pairs("mammal", built) == [("cat", "example"), ("dog", "example")]
    assert pairs("house", built) == []
    assert pairs("unheard-of", built) == []


def test_a_keyword_gives_the_names_that_have_it_and_agreement_counts() -> None:
    built = builder(sofa=["apple", "couch"], crisp=["apple"])
    assert pairs("crisp", built) == [("apple", "keyword")]
    assert pairs("sofa", built) == [("couch", "synonym"), ("apple", "keyword")]


def test_a_teacher_ranks_candidates_and_adds_near_names() -> None:
    net = builder()
    near = {"mammal": {"dog": 0.6, "cat": 0.3}, "house": {"couch": 0.5, "dog": 0.39}}
    built = EnglishBuilder(net.net, NAMES, {}, net.known, near)
    assert pairs("mammal", built) == [("dog", "example"), ("cat", "example")]
    assert pairs("house", built) == [("couch", "related")]


def test_verbs_are_not_read_as_nouns() -> None:
    built = builder()
    built.net.tagged["sword", "v"] = 5
    assert pairs("sword", built) == []
    built.net.senses["swording"] = ["n3"]
    built.net.tagged["swording", "n"] = 1
    assert pairs("swording", built) == []


def test_only_the_senses_that_are_meant_count() -> None:
    built = builder()
    net = built.net
    for synset, word, file, above in (
        ("n30", "person", "03", "@ n1"), ("n31", "wasp", "18", "@ n30"),
        ("n32", "wasp", "05", "@ n17"), ("n33", "mellon", "18", "@i n30"),
        ("n34", "sweater", "06", "@ n18"),
        ("n35", "sweater", "18", "@ n30"), ("n36", "turtle", "06", "@ n18"),
        ("n37", "turtle", "05", "@ n2"), ("n38", "turtleneck", "06", "@ n36"),
        ("n39", "terrapin", "05", "@ n37"),
    ):  # fmt: skip
        net.words[synset], net.files[synset] = [word], file
        net.links[synset] = [(above.split()[0], above.split()[1])]
        net.senses.setdefault(word, []).append(synset)
        net.tagged[word, "n"] = 1
    net.proper.add(("wasp", "n31"))
    names, groups = [*NAMES, "person", "turtle"], {"turtle": "animals & nature"}
    built = EnglishBuilder(net, names, {}, {"a"}, {}, groups)
    assert pairs("wasp", built) == [("cat", "kind of")]
    assert pairs("mellon", built) == []
    assert pairs("sweater", built) == [("couch", "kind of")]
    assert pairs("terrapin", built)[0] == ("turtle", "kind of")
    assert pairs("turtleneck", built) == [("couch", "kind of")]


def test_keywords_of_few_come_first() -> None:
    ranked = rank_keywords([{"dog": ["pet", "bark"], "cat face": ["pet", "a", "b", "c"]}])
    assert ranked["pet"] == ["dog", "cat face"]


def words(**table: str) -> dict[str, EmojiWords]:
    """Code -> name and keywords, both as "name: keyword keyword"."""
    parts = {code: text.partition(":") for code, text in table.items()}
    return {code: EmojiWords(name, tuple(rest.split())) for code, (name, _, rest) in parts.items()}


ENGLISH = words(a="red apple: fruit", b="red circle: shape", c="red square: shape", d="dog: pet",
                e="green apple: fruit", f="cat: pet")  # fmt: skip
GERMAN = words(a="roter apfel: obst", b="roter kreis: form", c="rotes quadrat: form",
               d="hund: haustier", e="grüner apfel: obst", f="katze: haustier")  # fmt: skip
DRAWN = {code: one.name for code, one in ENGLISH.items()}


def test_names_and_keywords_of_another_language_are_translated() -> None:
    table = language_table("de", GERMAN, ENGLISH, DRAWN, {"red", "apple", "fruit", "dog"})
    best = {word: (found[0].text, found[0].reason) for word, found in table.items()}
    assert best["hund"] == ("dog", "name")
    assert best["roter"] == ("red", "translation")
    assert best["apfel"] == ("apple", "translation")
    assert best["haustier"] == ("dog", "keyword") or best["haustier"] == ("cat", "keyword")
    assert best["gruner apfel"] if "gruner apfel" in best else best["grüner apfel"]
    bare = language_table("de", GERMAN, ENGLISH, DRAWN, {"red"}, keywords=False)
    assert "haustier" not in bare


def test_words_without_accents_and_in_the_other_syllabary_are_found() -> None:
    spanish = language_table("es", words(d="lápiz"), words(d="pencil"), {"d": "pencil"}, set())
    assert spanish["lapiz"] == spanish["lápiz"]
    japanese = language_table("ja", words(d="イヌ"), words(d="dog"), {"d": "dog"}, set())
    assert japanese["いぬ"] == japanese["イヌ"]


def test_the_noun_of_things_in_several_colors_is_known() -> None:
    names = {code: one.name for code, one in ENGLISH.items()}
    found = language_table("de", words(a="x: obst", e="y: obst"), {}, names, {"apple"})
    assert [one.text for one in found["obst"]] == ["apple", "green apple", "red apple"]


def test_every_language_has_function_words_and_colors() -> None:
    assert {language for language, *_ in function_words()} == set(LANGUAGES)
    found: dict[str, set[str]] = {}
    for language, _, candidate, _ in color_words():
        found.setdefault(language, set()).add(candidate.text)
    assert found.keys() == set(LANGUAGES)
    assert all(colors | {"orange"} == set(COLORS) for colors in found.values())


def test_no_list_made_by_hand_has_an_answer() -> None:
    tests = set(json.loads((ROOT / "datasets/test_words.json").read_text()))
    tests |= set(json.loads((ROOT / "datasets/synonyms.json").read_text()))
    ten = json.loads((ROOT / "datasets/ten_languages.json").read_text())
    answers = {LANGUAGES[code]: ten[LANGUAGES[code]] for code in LANGUAGES}
    for language, word, candidate, *_ in (*function_words(), *color_words()):
        assert word not in tests
        assert candidate.text not in answers[LANGUAGES[language]].get(word, ())


def test_code_points_are_spelled_as_in_the_records() -> None:
    assert code_of("❤️") == "2764"
    assert code_of("👩‍🚀") == "1f469-200d-1f680"


def test_a_lexicon_is_built_from_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        {"name": name, "keywords": ["pet"], "split": "train", "group": "animals", "tone": "",
         "family": "noto", "colour": "brown", "code": code, "concept": code}
        for code, name in (("d", "dog"), ("f", "cat"))
    ]  # fmt: skip
    for name, text in (("all", "dog\nKitty\nidea\n"), ("common", "idea\n")):
        write_atomic(tmp_path / name, text.encode())
    monkeypatch.setattr(wordnet, "read_wordnet", lambda *_: tiny_wordnet())
    cldr = {"en": ENGLISH} | dict.fromkeys([*LANGUAGES, *lexicon.MORE_LANGUAGES], GERMAN)
    cldr |= {"pt": words(d="x: il"), "es": words(d="rosa")}
    monkeypatch.setattr(lexicon, "read_cldr", lambda *_: cldr)
    monkeypatch.setattr(lexicon, "read_emojibase_words", lambda *_: ENGLISH)
    monkeypatch.setattr(lexicon, "read_emojilib", lambda *_: words(d="dog: doggo", f="cat"))
    out = tmp_path / "lexicon.safetensors"
    lexicon.build(records, out, dictionary=tmp_path / "all", common=tmp_path / "common",
                  packages=tmp_path)  # fmt: skip
    read = Lexicon(out)
    assert {"dog", "cat", "pet", "noto", "brown", "the"} <= read.known
    assert read.names == ["cat", "dog"]
    assert [one.text for one in read.english("doggo")] == ["dog"]
    assert read.is_english("idea")
    assert read.is_rare("kitty")
    assert read.other_languages("hund")["de"][0].text == "dog"
    assert read.other_languages("rotes")["de"][0].reason == "color"
    rose = [(one.text, one.reason) for one in read.other_languages("rosa")["es"]]
    assert rose == [("dog", "name"), ("pink", "color")]
    assert set(read.other_languages("il")) == {"it"}


def test_a_missing_wordnet_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="install Debian's wordnet-base"):
        wordnet.read_wordnet(tmp_path)


def test_wordnet_is_read_in_its_format(tmp_path: Path) -> None:
    for kind in wordnet.KINDS:
        (tmp_path / f"data.{kind}").write_text("  license\n")
        (tmp_path / f"index.{kind}").write_text("  license\n")
    apple = '00000001 13 n 02 Apple 0 red_apple 0 001 @ 00000002 n 0000 | fruit; "an apple a day"'
    fruit = "00000002 13 n 01 fruit 0 000 | what grows"
    (tmp_path / "data.noun").write_text(f"  license\n{apple}\n{fruit}\n")
    (tmp_path / "index.noun").write_text(
        "apple n 1 1 @ 1 1 00000001\nred_apple n 1 0 1 0 00000001\nfruit n 1 0 1 0 00000002\n"
    )
    (tmp_path / "noun.exc").write_text("geese goose\n")
    net = wordnet.read_wordnet(tmp_path)
    assert net.words["n00000001"] == ["apple", "red apple"]
    assert net.glosses["n00000001"] == "fruit"
    assert net.linked("n00000001", wordnet.HYPERNYM) == ["n00000002"]
    assert net.nouns("red apple") == ["n00000001"]
    assert net.tagged["apple", "n"] == 1
    assert net.singular("apples") == "apple"
    assert net.irregular == {"geese": ["goose"]}
