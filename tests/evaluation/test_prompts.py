"""Checks of drawings: composites of real pictures pass with their own truth and fail with another.

The judge is a fake which knows the names of nothing but whole pictures; counts, colors and places
are measured by the program, with real pixels.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import CLIP, Run, write_part
from tests.evaluation.fakes import SAMPLE, ConstantEncoder, KnowingEncoder, disc, sample
from undiffuse.data.picture_set import read_samples
from undiffuse.data.prepared import encode_channels, prepare
from undiffuse.data.scene_layers import tint
from undiffuse.data.scene_things import Thing, thing_of
from undiffuse.data.scenes import SceneMaker
from undiffuse.data.sources import open_source
from undiffuse.errors import UserError
from undiffuse.evaluation.language_metrics import evaluate_languages
from undiffuse.evaluation.prompt_checks import (
    color_share,
    count,
    has_color,
    has_ground,
    merge,
    without_ground,
)
from undiffuse.evaluation.prompt_metrics import (
    Prompt,
    PromptJudge,
    Wanted,
    evaluate_prompts,
    read_prompts,
)
from undiffuse.evaluation.scene_truth import evaluate_checks, validation_cases
from undiffuse.evaluation.word_metrics import Case


def discs(*places: tuple[int, int, tuple[int, int, int]], radius: int = 8) -> np.ndarray:
    """(3, 64, 64): discs at (row, column) in a color, on white."""
    picture = np.full((3, 64, 64), 255, np.uint8)
    down, across = np.mgrid[:64, :64]
    for row, column, color in places:
        inside = np.hypot(down - row, across - column) <= radius
        picture[:, inside] = np.array(color, np.uint8)[:, None]
    return picture


RED, BLUE = (220, 45, 45), (45, 110, 225)


def scene_things() -> list[Thing]:
    """Emoji of the test data, and their silhouettes as icons of one color."""
    things = []
    for emoji in read_samples(SAMPLE):
        picture = np.ascontiguousarray(encode_channels(emoji.picture, 4).transpose(1, 2, 0))
        if thing := thing_of(picture, emoji.record):
            icon = Thing(tint(thing.picture, "black"), thing.name, "solid", True, thing.countable)
            things += [thing, icon]
    return things


def test_equal_things_are_counted() -> None:
    places = [(14, 12, RED), (14, 34, RED), (14, 54, BLUE), (44, 12, RED), (44, 34, BLUE)]
    for number in range(1, 6):
        assert count(discs(*places[:number])) == number


def test_parts_that_are_apart_belong_to_one_thing() -> None:
    picture = np.full((3, 64, 64), 255, np.uint8)
    for left in (6, 26, 46):  # three letters i
        picture[1:, 10:14, left : left + 4] = 0
        picture[1:, 18:50, left : left + 6] = 0
    assert count(picture) == 3


def test_specks_are_not_counted() -> None:
    picture = discs((20, 20, RED), (44, 44, RED))
    picture[:, 5, 60] = 0
    assert count(picture) == 2


def test_merged_boxes_are_apart() -> None:
    chain = [(0, 0, 2, 2), (0, 8, 2, 10), (0, 3, 2, 7)]
    assert merge(chain, 1) == [(0, 0, 2, 10)]
    assert len(merge(chain, 0)) == 3


def test_the_color_of_the_thing_counts_and_not_that_of_the_ground() -> None:
    picture = discs((32, 32, RED), radius=20)
    assert has_color(picture, "red")
    assert not has_color(picture, "blue")
    assert not has_color(picture, "white")
    assert color_share(picture, "red") == pytest.approx(1.0)


def test_a_white_thing_with_an_outline_is_white() -> None:
    outlined = np.minimum(disc((0, 0, 0), 22), 255)[0]
    outlined[:, disc((0, 0, 0), 19)[0, 0] == 0] = 255
    assert has_color(outlined, "white")
    assert not has_color(outlined, "red")


def test_composites_pass_with_their_truth_and_fail_with_another() -> None:
    maker = SceneMaker(scene_things())
    names = sorted({thing.name for thing in maker.things})
    judge = PromptJudge(KnowingEncoder(sample()), [*names, *map(str, range(9))])
    scenes = list(validation_cases(maker, 60, seed=1))
    assert {scene.right.kind for scene in scenes} == {"count", "color", "relation", "ground"}
    for metric in evaluate_checks(judge, iter(scenes)):
        if "judge" not in metric.name and "relation" not in metric.name:  # the judge is a fake
            assert metric.value >= 0.9, metric


def test_a_ground_goes_and_what_stands_before_it_stays() -> None:
    thing = discs((32, 32, RED), radius=12)
    sky, snow = np.array([[150], [190], [225]]), np.array([[226], [234], [244]])
    picture = thing.copy()
    for rows, color in ((slice(0, 40), sky), (slice(40, 64), snow)):
        blank = thing[:, rows].min(0) == 255
        picture[:, rows][:, blank] = color
    assert has_ground(picture)
    assert not has_ground(thing)
    np.testing.assert_array_equal(without_ground(picture), thing)


def test_places_are_told_by_color_and_opposites_fail() -> None:
    judge = PromptJudge(ConstantEncoder(), ["disc", "other"])
    picture = discs((32, 14, RED), (32, 48, BLUE))
    red, blue = Wanted(("disc",), color="red"), Wanted(("other",), color="blue")
    for relation, right in (("left of", True), ("right of", False)):
        prompt = Prompt("relation", "x", (red, blue), relation)
        assert judge.is_placed(prompt, picture) is right
    turned = np.ascontiguousarray(picture.transpose(0, 2, 1))
    for relation, right in (("above", True), ("below", False), ("under", False)):
        prompt = Prompt("relation", "x", (red, blue), relation)
        assert judge.is_placed(prompt, turned) is right


def names_and_pictures() -> tuple[list[str], dict[str, np.ndarray]]:
    data = sample()
    pictures = dict(zip(data.column(np.arange(len(data.pictures.keys)), "name"),
                        data.pictures.pictures, strict=True))  # fmt: skip
    return data.names, {name: pictures[name] for name in data.names}


def test_real_pictures_of_a_name_are_right_and_others_wrong() -> None:
    names, pictures = names_and_pictures()
    judge = PromptJudge(KnowingEncoder(sample()), names)
    prompts = [Prompt("a", name, (Wanted((name,)),)) for name in names[:6]]
    draw = [[pictures[name] for name in names[:6]], [pictures[names[7]]] * 6]
    metrics, verdicts, _ = evaluate_prompts(
        prompts, judge, lambda texts, seed: np.stack(draw[seed]), 2
    )
    assert [verdict.passed for verdict in verdicts[0]] == [True] * 6
    assert sum(verdict.passed for verdict in verdicts[1]) <= 1  # by chance
    assert metrics[0].count == 6
    assert metrics[1].name == "a"
    assert "found" in str(metrics[1].note)


def test_one_vector_for_everything_finds_nothing() -> None:
    judge = PromptJudge(ConstantEncoder(), [f"name {k}" for k in range(20)])
    verdict = judge.verdict(Prompt("a", "x", (Wanted(("name 3",)),)), disc((200, 0, 0))[0])
    assert not verdict.passed


def test_languages_are_a_share_of_english() -> None:
    names, pictures = names_and_pictures()
    judge = PromptJudge(KnowingEncoder(sample()), names)
    words = {f"wort {k}": name for k, name in enumerate(names[:8])}
    groups = {"German": [Case(word, (frozenset([name]),)) for word, name in words.items()]}

    def draw(texts: list[str], seed: int) -> np.ndarray:
        known = {**{name: name for name in names}, **dict(list(words.items())[:4])}
        return np.stack([pictures[known.get(text, names[-1])] for text in texts])

    figures = {metric.name: metric.value for metric in evaluate_languages(groups, judge, draw)}
    assert figures["English"] == 1.0
    assert figures["German"] == pytest.approx(0.5, abs=0.13)
    assert figures["German, as a share of English"] == figures["German"]


@pytest.mark.parametrize(
    "line",
    [
        "", "[]", "{}", '{"kind": "a", "prompt": "b", "things": []}',
        '{"kind": "a", "prompt": "b", "things": [{"concepts": [], "count": 1}]}',
        '{"kind": "a", "prompt": "b", "things": [{"concepts": ["cat"], "count": 99}]}',
        '{"kind": "a", "prompt": "b", "color": "mauve", "things": [{"concepts": ["cat"]}]}',
        '{"kind": "a", "prompt": 3, "things": [{"concepts": ["cat"]}]}', "[" * 5000,
    ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(line)
    with pytest.raises(UserError, match=r"x.jsonl (has no prompts|is empty)"):
        read_prompts(path)


def test_the_everyday_prompts_are_read() -> None:
    prompts = read_prompts(Path("datasets/everyday_prompts.jsonl"))
    assert len(prompts) == 300
    assert {len([p for p in prompts if p.kind == k.kind]) for k in prompts} == {60}
    assert sum(thing.count > 1 for p in prompts for thing in p.things) >= 30


def test_the_commands_write_reports(run: Run, model_folder: Path, tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    shutil.copytree(model_folder, judge)
    write_part(judge, "clip", CLIP, seed=3)
    rows = [{"kind": "plain", "prompt": name, "things": [{"concepts": [name], "count": 1}]}
            for name in ("cat", "dog", "house")]  # fmt: skip
    prompts = tmp_path / "p.jsonl"
    prompts.write_text("\n".join(map(json.dumps, rows)))
    common = ("--judge", str(judge), "-o")
    status, _, err = run("evaluate", "prompts", str(prompts), "--count", "1", *common, "r.json",
                           "--sheet", "s.png")  # fmt: skip
    assert status == 0, err
    report = json.loads(Path("r.json").read_text())
    assert len(report["drawings"]) == 3
    assert Image.open("s.png").size[0] > 100
    table = tmp_path / "l.json"
    table.write_text(json.dumps({"German": {"Katze": ["cat"], "Hund": ["dog"]}}))
    status, _, err = run("evaluate", "languages", str(table), *common, "l2.json")
    assert status == 0, err
    status, _, err = run("evaluate", "prompts", str(prompts), "--judge", str(model_folder))
    assert status == 2
    assert "is the model's own CLIP" in err


def test_the_checks_are_measured_by_command(run: Run, model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    prepare(open_source(str(SAMPLE)), folder, size=64, channels=4)
    command = ("evaluate", "checks", str(folder), "--judge", str(model_folder), "--count", "12")
    status, _, err = run(*command, "-o", "c.json", model=None)
    assert status == 0, err
    report = json.loads(Path("c.json").read_text())
    assert {"count: wrong prompts failed", "ground: things found by the judge"} <= {
        metric["name"] for metric in report["figures"]
    }
    status, _, err = run(*command, "--style", "nobody's", model=None)
    assert status == 2
    assert 'no pictures of style "nobody\'s"' in err
    status, _, err = run(
        "evaluate", "checks", str(SAMPLE), "--judge", str(model_folder), model=None
    )
    assert status == 2
    assert "undiffuse data prepare --alpha" in err
