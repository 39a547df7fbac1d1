"""The program's check of drawn scenes: perfect, wrong and half-right models."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from undiffuse.data.shapes import draw_scene, is_held_out, scene_caption, shapes_samples
from undiffuse.data.split import HELD_OUT_PAIR, TRAIN
from undiffuse.evaluation.shapes_metrics import (
    KINDS,
    choose_scenes,
    evaluate_shapes,
    scene_kind,
)

SCENES = {
    scene_caption(scene): scene
    for kind in KINDS
    for held_out in (False, True)
    for scene in choose_scenes(kind, held_out, 12)
}


def draw(captions: Sequence[str]) -> np.ndarray:
    rgba = np.stack([draw_scene(SCENES[caption]) for caption in captions])
    return rgba[..., :3].transpose(0, 3, 1, 2)


def draw_moved_to_the_other_side(captions: Sequence[str]) -> np.ndarray:
    return draw(captions)[..., ::-1]  # mirrored: left is right


def test_a_model_that_draws_every_scene_exactly_passes_everything() -> None:
    metrics = list(evaluate_shapes(draw, 12, 0))
    assert len(metrics) == 2 * len(KINDS)
    assert all(metric.value == 1.0 for metric in metrics)


def test_a_mirrored_model_fails_left_and_right_only() -> None:
    values = {m.name: m.value for m in evaluate_shapes(draw_moved_to_the_other_side, 12, 0)}
    relation = choose_scenes("two objects with a relation", False, 12)
    sideways = np.mean([scene.relation in ("left of", "right of") for scene in relation])
    assert values["one object"] == 1.0
    assert 0.0 < sideways < 1.0
    assert values["two objects with a relation"] == pytest.approx(1.0 - sideways)


def test_a_white_picture_passes_nothing() -> None:
    for metric in evaluate_shapes(lambda captions: np.full_like(draw(captions), 255), 12, 0):
        assert metric.value == 0.0


def test_what_the_codec_loses_lowers_the_ceiling() -> None:
    metrics = list(evaluate_shapes(draw, 12, 0, lambda true: np.full_like(true, 255)))
    assert {metric.real for metric in metrics} == {0.0}
    assert {metric.real for metric in evaluate_shapes(draw, 12, 0)} == {1.0}


def test_training_data_has_no_held_out_pair_of_color_and_shape() -> None:
    splits = {sample.record["split"] for sample in shapes_samples(60, 0)}
    assert splits == {TRAIN, HELD_OUT_PAIR}
    trained, held_out = (choose_scenes("one object", which, 40) for which in (False, True))
    assert {(s.objects[0].color, s.objects[0].shape) for s in trained}.isdisjoint(
        (s.objects[0].color, s.objects[0].shape) for s in held_out
    )


def test_scenes_to_draw_are_of_one_kind_with_different_captions() -> None:
    scenes = choose_scenes("equal objects", True, 20)
    assert len({scene_caption(scene) for scene in scenes}) == 20
    assert all(scene_kind(scene) == "equal objects" and is_held_out(scene) for scene in scenes)
    same = replace(scenes[0], objects=scenes[0].objects[:1])
    assert scene_kind(same) == "one object"
