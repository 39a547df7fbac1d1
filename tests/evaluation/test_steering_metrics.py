"""Ways to steer, evaluated on a generator that follows the options and on one that ignores them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.fakes import KnowingEncoder, blank, sample
from undiffuse.evaluation.dataset import is_plain
from undiffuse.evaluation.image_differences import read_name_pairs
from undiffuse.evaluation.judge import Judge
from undiffuse.evaluation.protocols import Pictures
from undiffuse.evaluation.steering_metrics import SteeringEvaluation, variety
from undiffuse.imaging.read import read_image


@cache
def by_name() -> dict[str, Pictures]:
    pictures = sample().pictures
    rows = zip(pictures.pictures, pictures.records, strict=True)
    return {record["name"]: picture for picture, record in rows if is_plain(record)}


def chw(path: str | Path) -> Pictures:
    return read_image(Path(path)).transpose(2, 0, 1)


class Artist:
    """Draws the real picture of the prompt. If `deaf`, only of the prompt's first name."""

    def __init__(self, deaf: bool = False) -> None:
        self.deaf = deaf
        self.without = {b: a for a, b, _ in read_name_pairs()}
        self.with_ = {(a, w): b for a, b, words in read_name_pairs() for w in words}

    def one(self, prompt: str, options: dict[str, Any]) -> Pictures:
        if prompt.endswith(".png"):
            made = blank(1)[0] if self.deaf else chw(prompt)
        elif prompt not in by_name():
            first, word = prompt.split(" + " if " + " in prompt else " with ")
            name = first if self.deaf else self.with_.get((first, word), first)
            made = by_name()[name if name in by_name() else first]
        elif options.get("negative") and not self.deaf:
            made = by_name()[self.without[prompt]]
        else:
            made = by_name()[prompt]
        if options.get("mask") and not self.deaf:
            return np.where(chw(options["mask"]) > 127, made, chw(options["start"]))
        return made

    def __call__(self, prompts: Sequence[str], seed: int, **options: Any) -> Pictures:
        return np.stack([self.one(prompt, options) for prompt in prompts])


def jump(one: str, other: str, count: int) -> list[str]:
    """Prompts of an interpolation that takes one step."""
    return [one] * (count // 2 + 1) + [other] * (count // 2)


def evaluation(folder: Path, artist: Artist, interpolate: Any = jump) -> SteeringEvaluation:
    judge = Judge(KnowingEncoder(sample()), sample())
    made = SteeringEvaluation(judge, artist, interpolate, folder, count=8)
    assert made.pairs, "the test data has no pair of the table"
    return made


@pytest.mark.slow
@pytest.mark.parametrize("deaf", [False, True])
def test_only_a_generator_that_follows_the_options_reaches_the_targets(
    deaf: bool, tmp_path: Path
) -> None:
    metrics = {metric.name: metric for metric in evaluation(tmp_path, Artist(deaf)).run()}
    for name in (
        "like a picture: top-5 accuracy",
        "negative prompt: object visible, with it as a share of without",
        "inpainting: pixels outside the mask unchanged",
    ):
        assert metrics[name].passed is not deaf, name
    assert metrics["plain prompt: top-5 accuracy"].value == 1.0
    assert metrics["object requested by its own name: visible"].value == 1.0
    assert metrics["object requested by a sum: visible"].value == (0.0 if deaf else 1.0)
    assert metrics["like a picture: sharpness, as a share of plain prompts"].value < 9
    assert metrics["between two names: ends recognized"].value == 1.0
    assert metrics["between two names: nearer end in between recognized"].value == 1.0
    largest = metrics["between two names: largest step, as a share of the distance"]
    assert largest.value == pytest.approx(1.0)


def test_an_interpolation_that_stays_is_recognized_half_of_the_time(tmp_path: Path) -> None:
    stay = evaluation(tmp_path, Artist(), lambda one, _, count: [one] * count)
    found = {metric.name: metric.value for metric in stay.run(["between"])}
    assert found["between two names: ends recognized"] == 0.5
    assert found["between two names: nearer end in between recognized"] == 0.5


@pytest.mark.slow
def test_one_method_can_be_evaluated_alone(tmp_path: Path) -> None:
    found = {metric.name: metric.value for metric in evaluation(tmp_path, Artist()).run(["start"])}
    assert found["inpainting: pixels outside the mask unchanged"] == 1.0
    assert "from a picture, strength 0.7: variety" in found
    titles = {name.split(":")[0] for name in found if "strength" not in name}
    assert titles == {"plain prompt", "inpainting"}


def test_variety_is_the_distance_between_seeds() -> None:
    axes = np.eye(512, dtype=np.float32)
    rounds = np.stack([axes[[0, 0]], axes[[0, 1]]])  # equal for the first prompt
    assert variety(rounds) == pytest.approx([0.0, 1.0])
