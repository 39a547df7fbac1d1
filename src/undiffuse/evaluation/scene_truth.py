"""Composites of real pictures with known truth, which measure the checks of drawings.

A check is right if it passes a scene with its own prompt, and fails it with a wrong one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.scene_layers import COLORS
from undiffuse.data.scene_things import Thing, thing_of
from undiffuse.data.scenes import SceneMaker, Truth
from undiffuse.data.split import TRAIN
from undiffuse.evaluation.prompt_checks import SIDES
from undiffuse.evaluation.prompt_metrics import Prompt, PromptJudge, Wanted
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.imaging.png import on_white, unpremultiply
from undiffuse.layout.boxes import RELATION_NAMES
from undiffuse.layout.compose import Composition
from undiffuse.layout.grounds import GROUNDS
from undiffuse.layout.scene import Group, Pair, Scene

OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
CHECKED = ("count", "color", "relation")
ON_WHITE_UNSEEN = "white"  # a white thing without an outline can't be seen on white


@dataclass(frozen=True)
class TrueScene:
    """A picture `(3, H, W)` on white, what it shows, and what it does not show. No program can tell
    a ground, so that a scene with one has no wrong prompt."""

    picture: NDArray[np.uint8]
    right: Prompt
    wrong: Prompt | None


def training_things(pictures: PictureSet, style: str = "") -> list[Thing]:
    """What scenes can be made of: the training pictures `(N, 4, S, S)`, of one style if given."""
    found = (
        thing_of(picture.transpose(1, 2, 0), record)
        for picture, record in zip(pictures.pictures, pictures.records, strict=True)
        if record["split"] == TRAIN
        and style in ("", record["family"])
        and not record.get("composite")
    )
    return [thing for thing in found if thing is not None]


def validation_cases(maker: SceneMaker, count: int, seed: int) -> Iterator[TrueScene]:
    """`count` scenes with counts, colors and places, which a program can check, or grounds."""
    step = found = 0
    while found < count and step < 50 * count:
        scene = maker.scene(seed, step)
        step += 1
        if not _is_checkable(scene.truth):
            continue
        prompt = prompt_of(scene.truth, scene.caption)
        wrong = wrong_prompt(prompt) if scene.truth.kind in CHECKED else None
        yield TrueScene(_on_white(scene.picture), prompt, wrong)
        found += 1


def composed_cases(things: Sequence[Thing], count: int, seed: int) -> Iterator[TrueScene]:
    """`count` scenes as drawings are composed, of real pictures: a relation each in turn, or a
    ground.
    """
    rng = Generator(Philox(key=seed))
    kinds = [*RELATION_NAMES, *GROUNDS]
    for index in range(count):
        kind = kinds[index % len(kinds)]
        one, other = (things[int(rng.integers(len(things)))] for _ in range(2))
        while other.name == one.name:
            other = things[int(rng.integers(len(things)))]
        pair = (one, other) if kind in RELATION_NAMES else (one,)
        groups = [Group(thing.name) for thing in pair]
        scene = Scene(Pair(kind, *groups)) if len(groups) == 2 else Scene(groups[0], kind)
        drawings = [unpremultiply(np.ascontiguousarray(thing.picture)) for thing in pair]
        pixels = on_white(Composition(scene).compose(drawings, seed, index))
        prompt = Prompt(kind, kind, tuple(Wanted((thing.name,)) for thing in pair))
        yield TrueScene(np.ascontiguousarray(pixels.transpose(2, 0, 1)), prompt, None)


def _is_checkable(truth: Truth) -> bool:
    visible = ON_WHITE_UNSEEN not in truth.colors
    known = truth.kind != "relation" or truth.relation in SIDES
    return truth.kind in (*CHECKED, "ground") and visible and known


def prompt_of(truth: Truth, caption: str) -> Prompt:
    """What a scene shows, as a prompt with its answer."""
    pairs = zip(truth.names, truth.colors, strict=True)
    wanted = tuple(Wanted((name,), truth.count, color) for name, color in pairs)
    return Prompt(truth.kind, caption, wanted, truth.relation)


def wrong_prompt(prompt: Prompt) -> Prompt:
    """The prompt with another count, another color, or the opposite relation."""
    first, *rest = prompt.things
    if prompt.relation:
        return replace(prompt, relation=OPPOSITE[prompt.relation])
    if first.count > 1:
        wrong = replace(first, count=2 + (first.count - 1) % 4)
    else:
        options = [color for color in COLORS if color != ON_WHITE_UNSEEN]
        place = options.index(first.color)
        wrong = replace(first, color=options[(place + len(options) // 2) % len(options)])
    return replace(prompt, things=(wrong, *rest))


def evaluate_checks(
    judge: PromptJudge, scenes: Iterator[TrueScene], seed: int = 0
) -> Iterator[Metric]:
    """For each kind the share of scenes that the program passes with the right prompt, and fails
    with the wrong one; and the share in which the judge finds every thing, and as many random
    ones.
    """
    rng = Generator(Philox(key=seed))
    passed: dict[str, list[bool]] = {}
    failed: dict[str, list[bool]] = {}
    found: dict[str, list[bool]] = {}
    mistaken: dict[str, list[bool]] = {}
    for scene in scenes:
        kind = scene.right.kind
        right = judge.verdict(scene.right, scene.picture).checks
        found.setdefault(kind, []).append(right["found"])
        others = tuple(replace(thing, concepts=(str(rng.choice(judge.names)),))
                       for thing in scene.right.things)  # fmt: skip
        other = judge.verdict(replace(scene.right, things=others), scene.picture).checks
        mistaken.setdefault(kind, []).append(other["found"])
        if scene.wrong:
            wrong = judge.verdict(scene.wrong, scene.picture).checks
            passed.setdefault(kind, []).append(_program(right))
            failed.setdefault(kind, []).append(not _program(wrong))
    for kind in found:
        if kind in passed:
            yield mean_metric(f"{kind}: right prompts passed", passed[kind], seed, at_least=0.9)
            yield mean_metric(f"{kind}: wrong prompts failed", failed[kind], seed, at_least=0.9)
        yield mean_metric(f"{kind}: things found by the judge", found[kind], seed)
        yield mean_metric(f"{kind}: random things found by the judge", mistaken[kind], seed)


def _program(checks: Mapping[str, bool]) -> bool:
    return all(right for name, right in checks.items() if name != "found")


def _on_white(premultiplied: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rest = 255 - premultiplied[..., 3:].astype(np.int64)
    mixed = np.minimum(premultiplied[..., :3] + rest, 255).astype(np.uint8)
    return np.ascontiguousarray(mixed.transpose(2, 0, 1))
