"""What a drawing is asked for: words, pictures and sums of them as vectors; a canvas to start from.

Everything here ends up as arguments of the one seam, or as a denoiser around a denoiser.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from undiffuse.config import STYLES
from undiffuse.errors import UserError
from undiffuse.explore.expression import Term, combined, is_sum, parse
from undiffuse.runtime.networks import Floats

MAX_PROMPT = 1000  # characters; CLIP reads some twenty words
# Of what a negative prompt names, this much is taken from the vector (LOG.md): 0.5 leaves too much
# of the thing, 1 takes more than the thing.
AWAY = 0.7
# "flat", "fluent" and "blob" are words of everyday too.
_NAMES_STYLE = re.compile(rf"\b(?:noto|twemoji|emojione|(?:{'|'.join(STYLES)})[ -]style)\b", re.I)

_SAYS_STYLE = re.compile(rf"(.+) in ({'|'.join(STYLES)}) style", re.I | re.S)  # as it is added


class Asked(TypedDict, total=False):
    """What may be asked for beside prompt, number and seed; what is not, or None, is as usual.

    first_index  index of the first picture; the k-th of n is first_index + k.
    style        family of emoji to draw in, added to a prompt that names none; "" for none.
    style_strength  how much more of what the style adds to a prompt the last steps get; 0: none,
                 as it is where no style is asked for.
    guidance     how hard the prompt steers; 1 is off.
    negative     words, or a sum, to steer away from: taken from the prompt's vector.
    like         pictures whose vectors are added to the prompt's.
    start        a picture to begin with; `strength`, in (0, 1], is the share that noise replaces.
    gradient     how far CLIP's own gradient moves each finished picture; needs the extra [train].
    mask         of `start`: what is white is drawn, what is black is kept to the byte.
    """

    first_index: int
    steps: int | None
    sampler: str | None
    guidance: float | None
    style: str | None
    style_strength: float | None
    negative: str | None
    like: Sequence[str | Path]
    start: str | Path | None
    strength: float | None
    mask: str | Path | None
    gradient: float | None


@dataclass(frozen=True)
class Prompt:
    """A prompt as it came; its terms with the family that was added to them; the terms without a
    family, where it can be taken off; whether a family was asked for; what the person should know.
    No terms: unsteered."""

    prompt: str
    terms: tuple[Term, ...]
    style: str
    bare: tuple[Term, ...] = ()
    asks_style: bool = False
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What steers, as it is read."""
        if self.terms and not is_sum(self.terms):
            return self.terms[0].text
        return " ".join(f"{term.weight:+g} {term.text}" for term in self.terms)

    def without(self, away: "Prompt") -> "Prompt":
        """With `AWAY` times what is not wanted taken from the sum; an empty one stays empty."""
        if not self.terms:
            return self

        def taken(terms: tuple[Term, ...]) -> tuple[Term, ...]:
            return tuple(replace(term, weight=-AWAY * term.weight) for term in terms)

        terms, bare = self.terms + taken(away.terms), self.bare + taken(away.bare)
        return replace(self, terms=terms, bare=bare)

    def vector(self, encode: Callable[[Term], Floats]) -> Floats:
        """The unit vector `(512,)` of the sum, zeros where there is nothing to steer by."""
        return combined(self.terms, encode) if self.terms else np.zeros(512, np.float32)

    def stronger(self, encode: Callable[[Term], Floats], strength: float) -> Floats:
        """The unit vector `(512,)` with what the style adds to it added `strength` times more."""
        vector = self.vector(encode)
        if not strength or self.bare == self.terms:
            return vector
        more = vector + np.float32(strength) * (vector - combined(self.bare, encode))
        return more / np.linalg.norm(more)


def styled(
    prompt: str, style: str, *, asked: bool = False, like: Sequence[str | Path] = ()
) -> Prompt:
    """The prompt, with `style` added to its words unless they name a family themselves; that is
    noted where the style was `asked` for. `like`: pictures whose vectors are added.

    UserError if the prompt is no text, or a sum without sense."""
    try:
        if len(prompt) > MAX_PROMPT:
            raise UserError(f"the prompt has {len(prompt)} characters: at most {MAX_PROMPT}")
        prompt.encode()
    except (TypeError, AttributeError, UnicodeEncodeError) as error:
        raise UserError(f"prompt {prompt!r} is no text") from error
    terms = parse(prompt) if prompt.strip() else []
    texts = [term.text for term in terms if not term.is_picture]
    notes: tuple[str, ...] = ()
    if any(_NAMES_STYLE.search(text) for text in texts):
        if asked and style:
            notes = (f"the prompt names a family itself: the style {style} is not added",)
        style = ""
    named = [_in_style(term, style) for term in terms]
    bare = _in_no_style(terms)
    pictures = [Term(1.0, str(path), is_picture=True) for path in like]
    given = style if texts else ""
    asks = bare != terms or bool(asked and given)
    return Prompt(prompt, (*named, *pictures), given, (*bare, *pictures), asks, notes)


def _in_style(term: Term, style: str) -> Term:
    if term.is_picture or not style:
        return term
    return replace(term, text=f"{term.text} in {style} style")


def _in_no_style(terms: list[Term]) -> list[Term]:
    """The terms without the family that all of their words say; "cat in noto style - cat" is a
    direction of its own, and stays as it is."""
    said = [_SAYS_STYLE.fullmatch(term.text) for term in terms if not term.is_picture]
    if None in said or len({one[2].lower() for one in said if one}) != 1:
        return terms
    plain = (one[1] for one in said if one)
    return [term if term.is_picture else replace(term, text=next(plain)) for term in terms]


def between(one: str, other: str, encode: Callable[[Term], Floats], count: int) -> list[str]:
    """`count` prompts from one to the other, along the sphere (Shoemake 1985).

    Each is a sum of the terms of both, so that it can be drawn, recorded and drawn again like any
    other. UserError for fewer than two, or where the ends point the same way or in opposite ones.
    """
    if count < 2:
        raise UserError(f"count={count}: give 2 pictures at least, the ends")
    ends = [parse(one), parse(other)]
    sums = [np.sum([t.weight * encode(t) for t in terms], axis=0) for terms in ends]
    lengths = [float(np.linalg.norm(total)) for total in sums]
    if min(lengths) < 1e-3:
        raise UserError(f"{one!r} or {other!r} points nowhere: nothing is left of the sum")
    cosine = float(sums[0] @ sums[1]) / (lengths[0] * lengths[1])
    if abs(cosine) > 0.9999:
        raise UserError(f"{one!r} and {other!r} lie on one line: there is no way between them")
    angle = math.acos(cosine)
    prompts = []
    for place in range(count):
        share = place / (count - 1)
        shares = math.sin((1 - share) * angle), math.sin(share * angle)
        parts = [
            _written(term, part / length)
            for terms, part, length in zip(ends, shares, lengths, strict=True)
            for term in terms
            if part > 1e-6
        ]
        prompts.append(" ".join(parts))
    return prompts


def _written(term: Term, share: float) -> str:
    sign = "-" if term.weight < 0 else "+"
    text = term.text if term.is_picture else f'"{term.text}"'
    return f"{sign} {abs(term.weight) * share:.5f}*{text}"
