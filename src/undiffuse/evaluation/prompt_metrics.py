"""Drawings of everyday prompts, called right or wrong by a judge and by program.

The judge tells what is there: each thing is among its first five of all names, on the picture or
on a crop of it. The program tells how many there are, in which color, and where.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undiffuse.data.colors import NAMES
from undiffuse.errors import UserError
from undiffuse.evaluation.prompt_checks import (
    SIDES,
    Picture,
    count,
    halves,
    has_color,
    has_ground,
    place,
    things,
    views,
)
from undiffuse.evaluation.prompt_checks import crop as crop_thing
from undiffuse.evaluation.protocols import Encoder, Pictures, Vectors, encode_batches
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.imaging.files import read_text

TOP = 5
MAX_COUNT = 9
Draw = Callable[[Sequence[str], int], Pictures]  # prompts, seed -> (B, 3, H, W)


@dataclass(frozen=True)
class Wanted:
    """A thing that a prompt asks for: the names that are right, its number, and its color or ""."""

    concepts: tuple[str, ...]
    count: int = 1
    color: str = ""


@dataclass(frozen=True)
class Prompt:
    """A prompt and what its drawing must show. `relation`: of the first thing to the second."""

    kind: str
    prompt: str
    things: tuple[Wanted, ...]
    relation: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether each property of a drawing is right; "found" is the judge's, others a program's."""

    prompt: Prompt
    checks: dict[str, bool]

    @property
    def passed(self) -> bool:
        return all(self.checks.values())


def read_prompts(path: Path) -> list[Prompt]:
    """A .jsonl file with "kind", "prompt", "things" and perhaps "color" and "relation" per line.
    UserError for a file of another form.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    try:
        prompts = [_read_prompt(json.loads(line)) for line in lines]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f'{path} has no prompts: each line needs "kind", "prompt" and "things", a '
                        'list of {"concepts": ["cat"], "count": 1}') from error  # fmt: skip
    if not prompts:
        raise UserError(f"{path} is empty: give a file with a prompt per line")
    return prompts


def _read_prompt(row: dict) -> Prompt:
    color = row.get("color", "")
    wanted = []
    for place_, thing in enumerate(row["things"]):
        number, concepts = thing.get("count", 1), tuple(thing["concepts"])
        own = thing.get("color", "" if place_ else color)
        known = all(isinstance(name, str) for name in concepts)
        if not (known and concepts and isinstance(number, int) and 1 <= number <= MAX_COUNT):
            raise ValueError("concepts and a count from 1 to 9")
        if own and own not in NAMES:
            raise ValueError("unknown color")
        wanted.append(Wanted(concepts, number, own))
    prompt, kind, relation = row["prompt"], row["kind"], row.get("relation", "")
    if not (wanted and prompt.strip() and kind and isinstance(relation, str)):
        raise ValueError("empty prompt")
    return Prompt(kind, prompt, tuple(wanted), relation)


class PromptJudge:
    """Tells whether a picture shows what a prompt asks for. `names`: all that it chooses among."""

    def __init__(self, encoder: Encoder, names: Sequence[str]) -> None:
        self.encoder, self.names = encoder, sorted(set(names))
        self.index = {name: row for row, name in enumerate(self.names)}
        self.name_vectors = encode_batches(encoder.encode_text, self.names)

    def verdict(self, prompt: Prompt, picture: Picture) -> Verdict:
        """`picture`: (3, H, W) uint8, on white."""
        crops = np.stack(list(views(picture, overlapping=len(prompt.things) > 1)))
        vectors = self.encoder.encode_image(crops)
        single = len(prompt.things) == 1 and prompt.things[0].count == 1
        shown = vectors[:1] if single and not has_ground(picture) else vectors
        checks = {"found": all(self.found(thing, shown) for thing in prompt.things)}
        first = prompt.things[0]
        if len(prompt.things) == 1 and first.count > 1:
            checks["count"] = count(picture) == first.count
        if len(prompt.things) == 1 and first.color:
            checks["color"] = has_color(picture, first.color)
        if len(prompt.things) == 2 and prompt.relation in SIDES:
            checks["relation"] = self.is_placed(prompt, picture)
        return Verdict(prompt, checks)

    def found(self, thing: Wanted, vectors: Vectors) -> bool:
        """Whether a right name is among the first five of all names, for one of the vectors. Ties
        count as misses.
        """
        right = [self.index[name] for name in thing.concepts if name in self.index]
        if not right:
            raise UserError(f"{thing.concepts[0]} is none of the names that the judge knows")
        similarity = vectors @ self.name_vectors.T
        best = similarity[:, right].max(1, keepdims=True)
        wrong = (similarity >= best).sum(1) - (similarity[:, right] >= best).sum(1)
        return bool((wrong < TOP).any())

    def is_placed(self, prompt: Prompt, picture: Picture) -> bool:
        """Whether the first thing is on the side of the second that the prompt says.

        By the mean positions of their colors if both have one; otherwise the judge compares the
        two things, or the two halves of the picture.
        """
        axis, sign = SIDES[prompt.relation]
        one, other = prompt.things
        if one.color and other.color and one.color != other.color:
            places = [place(picture, thing.color, axis) for thing in (one, other)]
            if places[0] is not None and places[1] is not None:
                return bool(sign * (places[0] - places[1]) > 0)
        parts = things(picture)
        if len(parts) == 2:
            ordered = sorted(parts, key=lambda box: box[axis - 1] + box[axis + 1])
            pair = [crop_thing(picture, box) for box in ordered]
        else:
            pair = list(halves(picture, axis))
        vectors = self.encoder.encode_image(np.stack(pair))
        likeness = np.array([[self._likeness(thing, v) for thing in (one, other)] for v in vectors])
        difference = likeness[0, 0] + likeness[1, 1] - likeness[0, 1] - likeness[1, 0]
        return bool(-sign * difference > 0)

    def _likeness(self, thing: Wanted, vector: np.ndarray) -> float:
        rows = [self.index[name] for name in thing.concepts if name in self.index]
        return float((self.name_vectors[rows] @ vector).max())


def evaluate_prompts(
    prompts: Sequence[Prompt], judge: PromptJudge, draw: Draw, count: int, seed: int = 0
) -> tuple[list[Metric], list[list[Verdict]], list[Pictures]]:
    """For each kind the share of drawings that are right, the verdicts, and the drawings; one list
    entry per seed. The interval is over prompts.
    """
    drawn = [draw([one.prompt for one in prompts], seed + k) for k in range(count)]
    verdicts = [[judge.verdict(*pair) for pair in zip(prompts, pictures, strict=True)]
                for pictures in drawn]  # fmt: skip
    return list(shares(prompts, verdicts, seed)), verdicts, drawn


def shares(
    prompts: Sequence[Prompt], verdicts: Sequence[Sequence[Verdict]], seed: int
) -> Iterator[Metric]:
    """The share of right drawings of all prompts, and of each kind with that of each check."""
    passed = np.array([[verdict.passed for verdict in row] for row in verdicts], float).mean(0)
    yield mean_metric("all prompts", passed, seed)
    for kind in dict.fromkeys(prompt.kind for prompt in prompts):
        rows = [k for k, prompt in enumerate(prompts) if prompt.kind == kind]
        checks = [verdicts[n][row].checks for n in range(len(verdicts)) for row in rows]
        names = dict.fromkeys(name for one in checks for name in one)
        note = ", ".join(
            f"{name} {np.mean([one[name] for one in checks if name in one]):.0%}" for name in names
        )
        yield mean_metric(kind, passed[rows], seed, note=note)
