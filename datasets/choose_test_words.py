"""Chooses the 300 test words of `datasets/test_words.json`: words that no training text contains.

    python datasets/choose_test_words.py DATA ICONIFY EMOJILIB CLDR > datasets/test_words.json

DATA is the folder that `undiffuse data emoji` writes; the others are the unpacked npm packages
@iconify/json 2.2.535, emojilib 4.0.3 and cldr-annotations-full 48.2.0. WordNet and the word list
come from Debian's wordnet-base and wamerican.

A test word is a concrete common noun that occurs in no caption, no icon's name and no English
keyword. Its right answers are the emoji names that are its synonyms, or at most three steps above
or below it in WordNet (commonest senses), the nearest ones. The words were drawn by hash, before
any data was built.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path

from undiffuse.data.captions import content_words
from undiffuse.data.shards import find_shards, read_shards
from undiffuse.data.split import unit_hash

WORDNET = Path("/usr/share/wordnet")
WORDS = Path("/usr/share/dict/american-english")
CONCRETE = {"05", "06", "08", "13", "17", "20"}  # animal, artifact, body, food, object, plant
COUNT, MAX_STEPS, MAX_ANSWERS = 300, 3, 8


def wordnet() -> tuple[dict[str, str], dict[str, str], dict[str, set[str]]]:
    """word -> synset of its commonest sense; synset -> file number; synset -> hypernyms."""
    first, kind, above = {}, {}, defaultdict(set)
    for line in (WORDNET / "index.noun").read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split()
            first[fields[0].replace("_", " ")] = fields[4 + int(fields[3]) + 2]
    for line in (WORDNET / "data.noun").read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split("|")[0].split()
            kind[fields[0]] = fields[1]
            pointers = fields[5 + 2 * int(fields[3], 16) :]
            for symbol, target in zip(pointers[::4], pointers[1::4], strict=False):
                if symbol == "@":
                    above[fields[0]].add(target)
    return first, kind, above


def distances(synset: str, links: dict[str, set[str]]) -> dict[str, int]:
    """Synsets reached through `links` in up to MAX_STEPS, with the number of steps."""
    found, border = {synset: 0}, {synset}
    for step in range(1, MAX_STEPS + 1):
        border = {other for one in border for other in links.get(one, ())} - found.keys()
        found |= dict.fromkeys(border, step)
    return found


def known_words(names: set[str], icons: Path, emojilib: Path, cldr: Path) -> set[str]:
    """Every word of every text that training may see, with simple singulars and plurals."""
    words = set(names)
    for path in sorted((icons / "json").glob("*.json")):
        data = json.loads(path.read_text())
        for name in [*data["icons"], *data.get("aliases", {})]:
            words.update(re.findall(r"[a-z]+", name.lower()))
    for keywords in json.loads((emojilib / "dist/emoji-en-US.json").read_text()).values():
        words.update(part for word in keywords for part in re.findall(r"[a-z]+", word.lower()))
    text = (cldr / "annotations/en/annotations.json").read_text()
    words.update(re.findall(r"[a-z]+", text.lower()))
    return words | {f"{word}s" for word in words} | {word.removesuffix("s") for word in words}


def main() -> None:
    data, icons, emojilib, cldr = (Path(argument) for argument in sys.argv[1:])
    records = [s.record for s in read_shards(find_shards(data)) if not s.record.get("composite")]
    records = [record for record in records if record["group"] != "flags" and not record["tone"]]
    texts = [text for record in records for text in (record["name"], *record["keywords"])]
    captions = {word for text in texts for word in content_words(text)}
    first, kind, above = wordnet()
    below = defaultdict(set)
    for synset, parents in above.items():
        for parent in parents:
            below[parent].add(synset)
    named = defaultdict(set)
    for name in {record["name"] for record in records}:
        if kind.get(first.get(name, "")) in CONCRETE:
            named[first[name]].add(name)
    known = known_words(captions, icons, emojilib, cldr)
    common = {w for w in WORDS.read_text().split() if w.isascii() and w.isalpha() and w.islower()}
    found = {}
    for word in sorted(common - known):
        synset = first.get(word, "")
        if kind.get(synset) in CONCRETE:
            steps = distances(synset, above) | distances(synset, below)
            nearest = min((n for other, n in steps.items() if other in named), default=0)
            right = {n for other, k in steps.items() if k == nearest for n in named.get(other, ())}
            if 0 < len(right) <= MAX_ANSWERS:
                found[word] = sorted(right)
    print(f"{len(found)} candidates", file=sys.stderr)
    drawn = sorted(found, key=lambda word: unit_hash("test word", word))[:COUNT]
    print(json.dumps({word: found[word] for word in sorted(drawn)}, indent=1))


if __name__ == "__main__":
    main()
