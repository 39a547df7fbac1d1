"""Chooses the words of `datasets/ten_languages.json`: 100 plain names in each of ten languages.

    python datasets/choose_ten_languages.py DATA PACKAGES > datasets/ten_languages.json

DATA is the folder that `undiffuse data emoji` writes, PACKAGES one with the npm tarballs of
cldr-annotations-full and cldr-annotations-derived-full 48.2.0.

The names are drawn by hash from the emoji names of one or two words that show a thing (an animal,
a plant, food, a place, an activity, an object) and are named in all ten languages. Of every five,
four are given as CLDR's name of the emoji. The fifth is given as a keyword of the emoji that is
not its name, whose right answers are all names with that keyword: words as people type them, which
may mean several things.
"""

import json
import sys
from pathlib import Path

from undiffuse.data.emoji_words import LANGUAGES, EmojiWords, read_cldr
from undiffuse.data.shards import find_shards, read_shards
from undiffuse.data.split import unit_hash

COUNT, KEYWORD_EVERY, MAX_ANSWERS = 100, 5, 12
GROUPS = ("animals & nature", "food & drink", "travel & places", "activities", "objects")


def word_of(
    code: str, words: dict[str, EmojiWords], names: dict[str, str], ambiguous: bool
) -> tuple[str, list[str]] | None:
    """What to type for an emoji in one language, and the right names."""
    one = words[code]
    if not ambiguous:
        same = {names[other] for other, its in words.items() if its.name == one.name}
        return one.name, sorted(same)
    for keyword in sorted(one.keywords, key=lambda word: unit_hash("keyword", word)):
        right = {names[other] for other, its in words.items() if keyword in its.keywords}
        if keyword != one.name and " " not in keyword and len(right) <= MAX_ANSWERS:
            return keyword, sorted(right)
    return None


def main() -> None:
    data, packages = Path(sys.argv[1]), Path(sys.argv[2])
    records = [s.record for s in read_shards(find_shards(data)) if not s.record.get("composite")]
    names = {r["code"]: r["name"] for r in records if r["group"] in GROUPS and not r["tone"]}
    cldr = {
        language: {code: words[code] for code in names if code in words}
        for language, words in read_cldr(packages, LANGUAGES).items()
    }
    plain = [
        code
        for code, name in names.items()
        if name.replace(" ", "").isalpha() and name.count(" ") < 2
        and all(code in words for words in cldr.values())
    ]  # fmt: skip
    drawn = sorted(plain, key=lambda code: unit_hash("ten languages", code))
    table: dict[str, dict[str, list[str]]] = {}
    for language, words in cldr.items():
        found: dict[str, list[str]] = {}
        for place, code in enumerate(drawn):
            ambiguous = place % KEYWORD_EVERY == KEYWORD_EVERY - 1
            case = word_of(code, words, names, ambiguous)
            if case is not None and case[0] not in found and len(found) < COUNT:
                found[case[0]] = case[1]
        table[LANGUAGES[language]] = found
    print(json.dumps(table, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
