"""A model that was trained on the shapes data set, checked by program: `evaluate shapes`."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from undiffuse.data.shapes import (
    CheckResult,
    Scene,
    check_scene,
    draw_scene,
    is_held_out,
    scene_at,
    scene_caption,
)
from undiffuse.evaluation.protocols import Pictures
from undiffuse.evaluation.statistics import Metric, mean_metric

# Kind of scene -> the least share of exact pictures: with pairs of color and shape that were
# trained on, and with held-out ones.
KINDS: dict[str, tuple[float | None, float | None]] = {
    "one object": (0.9, 0.6),
    "two objects with a relation": (0.7, 0.6),
    "equal objects": (None, None),
}
SEED = 2**63  # of the scenes to draw; training data has other seeds
PATIENCE = 2500  # scenes without a new caption, after which there are no more
Draw = Callable[[Sequence[str]], Pictures]
Reconstruct = Callable[[Pictures], Pictures]


def scene_kind(scene: Scene) -> str:
    """A key of `KINDS`."""
    if scene.relation is not None:
        return "two objects with a relation"
    return "one object" if len(scene.objects) == 1 else "equal objects"


def choose_scenes(kind: str, held_out: bool, number: int) -> list[Scene]:
    """`number` scenes with different captions, or all that there are if these are fewer."""
    scenes: dict[str, Scene] = {}
    index = last = 0
    while len(scenes) < number and index - last < PATIENCE:
        scene = scene_at(index, SEED)
        caption = scene_caption(scene)
        if scene_kind(scene) == kind and is_held_out(scene) == held_out and caption not in scenes:
            scenes[caption], last = scene, index
        index += 1
    return list(scenes.values())


def evaluate_shapes(
    draw: Draw, number: int, seed: int, reconstruct: Reconstruct = lambda pictures: pictures
) -> Iterator[Metric]:
    """For each kind, the share of pictures in which every property of the caption is right, and
    the share of each property. `draw`: captions -> `(B, 3, H, W)`. `reconstruct`: what the model's
    codec keeps of the true pictures, whose share is `Metric.real`.
    """
    for kind, targets in KINDS.items():
        for held_out, target in zip((False, True), targets, strict=True):
            scenes = choose_scenes(kind, held_out, number)
            true = np.stack([draw_scene(scene)[..., :3].transpose(2, 0, 1) for scene in scenes])
            kept = [check.passed for check in _checks(reconstruct(true), scenes)]
            checks = _checks(draw([scene_caption(scene) for scene in scenes]), scenes)
            properties = ", ".join(
                f"{name} {np.mean([check.verdicts[name] for check in checks]):.0%}"
                for name in checks[0].verdicts
            )
            name = f"{kind}, held-out pairs" if held_out else kind
            passed = [check.passed for check in checks]
            yield mean_metric(name, passed, seed, at_least=target, note=properties,
                              real=float(np.mean(kept)))  # fmt: skip


def _checks(pictures: Pictures, scenes: Sequence[Scene]) -> list[CheckResult]:
    return [
        check_scene(np.ascontiguousarray(picture.transpose(1, 2, 0)), scene)
        for picture, scene in zip(pictures, scenes, strict=True)
    ]
