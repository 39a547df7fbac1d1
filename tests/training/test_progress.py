"""Progress of a run: Ctrl-C, validation by the clock, warnings."""

import os
import re
import signal
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from tests.sample import FOLDER
from tests.training import tiny
from undiffuse.cli.progress import stop_on_signal, train_with_progress
from undiffuse.errors import LostProcess
from undiffuse.training import diagnostics
from undiffuse.training.loop import Run
from undiffuse.training.metrics import read_metrics
from undiffuse.training.validation import Validation

pytestmark = pytest.mark.slow

EAGER = ["--eager", "--threads", "1"]


def interrupted(folder: Path, at: int, steps: int = 6) -> Run:
    """A run that gets SIGINT in the middle of step `at`."""
    one = tiny.make("denoiser", folder, steps=steps, batch=8)
    good = one.loss

    def loss(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        if step + 1 == at:
            os.kill(os.getpid(), signal.SIGINT)
        return good(step, rng)

    one.loss = loss
    return one


@pytest.mark.slow
def test_ctrl_c_saves_the_checkpoint_and_the_run_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt, match="saved after step 3; run the same command to"):
        train_with_progress(interrupted(tmp_path, at=3), lambda run: Validation())
    resumed = tiny.make("denoiser", tmp_path, batch=8)
    train_with_progress(resumed, lambda run: Validation({"PSNR": 7.0}))
    assert "resumed at step 3 of 6" in capsys.readouterr().err
    assert read_metrics(tmp_path)[-1]["figures"] == {"PSNR": 7.0}
    whole = tiny.make("denoiser", tmp_path / "whole", batch=8)
    train_with_progress(whole, lambda run: Validation())
    one, other = tiny.state(resumed), tiny.state(whole)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_ctrl_c_is_exit_status_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from undiffuse.cli import main, train_options

    one = interrupted(tmp_path / "run", at=2)
    monkeypatch.setattr(
        train_options,
        "train_with_progress",
        lambda *args, **more: train_with_progress(one, lambda run: Validation()),
    )
    args = ["undiffuse", "train", "codec", "--data", FOLDER, "-o", tmp_path, *EAGER]
    monkeypatch.setattr("sys.argv", [str(arg) for arg in args])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "undiffuse: stopped: saved after step 2; run the same command to continue"


def test_a_second_ctrl_c_stops_at_once() -> None:
    def press_twice() -> None:
        with stop_on_signal() as asked:
            assert not asked()
            os.kill(os.getpid(), signal.SIGINT)
            assert asked()
            os.kill(os.getpid(), signal.SIGINT)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored after a shell's "&"
    try:
        with pytest.raises(KeyboardInterrupt):
            press_twice()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, usual)


def test_a_lost_process_says_so_before_torchrun_terminates_it() -> None:
    def lose() -> None:
        with stop_on_signal():
            raise LostProcess("lost")

    usual = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(LostProcess):
            lose()
        os.kill(os.getpid(), signal.SIGTERM)  # would end this process
    finally:
        signal.signal(signal.SIGTERM, usual)


def test_validation_runs_by_the_clock(tmp_path: Path) -> None:
    steps: list[int] = []

    def validate(run: Run) -> Validation:
        steps.append(run.step)
        return Validation()

    train_with_progress(tiny.make("denoiser", tmp_path, steps=3), validate, 0.0)
    assert steps == [1, 2, 3]


def test_a_loss_at_chance_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denoiser with a learning rate of 0."""
    monkeypatch.setattr(diagnostics, "MIN_STEPS", 5)
    one = tiny.make("denoiser", tmp_path, steps=8)
    one.learning_rate = 0.0
    train_with_progress(one, lambda run: Validation(), chance={"error": 0.9}, flops=1.0)
    errors = capsys.readouterr().err
    assert "step 6: error is " in errors
    assert "the model has learned nothing so far" in errors


def test_the_status_names_stage_step_speed_and_the_time_left(tmp_path: Path) -> None:
    from undiffuse.cli.progress import Watch
    from undiffuse.cli.progress_bar import Display

    class Shown(Display):
        lines: ClassVar[list[str]] = []

        def show(self, text: str, share: float | None = None, now: bool = False) -> None:
            self.lines.append(text)

    watch = Watch("stage 2 of 4 codec", run_left=lambda left: left + 600)
    one = tiny.make("denoiser", tmp_path, steps=3)
    train_with_progress(one, lambda run: Validation(), flops=1e6, watch=watch, display=Shown())
    assert len(Shown.lines) == 3
    pattern = (
        r"stage 2 of 4 codec, step 2 of 3, \d+ pictures/s, \d+% of peak, \d+ s left, "
        r"whole run 10 min left, loss "
    )
    assert re.match(pattern, Shown.lines[1]), Shown.lines[1]


def test_with_a_time_limit_no_number_of_steps_is_shown_before_it_is_known(tmp_path: Path) -> None:
    from undiffuse.cli.progress import Watch
    from undiffuse.cli.progress_bar import Display
    from undiffuse.training.time_limit import TimeLimit

    class Shown(Display):
        lines: ClassVar[list[str]] = []

        def show(self, text: str, share: float | None = None, now: bool = False) -> None:
            self.lines.append(text)

    one = tiny.make("denoiser", tmp_path, steps=10**9)
    limit = TimeLimit(4.0)
    train_with_progress(one, lambda run: Validation(), watch=Watch(limit=limit), display=Shown())
    assert not any("of 1000000000" in line for line in Shown.lines)
    assert ", step 1, " in Shown.lines[0]
    assert f"of {one.steps}," in Shown.lines[-1]
    assert one.steps == one.step
    assert limit.elapsed() < 8
