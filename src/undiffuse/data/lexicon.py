"""Builds the lexicon of a data set: see `undiffuse.clip.lexicon`."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from safetensors.numpy import save

from undiffuse.clip.lexicon import FORMAT, Candidate, pack_lexicon
from undiffuse.data import npm, wordnet
from undiffuse.data.captions import STOP_WORDS, content_words, record_words
from undiffuse.data.color_words import color_words
from undiffuse.data.colors import NAMES as COLORS
from undiffuse.data.emoji_names import FLAGS
from undiffuse.data.emoji_words import (
    LANGUAGES,
    MORE_LANGUAGES,
    PACKAGES,
    EmojiWords,
    read_cldr,
    read_emojibase_words,
    read_emojilib,
)
from undiffuse.data.lexicon_english import EnglishBuilder, rank_keywords
from undiffuse.data.lexicon_languages import MAX_CANDIDATES, function_words, language_table
from undiffuse.data.split import TRAIN
from undiffuse.imaging.files import read_text, write_atomic

SOURCES = {
    "WordNet 3.0": "WordNet 3.0 license",
    "CLDR 48.2": "Unicode License v3",
    "emojibase-data 17.0.0": "MIT",
    "emojilib 4.0.3": "MIT",
    "wamerican": "public domain and similar, see Debian's copyright file",
}
Log = Callable[[str], None]


def build(
    records: Iterable[dict],
    out: Path,
    *,
    dictionary: Path,
    common: Path,
    similar: Mapping[str, Mapping[str, float]] | None = None,
    packages: Path | None = None,
    folder: Path = wordnet.FOLDER,
    log: Log = lambda line: None,
) -> None:
    """Write the lexicon for a model that was trained on the pictures of these records.

    dictionary, common: text files of English words, one per line: all that is correct, and the
    common ones. similar: word -> cosines with the names nearest to it. packages: folder with the
    npm packages; None fetches them.
    """
    trained = [r for r in records if r["split"] == TRAIN and r["group"] != FLAGS]
    plain = [r for r in trained if not r.get("composite") and not r["tone"]]
    known = known_words(trained)
    if packages is None:
        packages = out.parent / "packages"
        npm.fetch(list(PACKAGES), packages)
    log("reading WordNet and the names in other languages")
    net = wordnet.read_wordnet(folder)
    cldr = read_cldr(packages, ["en", *LANGUAGES, *MORE_LANGUAGES])
    english = cldr.pop("en")
    codes = {r["code"]: r["name"] for r in plain if r.get("code")}
    tables = [english, read_emojibase_words(packages), read_emojilib(packages)]
    own = {r["name"]: r["keywords"] for r in plain}
    keywords = rank_keywords([own, *(_by_name(table, codes) for table in tables)])
    groups = {r["name"]: r["group"] for r in plain}
    builder = EnglishBuilder(net, own.keys() | set(COLORS), keywords, known, similar or {}, groups)
    words = {line.strip() for line in read_text(dictionary).splitlines()}
    words = {word.lower() for word in words if word.islower() or word.istitle()}  # no acronyms
    everyday = {line.strip() for line in read_text(common).splitlines()}
    log("looking up English words")
    entries = english_entries(builder, {word for word in words if word.isalpha()})
    suggested = [
        word for word, found in entries.items()
        if found and word in everyday and word not in known and word.islower()
    ]  # fmt: skip
    log("looking up words of other languages")
    foreign = foreign_entries(cldr, english, codes, known)
    rare = {word for word in entries if " " not in word} - everyday - known
    tensors = pack_lexicon(known, own, suggested, entries, foreign, rare)
    meta = {
        "format": FORMAT, "kind": "lexicon", "sources": SOURCES,
        "languages": LANGUAGES | MORE_LANGUAGES,
    }  # fmt: skip
    write_atomic(out, save(tensors, metadata={"undiffuse": json.dumps(meta)}))


def known_words(records: Iterable[dict]) -> set[str]:
    """Every word of the captions of these records."""
    known = set(STOP_WORDS)
    for record in records:
        known |= record_words(record)
        for caption in record.get("captions", ()):
            known.update(content_words(caption))
    return known


def _by_name(table: Mapping[str, EmojiWords], codes: Mapping[str, str]) -> dict[str, list[str]]:
    return {codes[code]: list(one.keywords) for code, one in table.items() if code in codes}


def english_entries(
    builder: EnglishBuilder, dictionary: Collection[str]
) -> dict[str, Sequence[Candidate]]:
    """The candidates of every English word and phrase that has some or is in a dictionary."""
    net = builder.net
    lemmas = {word for word in net.senses if word.replace(" ", "").isalpha()}
    words = {*dictionary, *builder.keywords, *builder.names, *lemmas}
    entries: dict[str, Sequence[Candidate]] = {}
    for word in words:
        if "\t" in word or "\n" in word or len(word) > 40:
            continue
        found = builder.candidates(word)
        # A phrase is only worth its place if it means more than its parts.
        if found or (" " not in word and word not in builder.known):
            entries[word] = found
    return entries


def foreign_entries(
    cldr: Mapping[str, Mapping[str, EmojiWords]],
    english: Mapping[str, EmojiWords],
    codes: Mapping[str, str],
    known: Collection[str],
) -> dict[str, dict[str, Sequence[Candidate]]]:
    """Word or phrase -> language -> candidates."""
    found: dict[str, dict[str, Sequence[Candidate]]] = {}
    for language, words in cldr.items():
        table = language_table(
            language, words, english, codes, known, keywords=language in LANGUAGES
        )
        for word, candidates in table.items():
            if len(word) <= 40:
                found.setdefault(word, {})[language] = candidates
    for language, word, color, is_thing in color_words():
        others = found.get(word, {}).get(language, [])
        rest = [one for one in others if one.text != color.text][: MAX_CANDIDATES - 1]
        found.setdefault(word, {})[language] = [*others, color] if is_thing else [color, *rest]
    articles = {word for _, word, _ in function_words()}
    for word in articles & found.keys():  # "una" means more to Spanish than to Catalan emoji
        by_language = found[word].items()
        found[word] = {k: listed for k, listed in by_language if listed[0].reason == "name"}
    for language, word, candidate in function_words():
        found.setdefault(word, {})[language] = [candidate]
    return found
