"""Following a run: Ctrl-C, looks by the clock, and what is said of a run that learns nothing."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sample import FOLDER
from tests.training import tiny
from undiffuse.cli.progress import follow, stop_asked
from undiffuse.training import diagnostics as watch
from undiffuse.training.loop import Run

EAGER = ["--eager", "--threads", "1"]


def interrupted(folder: Path, at: int, steps: int = 6) -> Run:
    """A run whose loss presses Ctrl-C in the middle of step `at`."""
    one = tiny.make("denoiser", folder, steps=steps, batch=8)
    good = one.loss

    def loss(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        if step + 1 == at:
            os.kill(os.getpid(), signal.SIGINT)
        return good(step, rng)

    one.loss = loss
    return one


def test_ctrl_c_saves_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        follow(interrupted(tmp_path, at=3), lambda run: "")
    assert "saved after step 3: the same command goes on from there" in capsys.readouterr().err
    resumed = tiny.make("denoiser", tmp_path, batch=8)
    follow(resumed, lambda run: "looked")
    assert "resumed at step 3 of 6" in capsys.readouterr().err
    assert "looked" in (tmp_path / "log.txt").read_text()
    whole = tiny.make("denoiser", tmp_path / "whole", batch=8)
    follow(whole, lambda run: "")
    one, other = tiny.state(resumed), tiny.state(whole)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_ctrl_c_is_exit_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from undiffuse.cli import main, train

    one = interrupted(tmp_path / "run", at=2)
    monkeypatch.setattr(train, "follow", lambda *args, **more: follow(one, lambda run: ""))
    args = ["undiffuse", "train", "codec", "--data", FOLDER, "-o", tmp_path, *EAGER]
    monkeypatch.setattr("sys.argv", [str(arg) for arg in args])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 1
    errors = capsys.readouterr().err
    assert "saved after step 2" in errors
    assert errors.rstrip().endswith("undiffuse: stopped")


def test_a_second_ctrl_c_stops_at_once() -> None:
    def press_twice() -> None:
        with stop_asked() as asked:
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


def test_looks_by_the_clock(tmp_path: Path) -> None:
    steps: list[int] = []
    follow(tiny.make("denoiser", tmp_path, steps=3), lambda run: str(steps.append(run.step)), 0.0)
    assert steps == [1, 2, 3]


def test_chance_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denoiser with a learning rate of nothing."""
    monkeypatch.setattr(watch, "SETTLED", 5)
    one = tiny.make("denoiser", tmp_path, steps=8)
    one.rate = one.muon_rate = 0.0
    follow(one, lambda run: "", chance={"error": 0.9}, flops=1.0)
    errors = capsys.readouterr().err
    assert "step 6: error is " in errors
    assert "nothing is learned so far" in errors
