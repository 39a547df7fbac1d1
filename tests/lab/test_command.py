"""`undiffuse lab` from end to end with tiny budgets."""

import json
import re
import sys
from pathlib import Path

import pytest

from undiffuse.cli import main as program
from undiffuse.lab import budget as budgets
from undiffuse.lab import freshness, spiral
from undiffuse.lab import runner as lab

MICRO = budgets.Budget(
    "micro", pictures=128, held_out=64, clip_steps=2, train_steps=2, batch=4, seeds=1,
    prompts=12, each=2, steps=(2,), spiral_steps=2, width=32, depth=1,
)  # fmt: skip
KEYS = ["unblurring", "clip", "forward", "targets", "freshness", "steering", "guidance", "spiral"]


@pytest.fixture(autouse=True)
def _micro(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "QUICK", MICRO)
    monkeypatch.setattr(spiral, "COUNT", 24)
    monkeypatch.setattr(freshness, "COUNT", 256)


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    command = ["undiffuse", "lab", "--quick", "--threads", "1", *map(str, words)]
    monkeypatch.setattr(sys, "argv", command)
    try:
        program.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.slow
def test_the_lab_writes_a_reproducible_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "new" / "first", tmp_path / "second"
    assert run(monkeypatch, "-o", first) == 0
    assert capsys.readouterr().out == f"{first / 'lab.html'}\n"
    assert sorted(path.name for path in first.iterdir()) == ["lab.html", "lab.json"]
    report = json.loads((first / "lab.json").read_text())
    assert [finding["key"] for finding in report["findings"]] == KEYS
    html = (first / "lab.html").read_text()
    for finding in report["findings"]:
        assert finding["verdict"] in ("confirmed", "refuted", "undecided")
        assert f'id="{finding["key"]}"' in html
        assert finding["tests"]
        assert all("low" in figure for figure in finding["figures"])
    assert not re.search(r'(src|href)="(?!data:image/(png|svg\+xml);base64,|#)', html)
    assert "http" not in re.sub(r'"data:[^"]*"', "", html)
    assert run(monkeypatch, "-o", second) == 0
    for name in ("lab.json", "lab.html"):
        assert (second / name).read_bytes() == (first / name).read_bytes()


@pytest.mark.slow
def test_a_stopped_lab_leaves_an_older_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "lab.html").write_text("whole")
    monkeypatch.setattr(lab, "compare_targets", stopped)
    assert run(monkeypatch, "-o", tmp_path) == 130
    error = capsys.readouterr().err
    assert re.search(r"\nundiffuse: stopped: during [^\n]+; nothing was written\n$", error)
    assert [path.name for path in tmp_path.iterdir()] == ["lab.html"]
    assert (tmp_path / "lab.html").read_text() == "whole"


def test_bad_input_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for words in (["-o", file], ["-o", file / "below"], ["-o", tmp_path, "--seed", "-1"], []):
        assert run(monkeypatch, *words) == 2
        assert re.fullmatch(r"undiffuse: [^\n]+\n", capsys.readouterr().err)
