"""Progress of a run: Ctrl-C, validation by the clock, warnings."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sample import FOLDER
from tests.training import tiny
from undiffuse.cli.progress import stop_on_signal, train_with_progress
from undiffuse.training import diagnostics
from undiffuse.training.loop import Run

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
        train_with_progress(interrupted(tmp_path, at=3), lambda run: "")
    resumed = tiny.make("denoiser", tmp_path, batch=8)
    train_with_progress(resumed, lambda run: "validated")
    assert "resumed at step 3 of 6" in capsys.readouterr().err
    assert "validated" in (tmp_path / "log.txt").read_text()
    whole = tiny.make("denoiser", tmp_path / "whole", batch=8)
    train_with_progress(whole, lambda run: "")
    one, other = tiny.state(resumed), tiny.state(whole)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_ctrl_c_is_exit_status_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from undiffuse.cli import main, train

    one = interrupted(tmp_path / "run", at=2)
    monkeypatch.setattr(
        train, "train_with_progress", lambda *args, **more: train_with_progress(one, lambda run: "")
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


def test_validation_runs_by_the_clock(tmp_path: Path) -> None:
    steps: list[int] = []
    train_with_progress(
        tiny.make("denoiser", tmp_path, steps=3), lambda run: str(steps.append(run.step)), 0.0
    )
    assert steps == [1, 2, 3]


def test_a_loss_at_chance_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denoiser with a learning rate of 0."""
    monkeypatch.setattr(diagnostics, "MIN_STEPS", 5)
    one = tiny.make("denoiser", tmp_path, steps=8)
    one.learning_rate = 0.0
    train_with_progress(one, lambda run: "", chance={"error": 0.9}, flops=1.0)
    errors = capsys.readouterr().err
    assert "step 6: error is " in errors
    assert "the model has learned nothing so far" in errors
