"""WordNet 3.0 (Fellbaum 1998), as Debian's wordnet-base installs it: meanings and their relations.

A *synset* is one meaning: a set of words. Its id here is its part of speech and its offset in the
database, "n02084071".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from undiffuse.errors import UserError

FOLDER = Path("/usr/share/wordnet")
KINDS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}  # file name -> part of speech
CONCRETE = {"05", "06", "08", "13", "17", "18", "20"}  # animal, artifact, body part, food ... plant
HYPERNYM, WHOLE, SIMILAR = ("@", "@i"), ("#p",), ("&",)


@dataclass(frozen=True)
class WordNet:
    """The database in memory.

    words      synset -> its words, in lower case with spaces.
    senses     word -> its synsets of all parts of speech, nouns first, most common first.
    tagged     (word, part of speech) -> how many of its senses occur in WordNet's tagged texts.
    links      synset -> (symbol of the relation, other synset).
    glosses    synset -> its definition, without examples.
    files      synset -> number of its lexicographer file; see `CONCRETE`.
    irregular  irregular plural of a noun -> its singulars.
    proper     (word, synset) where the word is written with capitals: a person, a place, WASP.
    """

    words: dict[str, list[str]] = field(default_factory=dict)
    senses: dict[str, list[str]] = field(default_factory=dict)
    tagged: dict[tuple[str, str], int] = field(default_factory=dict)
    links: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    glosses: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    irregular: dict[str, list[str]] = field(default_factory=dict)
    proper: set[tuple[str, str]] = field(default_factory=set)

    def nouns(self, word: str) -> list[str]:
        """The noun senses of a word, most common first."""
        return [synset for synset in self.senses.get(word, ()) if synset[0] == "n"]

    def linked(self, synset: str, symbols: tuple[str, ...]) -> list[str]:
        """The synsets that a relation leads to."""
        return [other for symbol, other in self.links.get(synset, ()) if symbol in symbols]

    def singular(self, word: str) -> str:
        """The singular of a plural noun that WordNet knows, otherwise the word itself."""
        for stem in (*self.irregular.get(word, ()), *plural_stems(word)):
            if self.nouns(stem):
                return stem
        return word


def plural_stems(word: str) -> Iterator[str]:
    """What a regular English plural may be the plural of: "cherries" -> "cherry", "cherrie"."""
    for ending, replacement in (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1 and not word.endswith("ss"):
            yield word[: -len(ending)] + replacement


def read_wordnet(folder: Path = FOLDER) -> WordNet:
    """The whole database, in 2 s. UserError if it is missing or broken."""
    net = WordNet()
    try:
        for kind, letter in KINDS.items():
            for line in _lines(folder / f"data.{kind}"):
                _read_synset(net, letter, line)
        for kind, letter in KINDS.items():
            for line in _lines(folder / f"index.{kind}"):
                _read_word(net, letter, line)
        for line in _lines(folder / "noun.exc"):
            plural, *singulars = line.split()
            net.irregular[plural] = singulars
    except FileNotFoundError as error:
        raise UserError(f"WordNet is not in {folder}: install Debian's wordnet-base") from error
    except (LookupError, ValueError, OSError) as error:
        raise UserError(f"{folder} holds no readable WordNet: {error}") from error
    return net


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if not line.startswith("  "))  # no license text


# Format: the manual page wndb(5WN)
def _read_synset(net: WordNet, letter: str, line: str) -> None:
    data, _, gloss = line.partition("|")
    fields = data.split()
    synset, count = letter + fields[0], int(fields[3], 16)
    words = fields[4 : 4 + 2 * count : 2]
    plain = [word.partition("(")[0].replace("_", " ") for word in words]
    net.words[synset] = [word.lower() for word in plain]
    net.proper.update((word.lower(), synset) for word in plain if not word.islower())
    net.files[synset] = fields[1]
    net.glosses[synset] = gloss.partition('; "')[0].strip()
    start = 5 + 2 * count
    pointers = fields[start : start + 4 * int(fields[start - 1])]
    net.links[synset] = [
        (symbol, ("a" if kind == "s" else kind) + offset)
        for symbol, offset, kind in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=True)
    ]


def _read_word(net: WordNet, letter: str, line: str) -> None:
    fields = line.split()
    word, symbols = fields[0].replace("_", " "), int(fields[3])
    net.tagged[word, letter] = int(fields[5 + symbols])
    synsets = fields[6 + symbols :]
    net.senses.setdefault(word, []).extend(letter + offset for offset in synsets)
