"""Icons' names as people say them, which of them name something concrete, and shared concepts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from undiffuse.data.icon_sets import Rule
from undiffuse.data.icon_stop_words import CLUTTER, NOT_ALONE, PREPOSITIONS, VARIANTS
from undiffuse.data.wordnet import HYPERNYM, WordNet

# Lexicographer files of WordNet -> the emoji group that such things are in.
GROUPS = {
    "05": "animals & nature", "20": "animals & nature", "13": "food & drink", "06": "objects",
    "08": "people & body", "18": "people & body", "15": "travel & places", "17": "travel & places",
    "19": "travel & places",
}  # fmt: skip
MAX_SENSES = 3
_SPELLINGS = (("grey", "gray"), ("colour", "color"), ("armour", "armor"), ("doughnut", "donut"),
              ("tyre", "tire"), ("theatre", "theater"), ("aeroplane", "airplane"),
              ("moustache", "mustache"), ("pyjama", "pajama"), ("yoghurt", "yogurt"),
              ("jewellery", "jewelry"), ("centre", "center"), ("fibre", "fiber"))  # fmt: skip


def readable(name: str) -> str:
    """An icon's name as people say it: "hot-beverage-outline" -> "hot beverage"."""
    words = [word for word in re.split(r"[-_ ]+", name.lower()) if word]
    while len(words) > 1 and (words[-1] in VARIANTS or re.fullmatch(r"[a-z]?\d+(px)?", words[-1])):
        words.pop()
    return re.sub(r"(?<=[a-z])\d$", "", " ".join(words))


def is_clutter(name: str) -> bool:
    """Whether a name is of a user interface, a brand, a letter or a number."""
    words = name.split()
    return any(word in CLUTTER or len(word) == 1 or not word.isalpha() for word in words)


def skeleton(name: str, net: WordNet) -> str:
    """What spellings of one name have in common: "Hot dogs", "hotdog" -> "hotdog"."""
    words = name.lower().split()
    words[-1:] = [singular(word, net) for word in words[-1:]]
    text = re.sub(r"[^a-z0-9]", "", "".join(words)) or name
    for other, usual in _SPELLINGS:
        text = text.replace(other, usual)
    return text


def singular(word: str, net: WordNet) -> str:
    """The singular of a noun; the word itself if WordNet has it as it is ("glasses")."""
    if net.nouns(word):
        return word
    if word.endswith("s") and word not in net.irregular and net.nouns(word[:-1]):
        return word[:-1]  # "cubes" is of "cube", not of "cub"
    return net.singular(word)


def is_plural(name: str, net: WordNet) -> bool:
    """Whether the last word is the plural of another one."""
    last = name.split()[-1]
    return singular(last, net) != last


@dataclass(frozen=True)
class Meaning:
    """What a name names. `phrase`: the whole name or its last noun, whose meaning `synset` is."""

    synset: str
    phrase: str
    whole: bool
    plain: bool  # the noun has so few meanings that this is likely the right one


def meaning(name: str, rule: Rule, net: WordNet) -> Meaning | None:
    """The concrete thing that a name names by WordNet's most common senses, or None."""
    words = name.split()
    head = next((words[:i] for i, word in enumerate(words) if word in PREPOSITIONS and i), words)
    phrases = [words]
    if rule != "whole":
        phrases += [head[-2:], head[-1:]]
    for phrase in phrases:
        text = " ".join([*phrase[:-1], singular(phrase[-1], net)])
        if senses := net.nouns(text):
            if not is_concrete(senses[0], net) or (len(phrase) == 1 and text in NOT_ALONE):
                return None
            plain = len(senses) <= MAX_SENSES
            return Meaning(senses[0], text, len(phrase) == len(words), plain)
    return None


def is_concrete(synset: str, net: WordNet) -> bool:
    """Whether it is a thing, a being or a kind of place: no country and no city."""
    is_place = net.files[synset] == "15" and net.linked(synset, ("@i",))
    return net.files[synset] in GROUPS and not is_place


def best_sense(name: str, context: Iterable[str], group: str, net: WordNet) -> str:
    """The noun sense of an emoji whose gloss and relatives have most words of the context (Lesk
    1986, simplified), and that is in the emoji's group; "" if WordNet lacks the name."""
    words = name.split()
    senses = net.nouns(" ".join([*words[:-1], singular(words[-1], net)])) if words else []
    wanted = {word for text in context for word in re.findall(r"[a-z]+", text.lower())}
    wanted -= set(words)

    def in_group(sense: str) -> bool:
        return GROUPS.get(net.files[sense]) == group

    def score(sense: str) -> float:
        above = net.linked(sense, HYPERNYM)
        above += [other for one in above for other in net.linked(one, HYPERNYM)]
        near = [net.glosses[sense], *net.words[sense]]
        near += [word for one in above for word in net.words[one]]
        found = {word for text in near for word in re.findall(r"[a-z]+", text)}
        return len(found & wanted) - 0.3 * senses.index(sense) + 3 * in_group(sense)

    return max(senses, key=score, default="")


def related_words(synset: str, name: str, net: WordNet) -> list[str]:
    """Up to four synonyms, and up to two words of what it is a kind of."""
    same = [word for word in net.words[synset] if word != name]
    above = [net.words[other][0] for other in net.linked(synset, HYPERNYM)]
    return list(dict.fromkeys([*same[:4], *above[:2]]))


@dataclass
class Concepts:
    """One key for each thing, whatever its spelling, number or synonym is. Emoji come first."""

    net: WordNet
    _by_skeleton: dict[str, str] = field(default_factory=dict)
    _by_synset: dict[str, str] = field(default_factory=dict)

    def key(self, name: str, synset: str = "") -> str:
        """The key of a name, and of the meaning if WordNet has the whole name: a plain name."""
        bare = skeleton(name, self.net)
        known = self._by_skeleton.get(bare) or self._by_synset.get(synset)
        words = name.split()
        found = known or " ".join([*words[:-1], singular(words[-1], self.net)])
        self._by_skeleton.setdefault(bare, found)
        if synset:
            self._by_synset.setdefault(synset, found)
        return found

    def add(self, name: str, synset: str = "") -> None:
        """A name that is a concept of its own, even if it differs from another in number only."""
        self._by_skeleton.setdefault(skeleton(name, self.net), name)
        if synset:
            self._by_synset.setdefault(synset, name)
