"""The commands from end to end, over the sample, with a model and a judge that are stood in for."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.conftest import CLIP, write_part
from tests.evaluation.fakes import SAMPLE, KnowingEncoder, RealPainter, disc, sample
from undiffuse.cli import main as program
from undiffuse.cli.image_generator import BATCH, ModelPainter
from undiffuse.config import DrawConfig


class StoodIn:
    """A `TextToImage` that hands out true pictures, and remembers its calls."""

    def __init__(self) -> None:
        self.painter = RealPainter(sample())
        self.clip = SimpleNamespace(hash="steers")
        self.denoiser = SimpleNamespace(hash="draws", made_for={"clip": "steers", "codec": None})
        self.codec = SimpleNamespace(encode=lambda pictures: pictures)
        self.defaults = DrawConfig()
        self.calls: list[tuple[list[str], int, str | None]] = []

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return latents.transpose(0, 2, 3, 1)

    def generate(self, prompts: Sequence[str], *, seed: int, style: str | None) -> list:
        self.calls.append((list(prompts), seed, style))
        drawn = self.painter(prompts, [style or ""] * len(prompts), seed)
        return [SimpleNamespace(pixels=picture.transpose(1, 2, 0)) for picture in drawn]


class StoodInEncoder(KnowingEncoder):
    hash = "judges"

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(sample())
        self.hash = folder.name


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> StoodIn:
    stood_in = StoodIn()
    monkeypatch.setattr("undiffuse.pipeline.load", lambda folder, threads: stood_in)
    monkeypatch.setattr("undiffuse.runtime.networks.ClipEncoder", StoodInEncoder)
    return stood_in


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["undiffuse", "evaluate", *map(str, words)])
    try:
        program.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_model_is_judged(
    model: StoodIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, copies = tmp_path / "report.json", tmp_path / "copies.png"
    words = ("--data", SAMPLE, "--judge", "judges", "--names", "10", "--no-clock")
    assert run(monkeypatch, "model", *words, "-o", out, "--copies", copies) == 0
    report = json.loads(out.read_text())
    assert (report["model"], report["clip"], report["judge"]) == ("draws", "steers", "judges")
    assert report["settings"]["names"] == 10
    assert report["settings"]["sampler"] == DrawConfig().sampler
    assert report["data"]["hash"] == sample().pictures.digest
    values = {figure["name"]: figure["value"] for figure in report["figures"]}
    assert values["R-precision@5, as a share of real"] == 1.0
    through = "sharpness of edges, true pictures through the codec, as a share of real"
    assert values[through] == pytest.approx(1.0)
    assert Image.open(copies).size[0] > 500
    printed = capsys.readouterr().out
    assert "| R-precision@5 " in printed
    assert "≥ 85.0%" in printed


def test_the_clip_that_steers_may_not_judge(
    model: StoodIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "model", "--data", SAMPLE, "--judge", "steers", "--no-clock") == 2
    assert "judge with another" in capsys.readouterr().err


def test_a_clip_is_examined(
    model: StoodIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synonyms, out = tmp_path / "synonyms.json", tmp_path / "clip.json"
    synonyms.write_text('{"pussy cat": ["cat"]}')
    words = ("--data", SAMPLE, "--model", "some", "--synonyms", synonyms, "-o", out)
    assert run(monkeypatch, "clip", *words) == 0
    names = [figure["name"] for figure in json.loads(out.read_text())["figures"]]
    assert "name of a picture@5, held-out cell" in names
    assert "synonyms@5" in names
    assert run(monkeypatch, "clip", *words[:-4], "--synonyms", tmp_path / "none.json") == 2


def test_the_sheet_is_drawn(
    model: StoodIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model.painter.by_cell.clear()
    monkeypatch.setattr(
        model,
        "painter",
        lambda prompts, styles, seed: np.repeat(disc((220, 40, 35)), len(prompts), 0),
    )
    assert run(monkeypatch, "sheet", "-o", tmp_path / "sheet.png", "--seed", "3") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "sheet.png")
    assert {seed for _, seed, _ in model.calls} == {3}
    assert sum(len(prompts) for prompts, _, _ in model.calls) == 100


def test_what_cannot_be_written_is_said_before_anything_is_drawn(
    model: StoodIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(monkeypatch, "sheet", "-o", tmp_path / "no folder" / "sheet.png") == 2
    words = ("--data", SAMPLE, "--judge", "judges", "-o", tmp_path / "no folder" / "x.json")
    assert run(monkeypatch, "model", *words) == 2
    assert model.calls == []


def test_the_painter_asks_for_one_style_at_a_time_and_keeps_the_order() -> None:
    model = StoodIn()
    material = sample()
    rows = material.plain_rows("train")[:70]
    names, families = material.field(rows, "name"), material.field(rows, "family")
    drawn = ModelPainter(model)(names, families, 5)  # type: ignore[arg-type]
    assert (drawn == material.pictures.pictures[rows]).all()
    assert all(len(prompts) <= BATCH for prompts, _, _ in model.calls)
    assert {seed for _, seed, _ in model.calls} == {5}
    assert len(model.calls) <= 6 + 70 // BATCH
    ModelPainter(model)(["cat"], [""], 5)  # type: ignore[arg-type]
    assert model.calls[-1] == (["cat"], 5, None)


def test_a_whole_tiny_model_is_judged_by_another_clip(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from undiffuse.training.onnx_export import write_graphs

    judge, out = tmp_path / "judge", tmp_path / "report.json"
    judged_by = write_part(judge, "clip", CLIP, seed=1)
    write_graphs(judge, judge)
    words = ("--data", SAMPLE, "--judge", judge, "--model", model_folder, "--names", "3")
    assert run(monkeypatch, "model", *words, "-o", out) == 0
    report = json.loads(out.read_text())
    assert report["judge"] == judged_by != report["clip"]
    time = next(figure for figure in report["figures"] if figure["unit"] == "seconds")
    assert time["count"] == 5
    assert 0 < time["low"] <= time["value"] <= time["high"]
    assert report["on"]["processor"] in time["note"]
