"""The commands from end to end on the test data, with a fake model and a fake judge."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import CLIP, write_part
from tests.evaluation.fakes import SAMPLE, KnowingEncoder, RealImageGenerator, disc, sample
from undiffuse.cli import main as program
from undiffuse.cli.image_generator import BATCH, ModelGenerator
from undiffuse.config import DrawConfig


class FakeModel:
    """A `TextToImage` that returns real pictures and records its calls."""

    def __init__(self) -> None:
        self.generator = RealImageGenerator(sample())
        self.clip = SimpleNamespace(hash="steers")
        self.denoiser = SimpleNamespace(
            hash="draws", trained_with={"clip": "steers", "codec": None}
        )
        self.codec = SimpleNamespace(encode=lambda pictures: pictures)
        self.defaults = DrawConfig()
        self.calls: list[tuple[list[str], int, str | None]] = []

    def decode(self, latents: np.ndarray) -> np.ndarray:
        return latents.transpose(0, 2, 3, 1)

    def network(self, options: dict[str, Any]) -> SimpleNamespace:
        return self.denoiser

    def generate(
        self, prompts: Sequence[str], *, seed: int, style: str | None, **options: Any
    ) -> list:
        self.calls.append((list(prompts), seed, style))
        drawn = self.generator(prompts, [style or ""] * len(prompts), seed)
        return [SimpleNamespace(pixels=picture.transpose(1, 2, 0)) for picture in drawn]


class FakeEncoder(KnowingEncoder):
    hash = "judges"

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(sample())
        self.hash = folder.name


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    fake = FakeModel()
    monkeypatch.setattr("undiffuse.pipeline.load", lambda folder, threads: fake)
    monkeypatch.setattr("undiffuse.runtime.networks.ClipEncoder", FakeEncoder)
    return fake


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["undiffuse", "evaluate", *map(str, words)])
    try:
        program.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.slow
def test_a_model_is_evaluated(
    model: FakeModel,
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
    assert values["top-5 accuracy (R-precision@5), as a share of real"] == 1.0
    codec = "sharpness of edges, real pictures through the codec, as a share of real"
    assert values[codec] == pytest.approx(1.0)
    assert Image.open(copies).size[0] > 500
    printed = capsys.readouterr().out
    assert "| top-5 accuracy (R-precision@5) " in printed
    assert "≥ 85.0%" in printed


def test_the_models_own_clip_is_refused_as_the_judge(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "model", "--data", SAMPLE, "--judge", "steers", "--no-clock") == 2
    assert "use another one as the judge" in capsys.readouterr().err


def test_a_clip_is_evaluated(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synonyms, out = tmp_path / "synonyms.json", tmp_path / "clip.json"
    synonyms.write_text('{"pussy cat": ["cat"]}')
    words = ("--data", SAMPLE, "--model", "some", "--synonyms", synonyms, "-o", out)
    assert run(monkeypatch, "clip", *words) == 0
    names = [figure["name"] for figure in json.loads(out.read_text())["figures"]]
    assert "name retrieval, held-out (concept, style) pairs: top-5 accuracy" in names
    assert "synonyms: top-5 accuracy" in names
    assert run(monkeypatch, "clip", *words[:-4], "--synonyms", tmp_path / "none.json") == 2


def test_the_prompt_sheet_is_drawn(
    model: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model.generator.by_pair.clear()
    monkeypatch.setattr(
        model,
        "generator",
        lambda prompts, styles, seed: np.repeat(disc((220, 40, 35)), len(prompts), 0),
    )
    assert run(monkeypatch, "sheet", "-o", tmp_path / "sheet.png", "--seed", "3") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "sheet.png")
    assert {seed for _, seed, _ in model.calls} == {3}
    assert sum(len(prompts) for prompts, _, _ in model.calls) == 100


def test_the_old_name_of_the_option_method_works(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        "undiffuse.evaluation.steering_metrics.SteeringEvaluation.run",
        lambda self, methods: calls.append(methods) or [],
    )
    assert run(monkeypatch, "steering", "--data", SAMPLE, "--judge", "judges", "--way", "sum") == 0
    assert calls == [("sum",)]
    assert "--way is deprecated, use --method" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused_before_drawing(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(monkeypatch, "sheet", "-o", tmp_path / "no folder" / "sheet.png") == 2
    words = ("--data", SAMPLE, "--judge", "judges", "-o", tmp_path / "no folder" / "x.json")
    assert run(monkeypatch, "model", *words) == 2
    assert model.calls == []


def test_the_generator_draws_style_by_style_and_keeps_the_order() -> None:
    model = FakeModel()
    data = sample()
    rows = data.plain_rows("train")[:70]
    names, families = data.column(rows, "name"), data.column(rows, "family")
    drawn = ModelGenerator(model)(names, families, 5)  # type: ignore[arg-type]
    assert (drawn == data.pictures.pictures[rows]).all()
    assert all(len(prompts) <= BATCH for prompts, _, _ in model.calls)
    assert {seed for _, seed, _ in model.calls} == {5}
    assert len(model.calls) <= 6 + 70 // BATCH
    ModelGenerator(model)(["cat"], [""], 5)  # type: ignore[arg-type]
    assert model.calls[-1] == (["cat"], 5, None)


@pytest.mark.slow
def test_a_tiny_model_is_evaluated_by_another_clip(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from undiffuse.training.onnx_export import export_onnx

    judge, out = tmp_path / "judge", tmp_path / "report.json"
    judged_by = write_part(judge, "clip", CLIP, seed=1)
    export_onnx(judge, judge)
    words = ("--data", SAMPLE, "--judge", judge, "--model", model_folder, "--names", "3")
    assert run(monkeypatch, "model", *words, "-o", out) == 0
    report = json.loads(out.read_text())
    assert report["judge"] == judged_by != report["clip"]
    time = next(figure for figure in report["figures"] if figure["unit"] == "seconds")
    assert time["count"] == 5
    assert 0 < time["low"] <= time["value"] <= time["high"]
    assert report["on"]["processor"] in time["note"]
