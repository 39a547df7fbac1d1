"""What people type instead of a caption: misspelt words, other articles, plurals.

The tokenizer ignores case, so that capitals make no difference.

The kinds of mistakes are those of Damerau 1964, "A technique for computer detection and correction
of spelling errors": one letter too many, too few, wrong, or two in the wrong order; and spellings
that sound alike.
"""

import re
from collections.abc import Callable

from numpy.random import Generator

from undiffuse.data.composites import pluralize, with_article

SHARE = 1 / 6  # of the captions that are changed
MISSPELT_SHARE = 0.6  # of these; the others get another article or a plural
MIN_LETTERS = 4  # of a word that is misspelt; "cat" and "bat" would be confused
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SOUNDS_ALIKE = (
    ("ph", "f"), ("ck", "k"), ("qu", "kw"), ("ee", "ea"), ("ea", "ee"), ("ie", "ei"), ("ei", "ie"),
    ("ou", "oo"), ("oo", "u"), ("ll", "l"), ("tt", "t"), ("rr", "r"), ("ss", "s"), ("nn", "n"),
    ("mm", "m"), ("pp", "p"), ("er", "ar"), ("le", "el"), ("ce", "se"), ("ci", "si"), ("ca", "ka"),
    ("co", "ko"), ("x", "ks"), ("y", "i"), ("z", "s"),
)  # fmt: skip
_WORD = re.compile(r"[a-z]+")


def _neighbors() -> dict[str, str]:
    """Letter -> the letters beside it on a QWERTY keyboard, of its row and of the rows next to it;
    each row is half a key to the right of the one above.
    """
    places = {key: (i, j + 0.5 * i) for i, row in enumerate(_ROWS) for j, key in enumerate(row)}
    return {
        key: "".join(
            other for other, (k, x) in places.items()
            if other != key and abs(k - i) <= 1 and abs(x - j) <= 1
        )
        for key, (i, j) in places.items()
    }  # fmt: skip


NEIGHBORS = _neighbors()


def _replaced(word: str, place: int, rng: Generator) -> str:
    near = NEIGHBORS[word[place]]
    return word[:place] + near[int(rng.integers(len(near)))] + word[place + 1 :]


def _doubled(word: str, place: int, rng: Generator) -> str:
    return word[: place + 1] + word[place:]


def _dropped(word: str, place: int, rng: Generator) -> str:
    return word[:place] + word[place + 1 :]


def _swapped(word: str, place: int, rng: Generator) -> str:
    place = min(place, len(word) - 2)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _respelt(word: str, place: int, rng: Generator) -> str:
    fitting = [pair for pair in _SOUNDS_ALIKE if pair[0] in word[1:]]
    if not fitting:
        return _dropped(word, place, rng)
    sound, other = fitting[int(rng.integers(len(fitting)))]
    return word[0] + word[1:].replace(sound, other, 1)


_MISTAKES: tuple[Callable[[str, int, Generator], str], ...] = (
    _replaced, _doubled, _dropped, _swapped, _respelt, _respelt,
)  # fmt: skip


def misspell(word: str, rng: Generator) -> str:
    """A word of the letters a-z with one mistake. The first letter, rarely mistyped, stays."""
    make = _MISTAKES[int(rng.integers(len(_MISTAKES)))]
    return make(word, 1 + int(rng.integers(len(word) - 1)), rng)


def vary(text: str, rng: Generator, share: float = SHARE) -> str:
    """The text, or for this share of the calls the text as somebody types it: with a word of at
    least `MIN_LETTERS` misspelt, another article, or a plural.
    """
    if rng.random() >= share:
        return text
    words = list(_WORD.finditer(text))
    long = [found for found in words if len(found[0]) >= MIN_LETTERS]
    if long and rng.random() < MISSPELT_SHARE:
        chosen = long[int(rng.integers(len(long)))]
        return text[: chosen.start()] + misspell(chosen[0], rng) + text[chosen.end() :]
    return _other_form(text, rng)


def _other_form(text: str, rng: Generator) -> str:
    if text.isalpha() and rng.random() < 0.5:  # one word: the last of several may be no noun
        return pluralize(text)
    if bare := re.fullmatch(r"(?:an?|the) (.+)", text):
        return bare[1] if rng.random() < 0.5 else f"the {bare[1]}"
    return with_article(text) if rng.random() < 0.5 else f"the {text}"
