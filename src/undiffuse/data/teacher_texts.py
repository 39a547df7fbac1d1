"""The texts that teach CLIP's text encoder: words, names, glosses, captions and translations.

Words that are held out for tests are in none of them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from numpy.random import Generator, Philox

from undiffuse.data.captions import content_words
from undiffuse.data.colors import NAMES as COLORS
from undiffuse.data.composites import with_article
from undiffuse.data.emoji_words import EmojiWords
from undiffuse.data.teacher_table import ENGLISH
from undiffuse.data.wordnet import CONCRETE, WordNet

# Ways to say the same; {a} and {b} are things with their article, {x} and {y} without.
RELATIONS = (
    ("{a} left of {b}", "{a} to the left of {b}", "{b} with {a} on its left", "{x} left of {y}"),
    ("{a} right of {b}", "{a} to the right of {b}", "{b} with {a} on its right"),
    ("{a} above {b}", "{a} over {b}", "{b} below {a}", "{x} on top of {y}"),
    ("{a} in front of {b}", "{b} behind {a}", "{x} before {y}"),
    ("{a} next to {b}", "{a} beside {b}", "{a} and {b} side by side", "{x} and {y}"),
    ("{a} in the snow", "{x} in snow", "a snowy scene with {a}", "{a} in winter"),
    ("{a} at night", "{x} by night", "{a} under the stars", "{a} in the dark"),
    ("{a} on a hill", "{x} on a hill", "{a} on top of a hill", "a hill with {a} on it"),
    ("{a} on a beach", "{x} at the beach", "{a} by the sea", "{a} on the sand"),
    ("{a} on grass", "{x} in a meadow", "{a} on a green field", "{a} on the lawn"),
    ("{a} in the rain", "{x} in rain", "{a} on a rainy day"),
    ("{a} in the sky", "{x} in the sky", "{a} up in the air"),
    ("a small {x}", "a little {x}", "a tiny {x}", "{a} that is small"),
    ("a large {x}", "a big {x}", "a huge {x}", "{a} that is large"),
    ("an icon of {a}", "{x} icon", "a pictogram of {a}", "a symbol of {a}"),
    ("a drawing of {a}", "a picture of {a}", "{x} emoji", "an illustration of {a}"),
    ("two {s}", "2 {s}", "a pair of {s}", "{a} and another {x}"),
    ("three {s}", "3 {s}", "a group of three {s}"),
    ("four {s}", "4 {s}", "a group of four {s}"),
    ("five {s}", "5 {s}", "a group of five {s}"),
    ("{a}", "{x}", "one {x}", "a single {x}"),
)
MAX_GLOSS = 120  # characters


class Withheld:
    """Tells whether a text contains a test word, its plural, or a test phrase."""

    def __init__(self, words: Iterable[str]) -> None:
        listed = {word.lower() for word in words}
        self.words = {form for word in listed if " " not in word for form in (word, f"{word}s")}
        self.phrases = {word for word in listed if " " in word}

    def __call__(self, text: str) -> bool:
        words = re.findall(r"[a-z0-9']+", text.lower())
        joined = f" {' '.join(words)} "
        return not self.words.isdisjoint(words) or any(f" {p} " in joined for p in self.phrases)


@dataclass
class TeacherTexts:
    """Columns of equal length. `pairs`: the row of which a text is a translation, a definition or
    a paraphrase, -1 if none."""

    withheld: Withheld
    texts: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)
    rows: dict[tuple[str, str], int] = field(default_factory=dict)  # (language, text) -> row

    def add(self, text: str, kind: str, language: str = ENGLISH, pair: int = -1) -> int:
        """The row of a text, which is added unless it is there; -1 if it is withheld."""
        if "\n" in text or "\0" in text:
            raise ValueError(f"{text!r} is no line of text")
        if (row := self.rows.get((language, text))) is not None:
            return row
        if language == ENGLISH and kind != "name" and self.withheld(text):
            return -1
        self.rows[language, text] = row = len(self.texts)
        self.texts.append(text)
        self.kinds.append(kind)
        self.languages.append(language)
        self.pairs.append(pair)
        return row

    def of_kind(self, kind: str) -> list[int]:
        """The rows of a kind."""
        return [row for row, other in enumerate(self.kinds) if other == kind]


def collect_texts(
    names: Mapping[str, str],
    words: Iterable[str],
    net: WordNet,
    english: Sequence[Mapping[str, EmojiWords]],
    translations: Mapping[str, Mapping[str, EmojiWords]],
    captions: int,
    withheld: Withheld,
) -> TeacherTexts:
    """All texts, in an order that depends on the arguments alone.

    names         name -> code of its emoji, "" if it has none.
    words         English words.
    english       tables of English names and keywords by code.
    translations  language -> code -> name and keywords.
    captions      how many captions of names to make.
    """
    out = TeacherTexts(withheld)
    rows = {name: out.add(name, "name") for name in sorted(names)}
    said = rows | {word: out.add(word, "word") for word in sorted(set(words) - rows.keys())}
    for text, row in said.items():
        for synset in net.nouns(text)[:1] if row >= 0 else ():
            if text in rows or net.files[synset] in CONCRETE:
                out.add(net.glosses[synset][:MAX_GLOSS], "gloss", pair=row)
    coded = {code: rows[name] for name, code in names.items() if code}
    for table in english:
        for code in sorted(coded.keys() & table.keys()):
            for keyword in sorted(table[code].keywords):
                out.add(keyword, "keyword")
    for text, row in _captions(sorted(names), captions, out):
        out.add(text, "caption", pair=row)
    for language, by_code in translations.items():
        for code in sorted(coded.keys() & by_code.keys()):
            out.add(by_code[code].name, "translation", language, coded[code])
        for code in sorted(coded.keys() & by_code.keys()):
            for keyword in by_code[code].keywords:
                out.add(keyword, "keyword", language)
    return out


def _captions(names: list[str], count: int, out: TeacherTexts) -> Iterator[tuple[str, int]]:
    """Captions of plain names and the row of another way to say each, -1 for the first way."""
    plain = [name for name in names if name.replace(" ", "").isalpha() and name.count(" ") < 2]
    index = made = 0
    while made < count and plain:
        rng = Generator(Philox(key=[0, index]))
        index += 1
        x, y = (_colored(plain[int(rng.integers(len(plain)))], rng) for _ in range(2))
        ways = RELATIONS[int(rng.integers(len(RELATIONS)))]
        first = -1
        for way in rng.permutation(len(ways))[:2]:
            text = ways[way].format(
                a=with_article(x), b=with_article(y), x=x, y=y, s=_plural(x)
            )  # fmt: skip
            if out.withheld(text) or (ENGLISH, text) in out.rows:
                continue
            yield text, first
            made += 1
            first = out.rows[ENGLISH, text] if first < 0 else first


def _colored(name: str, rng: Generator) -> str:
    """The name, half of the time with a color before it."""
    if rng.random() < 0.5 or content_words(name)[:1] in ([color] for color in COLORS):
        return name
    return f"{list(COLORS)[int(rng.integers(len(COLORS)))]} {name}"


def _plural(name: str) -> str:
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"
