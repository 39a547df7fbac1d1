"""Prompts that name several things, or a ground: their things are drawn apart and composed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from undiffuse.errors import UserError
from undiffuse.explore.expression import Term
from undiffuse.imaging.png import Pixels
from undiffuse.layout.compose import Composition
from undiffuse.layout.parse import SceneGrammar
from undiffuse.pipeline.options import DrawOptions
from undiffuse.pipeline.prompt import Prompt

# Of what a prompt names, beside the whole prompt: "a penguin standing on ice" + 3 penguin.
HEAD_WEIGHT = 3.0
# Thing k of a picture has the noise of index + k * 2^48: the first one that of the picture.
THING_SHIFT = 48
CANDIDATE_SHIFT = 60  # candidate k of a drawing has the noise of index + k * 2^60


@dataclass(frozen=True)
class Canvas:
    """Where one picture comes from: the rows of the batch that are its drawings, and how they are
    composed; None for a prompt that is drawn whole.
    """

    prompt: Prompt  # the whole one
    seed: int
    index: int
    rows: slice
    composition: Composition | None = None
    heads: tuple[str, ...] = ()  # what is drawn above all, of prompts that say more

    @property
    def is_whole(self) -> bool:
        """Whether the prompt is drawn as one, and as it is."""
        return self.composition is None and not self.heads

    @property
    def notes(self) -> tuple[str, ...]:
        """What becomes of the prompt."""
        composed = (self.composition.note,) if self.composition else ()
        return composed + tuple(f"drawn above all: {head}" for head in self.heads)

    def picture(self, drawings: Pixels) -> Pixels:
        """The picture (H, W, C) of its drawings (R, H, W, C)."""
        if self.composition is None:
            return drawings[0]
        return self.composition.compose(list(drawings), self.seed, self.index)

    @property
    def indices(self) -> list[int]:
        """The index of the noise of each row."""
        count = self.rows.stop - self.rows.start
        return [(self.index + (k << THING_SHIFT)) % 2**64 for k in range(count)]


def wants_scenes(options: DrawOptions, able: bool, reads_tokens: bool, folder: Path) -> bool:
    """Whether prompts with several things are composed.

    able          the model has a lexicon and draws transparency.
    reads_tokens  its denoiser does: it learned to place things itself.
    UserError if the options ask for what can't be done.
    """
    wanted, has_start = options.get("compose"), options.get("start") is not None
    if wanted and not able:
        raise UserError(f"compose: the model in {folder} has no lexicon or draws no transparency, "
                        "so that it can't compose drawings")  # fmt: skip
    if wanted and has_start:
        raise UserError("compose and an image to start from exclude each other: give one of them")
    if wanted is None:
        return able and not (has_start or reads_tokens or options.get("literal"))
    return wanted


def composition_of(prompt: Prompt, grammar: SceneGrammar) -> Composition | None:
    """How a prompt is composed; None for one thing, for a sum, and for pictures."""
    if not prompt.sentence or len(prompt.unstyled) != 1:
        return None
    scene = grammar.scene(prompt.unstyled[0].text)
    return Composition(scene) if scene else None


def make_canvases(
    prompts: Sequence[Prompt], indices: range, seed: int, grammar: SceneGrammar | None
) -> tuple[list[Canvas], list[Prompt]]:
    """The pictures, prompt by prompt, and the prompt of each of their drawings. Without a grammar
    every prompt is drawn whole.
    """
    canvases, rows = list[Canvas](), list[Prompt]()
    for prompt in prompts:
        composition = composition_of(prompt, grammar) if grammar else None
        parts = _parts_of(prompt, composition)
        heads = [head_of(part, grammar) if grammar else "" for part in parts]
        parts = list(map(emphasize, parts, heads))
        for index in indices:
            rows_of = slice(len(rows), len(rows) + len(parts))
            found = tuple(filter(None, heads))
            canvases.append(Canvas(prompt, seed, index, rows_of, composition, found))
            rows += parts
    return canvases, rows


def head_of(prompt: Prompt, grammar: SceneGrammar) -> str:
    """What a prompt names before it says more; "" for others, for a sum, and for pictures."""
    if not prompt.sentence or len(prompt.unstyled) != 1:
        return ""
    return grammar.head(prompt.unstyled[0].text)


def emphasize(prompt: Prompt, head: str) -> Prompt:
    """The prompt plus `HEAD_WEIGHT` times its head: CLIP's vector of a long text is far from that
    of the thing that it is about. Without a head it stays.
    """
    if not head:
        return prompt
    suffix = prompt.terms[0].text.removeprefix(prompt.unstyled[0].text)
    return replace(
        prompt, terms=(*prompt.terms, Term(HEAD_WEIGHT, head + suffix)),
        unstyled=(*prompt.unstyled, Term(HEAD_WEIGHT, head)),
    )  # fmt: skip


def _parts_of(prompt: Prompt, composition: Composition | None) -> list[Prompt]:
    """A prompt for each drawing, in the style of the whole prompt."""
    if composition is None:
        return [prompt]
    suffix = prompt.terms[0].text.removeprefix(prompt.unstyled[0].text)
    return [
        replace(
            prompt, terms=(Term(1.0, text + suffix),), unstyled=(Term(1.0, text),),
            sentence=text + suffix,
        )
        for text in composition.texts
    ]  # fmt: skip


def compose(drawings: Pixels, canvases: Sequence[Canvas]) -> Pixels:
    """The pictures (B, H, W, C) of successive canvases, from their drawings (R, H, W, C)."""
    first = canvases[0].rows.start
    rows = [slice(one.rows.start - first, one.rows.stop - first) for one in canvases]
    return np.stack([one.picture(drawings[own]) for one, own in zip(canvases, rows, strict=True)])
