"""Spelling correction: the word nearest to a misspelled one, by letters and by sound."""

import re
from collections.abc import Iterable

# Spellings of one sound, applied in this order; then doubled letters are one.
_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"ph", "f"), (r"^kn", "n"), (r"^wr", "r"), (r"sch", "sh"), (r"ck", "k"), (r"qu", "kw"),
        (r"x", "ks"), (r"c(?=[eiy])", "s"), (r"c(?!h)", "k"), (r"z", "s"), (r"y", "i"),
        (r"gh(?=t|$)", ""), (r"ou|oo|ue|ew", "u"), (r"ee|ea|ie|ei", "i"), (r"(.)\1+", r"\1"),
    )
)  # fmt: skip
SWAP = 0.8  # cost of two neighboring letters in the wrong order; other mistakes cost 1
FIRST_LETTER = 0.3  # added if the first letter differs, which is rarely mistyped
ANAGRAM = 1.2  # largest distance of words with the same letters
UNNAMED = 0.15  # added for a word of no name: "potatoe" is "potato", and not "potatos"
RARE = 0.3  # added for a word that the model does not know itself
EXTRA = 0.1  # added per letter that the word has too many: letters are left out more often


def sound(word: str) -> str:
    """A rough spelling of how an English word sounds: "elephant" -> "elefant"."""
    for pattern, replacement in _SOUNDS:
        word = pattern.sub(replacement, word)
    return word


# Damerau 1964, "A technique for computer detection and correction of spelling errors"
def edit_distance(one: str, other: str) -> float:
    """The cost of insertions, deletions, substitutions, and swaps of neighbors (`SWAP`), each
    place edited at most once."""
    before: list[float] = []
    row: list[float] = [float(j) for j in range(len(other) + 1)]
    for i, a in enumerate(one, 1):
        two_before, before, row = before, row, [float(i)]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2] and a != b:
                cost = min(cost, two_before[j - 2] + SWAP)
            row.append(cost)
    return row[-1]


def largest_distance(word: str) -> float:
    """How far a correction may be: short words have too many neighbors."""
    return 1.0 if len(word) < 5 else 1.5 if len(word) < 8 else 2.0


def correct(
    word: str, named: Iterable[str], known: Iterable[str], common: Iterable[str]
) -> tuple[str, float]:
    """The nearest word and its distance, the mean of the distances of the letters and the sounds.

    ("", inf) if none is near enough. A word of a name is preferred to one that is only known, and
    this to one that is only common.
    """
    letters, said, limit = set(word), sound(word), largest_distance(word)
    best, least = "", float("inf")
    for words, extra in ((named, 0.0), (known, UNNAMED), (common, RARE)):
        for other in words:
            if (
                abs(len(other) - len(word)) > 2 or len(other) < 3
                or len(letters.symmetric_difference(other)) > 4
            ):  # fmt: skip
                continue
            cost = extra + FIRST_LETTER * (other[0] != word[0])
            cost += EXTRA * max(len(word) - len(other), 0)
            if cost >= least:
                continue
            typed = edit_distance(word, other)
            if typed > 2 * limit:
                continue
            distance = (typed + edit_distance(said, sound(other))) / 2
            if sorted(word) == sorted(other):  # all letters, in the wrong order
                distance = min(distance, ANAGRAM)
            if distance <= limit and (distance + cost, other) < (least, best):
                best, least = other, distance + cost
    return best, least
