"""English words and phrases -> names that can be drawn, from WordNet's relations and keywords."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from undiffuse.clip.lexicon import Candidate
from undiffuse.data.wordnet import CONCRETE, HYPERNYM, SIMILAR, WHOLE, WordNet

MAX_CANDIDATES = 5
MAX_SENSES = 3  # of a word; rarer ones are hardly meant
PERSON = "18"  # WordNet's lexicographer file
# Group of an emoji -> the lexicographer files of what it shows: a turtle is no sweater.
FILES = {
    "animals & nature": ("05", "13", "17", "19", "20"), "food & drink": ("05", "06", "13", "20"),
}  # fmt: skip
# The scores below were chosen on words that emojilib's people gave to emoji (docs/log).
SENSE_DISCOUNT = 0.6  # of a sense, relative to the next more common one
STEPS_UP = (1.0, 0.8, 0.65, 0.5)  # score of a name 0, 1, 2, 3 steps up: a synonym, a kind of it
STEPS_DOWN = (0.0, 0.55, 0.4)  # of a name 1 or 2 steps down: an example of it
SIBLING, PART = 0.15, 0.35
KEYWORD = 0.7  # of a name whose picture has the word as a keyword; less for a common keyword
KEYWORD_POWER = 0.25
# A teacher's cosine adds to the score of a name; alone it must be at least LEAST_COSINE.
COSINE_WEIGHT, NO_COSINE, LEAST_COSINE = 2.0, 0.2, 0.4


@dataclass(frozen=True)
class EnglishBuilder:
    """Finds the candidates of English words.

    net       WordNet.
    names     the names that can be drawn.
    keywords  word -> the names whose pictures have it as a keyword, the most fitting first.
    known     words that the model's captions hold.
    similar   word -> cosines with the names nearest to it, by sentence encoders.
    groups    name -> the group of its emoji.
    """

    net: WordNet
    names: Collection[str]
    keywords: Mapping[str, Sequence[str]]
    known: Collection[str]
    similar: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    def senses(self, word: str) -> list[str]:
        """The noun senses of a word in lower case, most common first: not WASP for "wasp"."""
        found = self.net.nouns(word)
        return [one for one in found if (word, one) not in self.net.proper] or found

    @cached_property
    def named(self) -> dict[str, list[tuple[float, str]]]:
        """Synset -> (weight, name) of the names that mean it."""
        found = defaultdict(list)
        for name in sorted(self.names):
            senses, files = self.senses(name), FILES.get(self.groups.get(name, ""), ())
            shown = [synset for synset in senses if self.net.files[synset] in files]
            for rank, synset in enumerate((shown or senses)[:2]):
                found[synset].append((SENSE_DISCOUNT**rank, name))
        return found

    @cached_property
    def above(self) -> dict[str, list[str]]:
        """Synset -> its hypernyms."""
        nouns = (synset for synset in self.net.words if synset[0] == "n")
        return {synset: self.net.linked(synset, HYPERNYM) for synset in nouns}

    @cached_property
    def below(self) -> dict[str, list[str]]:
        """Synset -> its hyponyms."""
        return _inverted(self.above)

    @cached_property
    def parts(self) -> dict[str, list[str]]:
        """Synset -> its parts."""
        return _inverted({synset: self.net.linked(synset, WHOLE) for synset in self.above})

    def candidates(self, word: str) -> list[Candidate]:
        """At most `MAX_CANDIDATES` names or known words that a word may be read as, best first."""
        if word in self.names:
            return [Candidate(word, "name")]
        scores: dict[str, tuple[float, str]] = {}

        def add(name: str, score: float, reason: str) -> None:
            old, why = scores.get(name, (0.0, reason))
            # Two sources that agree are better than one.
            best = reason if score > old else why
            scores[name] = (max(old, score) + 0.3 * min(old, score), best)

        listed = self.keywords.get(word, ())
        for place, name in enumerate(listed):
            add(name, KEYWORD / len(listed) ** KEYWORD_POWER * 0.97**place, "keyword")
        senses = self.senses(word) if self._is_noun(word) else []
        if senses:
            first = self.net.files[senses[0]]
            concrete = first in CONCRETE
            for rank, synset in enumerate(senses[:MAX_SENSES]):
                if first != PERSON == self.net.files[synset]:
                    continue  # "sweater": hardly one who sweats
                for name, (score, reason) in self.near.get(synset, {}).items():
                    # The rarer senses of an idea are no things either: "tier", one who ties.
                    # "Mellon" is no kind of person that could be drawn.
                    named = first == PERSON and bool(self.net.linked(synset, ("@i",)))
                    if reason == "synonym" or ((rank == 0 or concrete) and not named):
                        add(name, score * SENSE_DISCOUNT**rank, reason)
        for name, cosine in self.similar.get(word, {}).items():
            bonus = COSINE_WEIGHT * max(cosine - NO_COSINE, 0.0)
            if name in scores or cosine >= LEAST_COSINE:
                score, reason = scores.get(name, (0.0, "related"))
                scores[name] = score + bonus, reason
        ranked = sorted(scores, key=lambda name: (-scores[name][0], len(name), name))
        found = [Candidate(name, scores[name][1]) for name in ranked[:MAX_CANDIDATES]]
        return found or self._known_words(word)

    def _is_noun(self, word: str) -> bool:
        """Whether a word is mostly used as a noun, by the senses in WordNet's tagged texts."""
        tagged = {kind: self.net.tagged.get((word, kind), -1) for kind in "nvar"}
        if word.endswith(("ing", "ed")) and any(self._verbs(word)):
            return False  # "sitting": a session, but mostly a form of "sit"
        return tagged["n"] >= max(tagged["v"], tagged["a"], tagged["r"], 0)

    def _verbs(self, word: str) -> Iterable[str]:
        """The verbs of which a word is the -ing or -ed form."""
        stem = word.removesuffix("ing") if word.endswith("ing") else word.removesuffix("ed")
        for base in (stem, f"{stem}e", stem[:-1] if stem[-2:-1] == stem[-1:] else ""):
            if self.net.tagged.get((base, "v"), 0) > 0:
                yield base

    @cached_property
    def near(self) -> dict[str, dict[str, tuple[float, str]]]:
        """Synset -> name -> (score, reason), for the names near that meaning."""
        found: dict[str, dict[str, tuple[float, str]]] = defaultdict(dict)

        def add(synset: str, name: str, score: float, reason: str) -> None:
            if score > found[synset].get(name, (0.0, ""))[0]:
                found[synset][name] = score, reason

        for meaning, named in self.named.items():
            for weight, name in named:
                for steps, border in enumerate(self._levels(self.below, meaning, len(STEPS_UP))):
                    for synset in border:
                        if steps < 2 or self.net.files[synset] in CONCRETE:
                            reason = "kind of" if steps else "synonym"
                            add(synset, name, weight * STEPS_UP[steps], reason)
                if self.net.files[meaning] not in CONCRETE:
                    continue
                for steps, border in enumerate(self._levels(self.above, meaning, len(STEPS_DOWN))):
                    for synset in border:
                        add(synset, name, weight * STEPS_DOWN[steps], "example")
                if self.net.files[meaning] != PERSON:  # two kinds of person are strangers
                    for parent in self.above[meaning]:
                        for synset in self.below[parent]:
                            add(synset, name, weight * SIBLING, "related")
                for synset in self.parts[meaning]:
                    add(synset, name, weight * PART, "part")
        return found

    @staticmethod
    def _levels(links: Mapping[str, list[str]], synset: str, count: int) -> Iterable[set[str]]:
        """The meanings 0, 1, ... steps away from a meaning, each where it is nearest."""
        seen, border = {synset}, {synset}
        for _ in range(count):
            yield border
            border = {other for one in border for other in links.get(one, ())} - seen
            seen |= border

    def _known_words(self, word: str) -> list[Candidate]:
        """Known words that mean the same as an adjective, or nearly: "gigantic" -> "large"."""
        kinds = [synset for synset in self.net.senses.get(word, ()) if synset[0] == "a"]
        if not kinds or self.net.tagged.get((word, "v"), -1) > self.net.tagged[word, "a"]:
            return []
        near = [kinds[0], *self.net.linked(kinds[0], SIMILAR)]
        found = {
            other: "synonym" if synset == kinds[0] else "related"
            for synset in reversed(near)
            for other in self.net.words[synset]
            if other in self.known and other not in self.names and other != word
        }
        return [Candidate(*item) for item in found.items()][::-1][:MAX_CANDIDATES]


def _inverted(links: Mapping[str, list[str]]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for synset, others in links.items():
        for other in others:
            found[other].append(synset)
    return found


def rank_keywords(tables: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Keyword -> names. Each table: name -> its keywords. A name comes early if its keywords are
    few, for then each says more of it, and if several tables agree."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for table in tables:
        for name, keywords in table.items():
            for keyword in keywords:
                in_name = keyword in name.split()
                found[keyword][name] += 1 / (4 + len(keywords)) + in_name / (1 + len(name.split()))
    return {
        keyword: sorted(names, key=lambda name: (-names[name], name))
        for keyword, names in found.items()
    }
