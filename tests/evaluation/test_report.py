import json
import math
import sys

import numpy as np
import pytest

from tests.evaluation.fakes import disc
from undiffuse.errors import UserError
from undiffuse.evaluation.contact_sheet import neighbor_sheet, prompt_sheet, read_prompts
from undiffuse.evaluation.latency import machine_info, time_command
from undiffuse.evaluation.report import Report
from undiffuse.evaluation.statistics import Metric

METRICS = [
    Metric("top-5 accuracy", 0.9, 0.85, 0.95, 500, real=0.97, at_least=0.85, note="among 5 names"),
    Metric("sharpness", 1.4, 1.3, 1.5, 500, at_least=0.75, at_most=1.25),
    Metric("time", 0.7, 0.6, 0.8, 5, at_most=1.0, unit="seconds"),
    Metric("nothing", math.nan, math.nan, math.nan, 0),
]


def test_json_has_every_metric_and_what_it_depends_on() -> None:
    content = json.loads(Report(METRICS, {"judge": "abc"}).to_json())
    assert content["judge"] == "abc"
    first, second, _, last = content["figures"]
    assert (first["value"], first["low"], first["high"], first["count"]) == (0.9, 0.85, 0.95, 500)
    assert (first["real"], first["passed"], second["passed"]) == (0.97, True, False)
    assert last["value"] is None
    assert last["passed"] is None


def test_the_table_shows_targets_and_whether_they_are_reached() -> None:
    text = Report(METRICS, {"judge": "abc"}).to_markdown()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    assert "≥ 85.0%" in rows["top-5 accuracy"]
    assert "| yes" in rows["top-5 accuracy"]
    assert "**no**" in rows["sharpness"]
    assert "≤ 1" in rows["time (seconds)"]
    assert "nan" not in text
    assert "- top-5 accuracy: among 5 names" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_cases_have_their_own_table() -> None:
    rows = [{"word": "hat", "rank": 1, "margin": 0.12345, "worn": True, "first": ("hat", "cap")}]
    report = Report(METRICS, {}, {"differences": rows, "nothing": []})
    assert json.loads(report.to_json())["differences"][0]["first"] == ["hat", "cap"]
    lines = report.to_markdown().splitlines()
    start = lines.index("differences:")
    assert lines[start + 2] == "| word | rank | margin | worn | first    |"
    assert lines[start + 4] == "| hat  | 1    | 0.123  | yes  | hat, cap |"
    assert lines[-2:] == ["nothing:", ""]


def test_the_prompt_sheet_has_a_hundred_prompts_in_all_styles() -> None:
    prompts = read_prompts()
    assert len(prompts) == len(set(prompts)) == 100
    assert {style for _, style in prompts} == {
        "", "noto", "twemoji", "fluent", "flat", "emojione", "blob",
    }  # fmt: skip


def test_a_sheet_shows_every_picture_with_a_label() -> None:
    asked: list[tuple[str, str, int]] = []

    def generator(prompts: list[str], styles: list[str], seed: int) -> np.ndarray:
        asked.extend((p, s, seed) for p, s in zip(prompts, styles, strict=True))
        return np.repeat(disc((220, 40, 35)), len(prompts), 0)

    sheet = prompt_sheet(generator, seed=4)
    assert [one[:2] for one in asked] == read_prompts()
    assert {one[2] for one in asked} == {4}
    red = (sheet == (220, 40, 35)).all(-1).sum()
    assert red == 100 * 4 * (disc((220, 40, 35))[0, 1] == 40).sum()
    assert (sheet.max(-1) < 100).any()  # letters


def test_neighbors_are_beside_their_drawing() -> None:
    drawn, near = disc((220, 40, 35)), disc((40, 90, 220))
    sheet = neighbor_sheet(drawn, ["a thing"], [("by pixels", near)])
    middle = sheet[8 + 64]
    assert middle[8 + 64].tolist() == [220, 40, 35]
    assert middle[8 + 128 + 8 + 64].tolist() == [40, 90, 220]


def test_commands_are_timed_and_a_failing_one_is_named() -> None:
    times = time_command((sys.executable, "-c", "pass"), runs=2)
    assert len(times) == 2
    assert all(0 < time < 30 for time in times)
    with pytest.raises(UserError, match="no such model"):
        time_command((sys.executable, "-c", "import sys; sys.exit('no such model')"), runs=1)


def test_the_machine_is_described() -> None:
    found = machine_info()
    assert found["processor"]
    assert int(found["cores"]) >= 1
