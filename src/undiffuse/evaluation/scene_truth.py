"""Composites of real pictures with known truth, which measure the checks of drawings.

A check is right if it passes a scene with its own prompt, and fails it with a wrong one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.scene_layers import COLORS
from undiffuse.data.scenes import SceneMaker, Truth
from undiffuse.evaluation.prompt_checks import SIDES
from undiffuse.evaluation.prompt_metrics import Prompt, PromptJudge, Wanted
from undiffuse.evaluation.statistics import Metric, mean_metric

OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
CHECKED = ("count", "color", "relation")
ON_WHITE_UNSEEN = "white"  # a white thing without an outline can't be seen on white


@dataclass(frozen=True)
class TrueScene:
    """A picture `(3, H, W)` on white, what it shows, and what it does not show."""

    picture: NDArray[np.uint8]
    right: Prompt
    wrong: Prompt


def validation_cases(maker: SceneMaker, count: int, seed: int) -> Iterator[TrueScene]:
    """`count` scenes whose truth can be checked by program: counts, colors and places."""
    step = found = 0
    while found < count and step < 50 * count:
        scene = maker.scene(seed, step)
        step += 1
        if not _is_checkable(scene.truth):
            continue
        prompt = prompt_of(scene.truth, scene.caption)
        yield TrueScene(_on_white(scene.picture), prompt, wrong_prompt(prompt))
        found += 1


def _is_checkable(truth: Truth) -> bool:
    visible = ON_WHITE_UNSEEN not in truth.colors
    known = truth.kind != "relation" or truth.relation in SIDES
    return truth.kind in CHECKED and visible and known


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
    with the wrong one; and the share in which the judge finds every thing.
    """
    passed: dict[str, list[bool]] = {}
    failed: dict[str, list[bool]] = {}
    found: dict[str, list[bool]] = {}
    for scene in scenes:
        right, wrong = (judge.verdict(p, scene.picture).checks for p in (scene.right, scene.wrong))
        kind = scene.right.kind
        passed.setdefault(kind, []).append(_program(right))
        failed.setdefault(kind, []).append(not _program(wrong))
        found.setdefault(kind, []).append(right["found"])
    for kind in passed:
        yield mean_metric(f"{kind}: right prompts passed", passed[kind], seed, at_least=0.9)
        yield mean_metric(f"{kind}: wrong prompts failed", failed[kind], seed, at_least=0.9)
        yield mean_metric(f"{kind}: things found by the judge", found[kind], seed)


def _program(checks: Mapping[str, bool]) -> bool:
    return all(right for name, right in checks.items() if name != "found")


def _on_white(premultiplied: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rest = 255 - premultiplied[..., 3:].astype(np.int64)
    mixed = np.minimum(premultiplied[..., :3] + rest, 255).astype(np.uint8)
    return np.ascontiguousarray(mixed.transpose(2, 0, 1))
