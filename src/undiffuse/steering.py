"""What a drawing is asked for: words, pictures and sums of them as vectors; a canvas to start from.

Everything here ends up as arguments of the one seam, or as a denoiser around a denoiser.
"""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from undiffuse.clip.expression import Term, combined, is_sum, parse
from undiffuse.config import STYLES
from undiffuse.diffusion.arrays import Array, Denoiser, within
from undiffuse.errors import UserError
from undiffuse.images import Pixels, file_bytes
from undiffuse.pictures import MAX_FILE, read_picture
from undiffuse.runtime.networks import CodecRuntime, Floats

MAX_PROMPT = 1000  # characters; CLIP reads some twenty words
STRENGTH = 0.7
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


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture to begin with, bytes `(64, 64, 3)`; how much of it noise replaces, in (0, 1]; and
    where to draw, `(64, 64)`, or everywhere."""

    pixels: Pixels
    strength: float = STRENGTH
    mask: NDArray[np.bool_] | None = None

    @classmethod
    def read(cls, path: Path, strength: float | None, mask: Path | None) -> "Canvas":
        """From files. White or transparent parts of the mask are drawn in, black ones are kept.

        UserError for a file that can't be read, a strength out of range, a mask of one colour.
        """
        strength = (STRENGTH if mask is None else 1.0) if strength is None else strength
        if within("strength", strength, 0.0, 1.0) == 0.0:
            raise UserError("strength=0 leaves the picture as it is: give more, up to 1")
        if mask is None:
            return cls(read_picture(path), strength)
        where = read_picture(mask).mean(-1) > 127
        if where.all() or not where.any():
            raise UserError(f"mask {mask} is all of one kind: white is drawn in, black is kept")
        return cls(read_picture(path), strength, where)

    @cached_property
    def known(self) -> Floats:
        """The picture as pixels `(1, 3, 64, 64)` in [-1, 1]."""
        return self.pixels.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1

    def kept(self, denoiser: Denoiser, codec: CodecRuntime) -> Denoiser:
        """A denoiser whose finished picture is the known one wherever the mask keeps it."""
        mask = self.mask
        if mask is None:
            return denoiser

        def keeping(x_t: Array, t: float, cond: Array) -> Array:
            pixels = codec.decode(denoiser(x_t, t, cond)).clip(-1.0, 1.0)
            return codec.encode(np.where(mask, pixels, self.known))

        return keeping

    def finish(self, pixels: Pixels) -> Pixels:
        """Drawn bytes `(B, 64, 64, 3)`, with every kept pixel as it was."""
        if self.mask is None:
            return pixels
        return np.where(self.mask[..., None], pixels, self.pixels)


def canvas_of(asked: Asked) -> Canvas | None:
    """The picture to start from, if one is asked for. UserError for a mask without one."""
    start, mask, strength = asked.get("start"), asked.get("mask"), asked.get("strength")
    if start is None:
        if mask is not None or strength is not None:
            raise UserError("a mask or a strength needs a picture to start from")
        return None
    return Canvas.read(Path(start), strength, None if mask is None else Path(mask))


def file_hash(path: Path) -> str:
    """The first 16 hex digits of a file's SHA-256: a record says what a picture was when used."""
    return hashlib.sha256(file_bytes(path, MAX_FILE)).hexdigest()[:16]
