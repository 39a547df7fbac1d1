"""Captions of the records of `undiffuse data pictures`, of tinted icons and of scenes.

    maker = PictureCaptions(synonyms)
    caption = maker.caption(record, rng)

Beside each caption stands what it states, and beside each picture what it shows, so that
`describes` finds all pictures that a caption is true of, also those tinted or composed just now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.random import Generator

from undiffuse.data import colors
from undiffuse.data.captions import (
    Caption,
    Shown,
    add_style,
    content_words,
    random_caption,
    record_words,
)
from undiffuse.data.composites import remove_colors, with_article
from undiffuse.data.misspelling import vary
from undiffuse.data.scenes import Truth

GLOSS_SHARE, SYNONYM_SHARE = 0.04, 0.08  # of the captions of records that have one
STYLE_SHARE = 0.3
PLAIN_SHARE = 0.2  # of the captions of tinted icons, which do not name the color
MAX_GLOSS_WORDS = 12
UNTINTED = "black"  # the color in which icons of one color are stored
TINTED = ("{color} {noun}", "{color} {noun}", "{color} {noun}", "{a}", "{a}", "{noun} in {color}",
          "{noun}, {color}", "{color} {noun} icon", "an icon of {a}")  # fmt: skip
# Families of which other words are true as well.
STYLE_WORDS = {"line": ("line", "outline"), "solid": ("solid", "filled")}


@dataclass(frozen=True)
class PictureCaptions:
    """Makes captions. `synonyms`: name -> words that mean it."""

    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def caption(self, record: Mapping[str, Any], rng: Generator) -> Caption:
        """A random caption of a picture as it is stored, possibly misspelt."""
        record = _without_false_colors(record)
        roll, named = rng.random(), self.synonyms.get(record["name"], ())
        if record.get("gloss") and roll < GLOSS_SHARE:
            text = " ".join(record["gloss"].split()[:MAX_GLOSS_WORDS])
            stated = Caption(text, record["concept"], frozenset())
        else:
            changed = dict(record, family=_style_word(record, rng))
            if named and roll > 1 - SYNONYM_SHARE:
                changed["name"] = named[int(rng.integers(len(named)))]
            stated = random_caption(changed, rng, STYLE_SHARE)
            if "captions" in record:
                stated = replace(stated, words=stated.words | _attributes(record, stated.text))
        return replace(_without_color(stated), text=vary(stated.text, rng))

    def tinted(self, record: Mapping[str, Any], color: str, rng: Generator) -> Caption:
        """A random caption of an icon that is drawn in a color."""
        names = (record["name"], *self.synonyms.get(record["name"], ()))
        other = len(names) > 1 and rng.random() < SYNONYM_SHARE
        noun = remove_colors(names[1 + int(rng.integers(len(names) - 1))] if other else names[0])
        words = {color}
        if rng.random() < PLAIN_SHARE:
            text, words = noun, set()
        else:
            form = TINTED[int(rng.integers(len(TINTED)))]
            text = form.format(color=color, noun=noun, a=with_article(f"{color} {noun}"))
        if rng.random() < STYLE_SHARE:
            style = _style_word(record, rng)
            text = add_style(text, style, rng)
            words |= set(content_words(style))
        return Caption(vary(text, rng), remove_colors(record["concept"]), frozenset(words))


def shown_by(record: Mapping[str, Any], color: str = "") -> Shown:
    """What the picture of a record shows; `color`: of an icon that is tinted."""
    record = _without_false_colors(record)
    words = {*record_words(record), *STYLE_WORDS.get(record["family"], ())}
    if "captions" in record:
        words |= set(record["keywords"])
    words |= {word for word in content_words(record["concept"]) if word in colors.NAMES}
    if record.get("tintable"):
        words.add(color or UNTINTED)
    return Shown(remove_colors(record["concept"]), frozenset(words))


def scene_caption(text: str, truth: Truth, rng: Generator) -> Caption:
    """What the caption of a scene states, possibly misspelt."""
    concept, colored = _of_scene(truth)
    return Caption(vary(text, rng), concept, colored)


def shown_by_scene(truth: Truth) -> Shown:
    """What a scene shows: for a caption without a concept, the words of all its things."""
    concept, colored = _of_scene(truth)
    named = {word for name in truth.names for word in content_words(name)}
    return Shown(concept, colored | named | {color for color in truth.colors if color})


def _of_scene(truth: Truth) -> tuple[str, frozenset[str]]:
    """The whole scene without its colors, and its colors with their places.

    A tinted thing that fills the picture is the same as a tinted icon. "a right of b" is the same
    as "b left of a".
    """
    if truth.kind == "color":
        return remove_colors(truth.names[0]), frozenset(truth.colors)
    things = list(zip(truth.names, truth.colors, strict=True))
    relation = {"right of": "left of", "below": "above"}.get(truth.relation, truth.relation)
    if relation != truth.relation:
        things.reverse()
    colored = {f"{place}: {color}" for place, (_, color) in enumerate(things) if color}
    extra = str(truth.count) if truth.kind == "count" else relation or truth.size or truth.ground
    names = " / ".join(name for name, _ in things)
    return f"{truth.kind} / {extra} / {names}", frozenset(colored)


def _without_false_colors(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record whose words name no color if its picture is drawn in any: an icon of a red apple."""
    if not record.get("tintable"):
        return dict(record)
    keywords = (remove_colors(word) for word in record["keywords"])
    return {
        **record, "name": remove_colors(record["name"]), "colour": "",
        "concept": remove_colors(record["concept"]),
        "keywords": [word for word in keywords if word not in colors.NAMES],
    }  # fmt: skip


def _without_color(caption: Caption) -> Caption:
    """A color in the concept is a statement of its own: "red apple" is true of a red apple whose
    concept is "apple".
    """
    named = {word for word in content_words(caption.concept) if word in colors.NAMES}
    noun = remove_colors(caption.concept)
    stated = named if noun != caption.concept else set()
    return replace(caption, concept=noun, words=caption.words | stated)


def _style_word(record: Mapping[str, Any], rng: Generator) -> str:
    words = STYLE_WORDS.get(record["family"], (record["family"],))
    return words[int(rng.integers(len(words)))]


def _attributes(record: Mapping[str, Any], text: str) -> set[str]:
    """What a caption that came with the picture states of it."""
    said = {phrase for phrase in record["keywords"] if phrase in text}
    return said | (set(content_words(record["tone"])) if record["tone"] in text else set())
