"""What the records of `undiffuse data pictures` say: names, keywords, concepts, glosses."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from undiffuse.data import npm
from undiffuse.data.emoji_names import FLAGS, TONES, Emoji, normalize_code, read_emojibase
from undiffuse.data.emoji_sets import EMOJIBASE
from undiffuse.data.emoji_words import read_cldr, read_emojibase_words, read_emojilib
from undiffuse.data.icon_words import (
    GROUPS,
    Concepts,
    Meaning,
    best_sense,
    is_plural,
    related_words,
)
from undiffuse.data.wordnet import WordNet, read_wordnet

MAX_KEYWORDS = 24
_NO_KEYWORD = re.compile(r"[a-z]\d|mcdonald|burger king|batman")
SHORTCODES = tuple(
    f"en/shortcodes/{name}.json" for name in ("emojibase", "iamcal", "joypixels", "cldr", "github")
)


@dataclass
class TestWords:
    """Words that no training text may contain, so that tests can ask for them.

    `dropped` counts the texts that were left out of the records because of one of them.
    """

    words: frozenset[str] = frozenset()
    dropped: Counter[str] = field(default_factory=Counter)

    def occur(self, text: str) -> bool:
        """Whether one of them, or its plural, is a word of the text."""
        return any(
            word in self.words or word.removesuffix("s") in self.words
            for word in re.findall(r"[a-z]+", text.lower())
        )

    def without(self, texts: Iterable[str], kind: str) -> list[str]:
        """The texts that contain none of them."""
        kept = []
        for text in texts:
            if self.occur(text):
                self.dropped[kind] += 1
            else:
                kept.append(text)
        return kept


@dataclass
class Words:
    """Everything that names and records are made of."""

    net: WordNet
    emoji: list[Emoji]
    keywords: dict[str, tuple[str, ...]]  # emoji code without skin tone -> keywords
    aliases: dict[str, str]  # squeezed name of an emoji -> its code
    tests: TestWords
    concepts: Concepts
    _by_concept: dict[str, Emoji] = field(default_factory=dict)
    _senses: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain = [row for row in self.emoji if not row.tone]
        # "house" before "houses", which would take its place
        for row in sorted(plain, key=lambda row: is_plural(row.name, self.net)):
            context = [*self.keywords[row.code], row.subgroup.replace("-", " ")]
            sense = "" if row.group == FLAGS else best_sense(row.name, context, row.group, self.net)
            self._senses[row.name] = sense
            self.concepts.add(row.name, sense)
            self._by_concept[row.name] = row

    def emoji_record(self, row: Emoji) -> dict[str, Any]:
        """The words of an emoji."""
        base = self._by_concept[self.concept_of[row.concept]]
        return self._record(
            row.name, self.keywords[row.concept], base.name, row.group, row.subgroup,
            self._senses[base.name],
        ) | {"tone": TONES[row.tone], "code": row.code}  # fmt: skip

    @cached_property
    def group_of(self) -> dict[str, str]:
        """Emoji code without skin tone -> group."""
        return {row.code: row.group for row in self.emoji if not row.tone}

    @cached_property
    def concept_of(self) -> dict[str, str]:
        """Emoji code without skin tone -> concept."""
        return {row.code: row.name for row in self.emoji if not row.tone}

    def icon_record(
        self, name: str, found: Meaning, keywords: Iterable[str] = ()
    ) -> dict[str, Any]:
        """The words of an icon."""
        synset = found.synset if found.whole and found.plain else ""
        concept = self.concepts.key(name, synset)
        row = self._by_concept.get(concept)
        sense = self._senses.get(concept, "") or synset
        related = [*([] if found.whole else [found.phrase])]
        related += related_words(found.synset, name, self.net) if found.plain else []
        more = self.keywords[row.code] if row else ()
        group, subgroup = (row.group, row.subgroup) if row else (self._group(found.synset), "")
        return self._record(name, [*keywords, *related, *more], concept, group, subgroup, sense)

    def _group(self, synset: str) -> str:
        return GROUPS.get(self.net.files.get(synset, ""), "objects")

    def _record(
        self, name: str, keywords: Iterable[str], concept: str, group: str, subgroup: str,
        sense: str,
    ) -> dict[str, Any]:  # fmt: skip
        # "cat2" and the like are short names that chat programs use
        said = (word for word in keywords if word and not _NO_KEYWORD.search(word))
        distinct = dict.fromkeys(word for word in said if word != name)
        kept = self.tests.without(distinct, "keywords")[:MAX_KEYWORDS]
        gloss = self.tests.without([self.net.glosses.get(sense, "")], "glosses")
        return {
            "name": name, "keywords": kept, "concept": concept, "group": group,
            "subgroup": subgroup, "tone": "", "gloss": gloss[0] if gloss else "",
        }  # fmt: skip


def squeeze(name: str) -> str:
    """Letters and digits only: "alarm_clock" -> "alarmclock"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_words(folder: Path, test_words: Iterable[str] = (), net: WordNet | None = None) -> Words:
    """Names and keywords of emoji from the npm packages in `folder`, and WordNet.

    UserError if a package or WordNet is missing.
    """
    files = npm.read_json(EMOJIBASE, folder, "en/data.json", "en/messages.json", *SHORTCODES)
    emoji = read_emojibase(*files[:2])
    sources = (read_emojibase_words(folder), read_emojilib(folder), read_cldr(folder, ["en"])["en"])
    keywords = {
        row.code: tuple(dict.fromkeys(
            word for source in sources if row.code in source for word in source[row.code].keywords
        ))
        for row in emoji if not row.tone
    }  # fmt: skip
    aliases: dict[str, str] = {}
    for table in files[2:]:
        for code, names in table.items():
            for name in [names] if isinstance(names, str) else names:
                aliases.setdefault(squeeze(name), normalize_code(code))
    aliases |= {squeeze(row.name): row.code for row in emoji if not row.tone}
    net = net or read_wordnet()
    tests = TestWords(frozenset(test_words))
    return Words(net, emoji, keywords, aliases, tests, Concepts(net))
