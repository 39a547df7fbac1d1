"""Ways to steer, judged: an artist who does as asked, and one who does not listen."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.fakes import KnowingEncoder, blank, sample
from undiffuse.evaluation.dataset import is_plain
from undiffuse.evaluation.image_differences import read_table
from undiffuse.evaluation.judge import Judge
from undiffuse.evaluation.protocols import Pictures
from undiffuse.evaluation.statistics import Figure
from undiffuse.evaluation.steering_metrics import Bench, _spread, steering_figures
from undiffuse.imaging.read import read_image


@cache
def by_name() -> dict[str, Pictures]:
    pictures = sample().pictures
    rows = zip(pictures.pictures, pictures.records, strict=True)
    return {record["name"]: picture for picture, record in rows if is_plain(record)}


def chw(path: str | Path) -> Pictures:
    return read_image(Path(path)).transpose(2, 0, 1)


class Artist:
    """Draws the real picture of what is asked for; `deaf` to all but the first prompt's words."""

    def __init__(self, deaf: bool = False) -> None:
        self.deaf = deaf
        self.without = {b: a for a, b, _ in read_table()}
        self.with_ = {(a, w): b for a, b, words in read_table() for w in words}

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


def way(one: str, other: str, count: int) -> list[str]:
    return [one] * (count // 2 + 1) + [other] * (count // 2)


def examine(artist: Artist, folder: Path) -> dict[str, Figure]:
    judge = Judge(KnowingEncoder(sample()), sample())
    bench = Bench(judge, artist, way, folder, count=8)
    assert bench.pairs(), "the sample has no pair of the table"
    return {figure.name: figure for figure in steering_figures(bench)}


@pytest.mark.parametrize("deaf", [False, True])
def test_what_listening_is_worth(deaf: bool, tmp_path: Path) -> None:
    figures = examine(Artist(deaf), tmp_path)
    for name in (
        "like a picture: its name@5",
        "negative prompt: what is left",
        "filling in: kept to the byte",
    ):
        assert figures[name].passed is not deaf, name
    assert figures["plain prompt: its name@5"].value == 1.0
    assert figures["a thing asked in its own name: it is seen"].value == 1.0
    assert figures["a thing asked as a sum: it is seen"].value == (0.0 if deaf else 1.0)
    assert figures["like a picture: sharpness, as a share of plain prompts"].value < 9
    assert figures["between two names: the ends seen"].value == 1.0
    assert figures["between two names: the nearer end between seen"].value == 1.0
    assert figures["between two names: the largest step, of all"].value == pytest.approx(1.0)


def test_a_way_that_never_leaves(tmp_path: Path) -> None:
    judge = Judge(KnowingEncoder(sample()), sample())
    bench = Bench(judge, Artist(), lambda one, _, count: [one] * count, tmp_path, count=8)
    found = {figure.name: figure.value for figure in steering_figures(bench, ways=("between",))}
    assert found["between two names: the ends seen"] == 0.5
    assert found["between two names: the nearer end between seen"] == 0.5


def test_one_way_alone(tmp_path: Path) -> None:
    bench = Bench(Judge(KnowingEncoder(sample()), sample()), Artist(False), way, tmp_path, count=8)
    found = {figure.name: figure.value for figure in steering_figures(bench, ways=("start",))}
    assert found["filling in: kept to the byte"] == 1.0
    assert "from a picture, strength 0.7: variety" in found
    assert {name.split(":")[0] for name in found if "strength" not in name} == {
        "plain prompt", "filling in",
    }  # fmt: skip


def test_variety_is_the_distance_between_seeds() -> None:
    axes = np.eye(512, dtype=np.float32)
    rounds = np.stack([axes[[0, 0]], axes[[0, 1]]])  # the first prompt's are alike
    assert _spread(rounds) == pytest.approx([0.0, 1.0])
