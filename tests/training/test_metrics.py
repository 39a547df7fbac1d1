"""metrics.jsonl, sample sheets and TensorBoard's files, across interruptions."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training import tiny
from undiffuse.cli.progress import Watch, train_with_progress
from undiffuse.errors import UserError
from undiffuse.training import metrics
from undiffuse.training.loop import StepRecord, train
from undiffuse.training.metrics import MAX_SHEETS, MetricsLog, drop_after, read_metrics, sheets
from undiffuse.training.validation import Validation


def record(step: int, loss: float = 1.0, skipped: bool = False) -> StepRecord:
    return StepRecord(step, {"loss": math.nan if skipped else loss}, 2.0, 0.5, 100.0, skipped)


def test_a_line_has_the_means_of_the_steps_since_the_line_before(tmp_path: Path) -> None:
    clock = [0.0]
    log = MetricsLog(tiny.make("codec", tmp_path, steps=6), clock=lambda: clock[0])
    for step, loss in enumerate((1.0, 2.0, 6.0), 1):
        clock[0] += 0.4
        log.add_step(record(step, loss), 0.25)
    log.add_step(record(4, skipped=True))
    clock[0] += 2.0
    log.add_step(record(5, 8.0))
    log.add_step(record(6, 9.0))  # the last one is always written
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines] == [3, 5, 6]
    assert [line["losses"]["loss"] for line in lines] == [3.0, 8.0, 9.0]
    assert [line.get("skipped") for line in lines] == [None, 1, None]
    assert lines[0]["learning_rate"] == pytest.approx(0.5 * log.run.learning_rate)
    assert (lines[0]["peak_share"], lines[0]["grad_norm"]) == (0.25, 2.0)


def test_a_resumed_run_has_each_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "LINE_SECONDS", 0.0)
    first = tiny.make("codec", tmp_path, steps=6)
    log = MetricsLog(first)
    for step in train(first):
        log.add_step(step)
        if step.step == 3:
            first.save()
        if step.step == 5:  # killed here, two steps after the checkpoint
            break
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 5, "los')  # half a line
    log.add_validation(5, Validation({"PSNR": 1.0}, np.zeros((4, 4, 3), np.uint8)))
    train_with_progress(
        tiny.make("codec", tmp_path, steps=6), lambda run: Validation({"PSNR": 2.0})
    )
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines if "losses" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["figures"] for line in lines if "figures" in line] == [{"PSNR": 2.0}]
    assert sheets(tmp_path) == []
    text = (tmp_path / "metrics.jsonl").read_text()
    assert all(json.loads(line) for line in text.splitlines())


def test_the_number_of_sheets_is_bounded_and_the_first_and_last_stay(tmp_path: Path) -> None:
    log = MetricsLog(tiny.make("codec", tmp_path, steps=6))
    for step in range(1, 101):
        log.add_validation(step, Validation({}, np.full((4, 4, 3), step, np.uint8)))
    kept = [step for _, step in sheets(tmp_path)]
    assert len(kept) <= MAX_SHEETS
    assert (kept[0], kept[-1]) == (1, 100)
    assert max(np.diff(kept)) <= 4 * 100 / MAX_SHEETS
    path, step = sheets(tmp_path)[3]
    assert (np.asarray(Image.open(path)) == step).all()
    drop_after(tmp_path, 50)
    assert max(step for _, step in sheets(tmp_path)) <= 50


def test_a_full_disk_is_an_error_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MetricsLog(tiny.make("codec", tmp_path, steps=6))
    log.add_step(record(6))
    before = (tmp_path / "metrics.jsonl").read_bytes()
    write = metrics.os.write
    monkeypatch.setattr(metrics.os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(UserError, match=r"metrics\.jsonl can't be written: No space left"):
        log.add_step(record(6))
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_tensorboard_reads_scalars_and_samples(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    sheet = np.zeros((8, 8, 3), np.uint8)
    train_with_progress(
        tiny.make("codec", tmp_path, steps=3), lambda run: Validation({"PSNR": 7.5}, sheet),
        watch=Watch(tensorboard=True),
    )  # fmt: skip
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert {"train/loss", "train/grad_norm", "train/learning_rate", "validation/PSNR"} <= {
        *events.Tags()["scalars"]
    }
    assert events.Scalars("validation/PSNR")[-1].value == 7.5
    assert events.Images("samples")[0].width == 8


def test_a_missing_tensorboard_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'undiffuse\[tensorboard\]'"):
        metrics.require_tensorboard()
