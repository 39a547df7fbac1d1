"""Prompts: parsed into terms, embedded as one CLIP vector, and interpolated."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from undiffuse.clip.reading import Reader
from undiffuse.config import EMBED_DIM, STYLES
from undiffuse.errors import UserError
from undiffuse.explore.expression import (
    MAX_LENGTH,
    Term,
    is_sum,
    parse_expression,
    weighted_sum,
)
from undiffuse.layout.parse import spoken_layout
from undiffuse.layout.words import COLORS, NO_THING
from undiffuse.runtime.networks import Floats

# The share of the negative prompt's vector that is subtracted (docs/log): 0.5 leaves too much of
# the object, 1 removes more than the object.
NEGATIVE_WEIGHT = 0.7
# "flat", "fluent" and "blob" are everyday words too: they name a style only before "style".
_UNMISTAKABLE = frozenset({"noto", "twemoji", "emojione"})
NO_NOUN = NO_THING | {"style"}  # no noun begins with these: "an orange and a pear"
_WORD, _NEXT_WORD = re.compile(r"\w+"), re.compile(r" +(\w+)")

EncodeTerm = Callable[[Term], Floats]  # a term to its unit vector (512,)


@dataclass(frozen=True)
class Prompt:
    """A parsed prompt. Without terms it is unsteered.

    prompt           the text as it was given.
    terms            the terms of the sum, with the style added to their words.
    style            the style that was added, "" if none.
    unstyled         the same terms without a style, where it can be removed.
    style_requested  whether the user asked for a style, in the prompt or as an option.
    notes            what the user should know.
    sentence         the text whose tokens the denoiser reads; "" for a sum and for images.
    subtracted       how many of the terms, the last ones, are those of a negative prompt.
    read             the text as the lexicon reads it; the same as `prompt` without a lexicon.
    """

    prompt: str
    terms: tuple[Term, ...]
    style: str
    unstyled: tuple[Term, ...] = ()
    style_requested: bool = False
    notes: tuple[str, ...] = ()
    read: str = ""
    sentence: str = ""
    subtracted: int = 0

    @property
    def text(self) -> str:
        """The terms as one line of text."""
        if self.terms and not is_sum(self.terms):
            return self.terms[0].text
        return " ".join(f"{term.weight:+g} {term.text}" for term in self.terms)

    @property
    def colorless(self) -> tuple[Term, ...]:
        """The terms without the color that a phrase says of a noun; those of a sum stay as they
        are, as do phrases with several colors and the terms of a negative prompt.
        """
        if not self.sentence:
            return self.terms
        own = len(self.terms) - self.subtracted
        changed = (replace(one, text=without_color(one.text)) for one in self.terms[:own])
        return (*changed, *self.terms[own:])

    def subtract(self, negative: "Prompt") -> "Prompt":
        """This prompt minus `NEGATIVE_WEIGHT` times another. A prompt without terms stays so."""
        if not self.terms:
            return self

        def negated(terms: tuple[Term, ...]) -> tuple[Term, ...]:
            return tuple(replace(term, weight=-NEGATIVE_WEIGHT * term.weight) for term in terms)

        terms = self.terms + negated(negative.terms)
        unstyled = self.unstyled + negated(negative.unstyled)
        return replace(self, terms=terms, unstyled=unstyled, subtracted=len(negative.terms))

    def without(self, style: float, color: float) -> list[tuple[float, tuple[Term, ...]]]:
        """What `embed` moves away from with these strengths: the strengths that are not 0, and the
        terms without the style and without the color.
        """
        both = ((style, self.unstyled), (color, self.colorless))
        return [(strength, terms) for strength, terms in both if strength and terms != self.terms]

    def embed(
        self, encode: EncodeTerm, style_strength: float = 0.0, color_strength: float = 0.0,
        dim: int = EMBED_DIM,
    ) -> Floats:  # fmt: skip
        """The unit vector (dim,) of the sum v, zeros without terms.

        With strengths s and c it is that of v + s (v - u) + c (v - w), where u is the sum without
        the style and w without the color.
        """
        if not self.terms:
            return np.zeros(dim, np.float32)
        vector = weighted_sum(self.terms, encode)
        stronger = vector
        for strength, terms in self.without(style_strength, color_strength):
            direction = vector - weighted_sum(terms, encode)
            stronger = stronger + np.float32(strength) * direction
        return stronger if stronger is vector else stronger / np.linalg.norm(stronger)


def parse_prompt(
    prompt: str, style: str, *, style_requested: bool = False, like: Sequence[str | Path] = (),
    styles: tuple[str, ...] = STYLES, reader: Reader | None = None, composes: bool = False,
) -> Prompt:  # fmt: skip
    """The parsed prompt, with `style` added to its words unless they name a style themselves.

    `style_requested`: whether the user asked for `style`. `like`: image files to add to the sum.
    `styles`: those that the model knows. `reader`: replaces unknown words; None takes the prompt
    literally. `composes`: words that tell where things are stay.
    UserError for a prompt that is no UTF-8 text, and as `parse_expression`.
    """
    try:
        prompt.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        raise UserError(f"prompt {prompt!r} is no UTF-8 text") from error
    terms = parse_expression(prompt) if prompt.strip() else []
    read, notes = prompt, tuple[str, ...]()
    if reader is not None:
        terms, read, notes = _read_terms(terms, prompt, reader, composes)
    texts = [term.text for term in terms if not term.is_picture]
    names_style, suffix = _style_patterns(styles)
    if any(names_style.search(text) for text in texts):
        if style_requested and style:
            notes += (f"the prompt names a style itself: the style {style} is not added",)
        style = ""
    style = style if texts else ""
    styled, unstyled = [_with_style(term, style) for term in terms], _without_style(terms, suffix)
    requested = unstyled != terms or (style_requested and style != "")
    images = [Term(1.0, str(path), is_picture=True) for path in like]
    every = (*styled, *images)
    sentence = "" if not every or is_sum(every) else every[0].text
    return Prompt(
        prompt, every, style, (*unstyled, *images), requested, notes, read, sentence
    )  # fmt: skip


def _read_terms(
    terms: list[Term], prompt: str, reader: Reader, composes: bool
) -> tuple[list[Term], str, tuple[str, ...]]:
    """The terms and the prompt as they are read, and a note for each change."""
    sure = bool(terms) and is_sum(terms)
    texts = ["" if term.is_picture else term.text for term in terms]
    readings = [reader.read(text, sure, spoken_layout(text) if composes else ()) for text in texts]
    changes = [change for reading in readings for change in reading.changes]
    if not changes:
        return terms, prompt, ()
    pairs = zip(terms, readings, strict=True)
    read = [one if one.is_picture else replace(one, text=r.text) for one, r in pairs]
    text = expression_of(read)
    if len(text) > MAX_LENGTH:  # could not be parsed again
        return terms, prompt, ()
    names = reader.lexicon.languages
    return read, text, tuple(dict.fromkeys(change.note(names) for change in changes))


def expression_of(terms: Sequence[Term]) -> str:
    """A text that `parse_expression` reads as these terms."""
    text = terms[0].text
    if not is_sum(terms) and len(text) <= MAX_LENGTH and parse_expression(text) == list(terms):
        return text
    return " ".join(_exact_term(term) for term in terms)


def _exact_term(term: Term) -> str:
    """A term that `parse_expression` reads as the same term of a sum."""
    weight = np.format_float_positional(abs(term.weight), trim="0")
    return f"{'-' if term.weight < 0 else '+'} {weight}*" + (
        term.text if term.is_picture else f'"{term.text}"'
    )


def without_color(text: str) -> str:
    """The text without its color, if it says one color of a noun: "a car" of "a green car"."""
    colors = [word for word in _WORD.finditer(text) if word[0].lower() in COLORS]
    noun = _NEXT_WORD.match(text, colors[0].end()) if len(colors) == 1 else None
    if noun is None or noun[1].lower() in NO_NOUN or not noun[1][0].isalpha():
        return text
    return text[: colors[0].start()] + text[noun.start(1) :]


def _with_style(term: Term, style: str) -> Term:
    if term.is_picture or not style:
        return term
    return replace(term, text=f"{term.text} in {style} style")


@cache
def _style_patterns(styles: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What names a style anywhere in a text, and what adds one at its end."""
    names = "|".join(map(re.escape, styles)) or r"(?!)"
    alone = "|".join(_UNMISTAKABLE.intersection(styles)) or r"(?!)"
    return (
        re.compile(rf"\b(?:{alone}|(?:{names})[ -]style)\b", re.I),
        re.compile(rf"(.+) in ({names}) style", re.I | re.S),
    )


def _without_style(terms: list[Term], suffix: re.Pattern[str]) -> list[Term]:
    """The terms without the style that all of their texts end in. "cat in noto style - cat" is a
    direction of its own and stays unchanged."""
    found = [suffix.fullmatch(term.text) for term in terms if not term.is_picture]
    if len({match and match[2].lower() for match in found}) != 1 or not found[0]:
        return terms
    texts = (match[1] for match in found if match)
    return [term if term.is_picture else replace(term, text=next(texts)) for term in terms]


# slerp: Shoemake 1985, "Animating rotation with quaternion curves"
def interpolate_prompts(one: str, other: str, encode: EncodeTerm, count: int) -> list[str]:
    """`count` prompts from one to the other, by spherical linear interpolation of their vectors.

    Each prompt is a weighted sum of the terms of both, so it can be drawn and recorded like any
    other. UserError for fewer than two prompts, and for vectors that are parallel or zero.
    """
    if count < 2:
        raise UserError(f"count={count}: give at least 2 pictures, the two ends")
    if not one.strip() or not other.strip():
        raise UserError(f"{one!r} and {other!r}: an empty prompt has no direction, give two others")
    ends = [parse_expression(one), parse_expression(other)]
    sums = [np.sum([t.weight * encode(t) for t in terms], axis=0) for terms in ends]
    lengths = [float(np.linalg.norm(total)) for total in sums]
    if min(lengths) < 1e-3:
        raise UserError(f"{one!r} or {other!r} has a sum of zero, which has no direction")
    cosine = float(sums[0] @ sums[1]) / (lengths[0] * lengths[1])
    if abs(cosine) > 0.9999:
        raise UserError(f"{one!r} and {other!r} have parallel vectors: give two other prompts")
    angle = math.acos(cosine)
    prompts = []
    for step in range(count):
        share = step / (count - 1)
        weights = math.sin((1 - share) * angle), math.sin(share * angle)
        parts = [
            _format_term(term, weight / length)
            for terms, weight, length in zip(ends, weights, lengths, strict=True)
            for term in terms
            if weight > 1e-6
        ]
        prompts.append(" ".join(parts))
    return prompts


def _format_term(term: Term, weight: float) -> str:
    sign = "-" if term.weight < 0 else "+"
    text = term.text if term.is_picture else f'"{term.text}"'
    return f"{sign} {abs(term.weight) * weight:.5f}*{text}"
