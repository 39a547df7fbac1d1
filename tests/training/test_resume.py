"""A run cut anywhere goes on as if nothing had happened: every weight, average and moment, bit by
bit.
"""

import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from tests.training import tiny
from undiffuse.errors import UserError
from undiffuse.training import checkpoint
from undiffuse.training.loop import Record, Run, train

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def uninterrupted(kind: str) -> tuple[dict[str, np.ndarray], list[Record]]:
    with TemporaryDirectory() as folder:
        run = tiny.make(kind, Path(folder))
        records = list(train(run))
        return tiny.state(run), records


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    assert one.keys() == other.keys()
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_two_runs_are_equal_and_something_is_learned(kind: str, tmp_path: Path) -> None:
    run = tiny.make(kind, tmp_path)
    start = tiny.state(run)
    assert len(list(train(run))) == tiny.STEPS
    end, _ = uninterrupted(kind)
    assert same(tiny.state(run), end)
    moved = [name for name in start if not np.array_equal(start[name], end[name])]
    assert {name.split(".")[0] for name in moved} >= {"model", "ema"}
    assert any(name.startswith("optimizer.1.") for name in end) == (kind != "codec")  # Muon's


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_cut_at_every_step(kind: str, tmp_path: Path) -> None:
    """Six processes' worth of objects, each doing one step from the last one's file."""
    end, records = uninterrupted(kind)
    for step in range(tiny.STEPS):
        run = tiny.make(kind, tmp_path)
        assert run.resume() == (step > 0)
        assert run.step == step
        record = next(train(run))
        assert record.losses == records[step].losses
        assert record.gradient == records[step].gradient
        assert record.rate == records[step].rate
        run.save()
        del run
    run = tiny.make(kind, tmp_path)
    run.resume()
    assert list(train(run)) == []
    assert same(tiny.state(run), end)


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """SIGKILL, as a machine that goes away does; the process saves after each step."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.tiny", "denoiser", str(tmp_path), "1000000"],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 3:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = tiny.make("denoiser", tmp_path, steps=1_000_000)
    assert run.resume()
    assert run.step >= 3
    last = run.step + 2
    other = tiny.make("denoiser", tmp_path / "other", steps=1_000_000)
    for one in (run, other):
        for record in train(one):
            if record.step == last:
                break
    assert same(tiny.state(run), tiny.state(other))


def test_a_generator_that_is_left_and_taken_up_again(tmp_path: Path) -> None:
    """In one process: the learning rate, which falls on the way, must not fall twice."""
    run = tiny.make("codec", tmp_path)
    for _ in range(tiny.STEPS):
        next(train(run))
    assert same(tiny.state(run), uninterrupted("codec")[0])


@pytest.mark.parametrize(
    ("kind", "changed", "name"),
    [("codec", {"latent_noise": 0.1}, "latent_noise"), ("denoiser", {"seed": 1}, "seed")],
)
def test_another_configuration_is_refused_by_name(
    kind: str, changed: dict, name: str, tmp_path: Path
) -> None:
    tiny.make(kind, tmp_path).save()
    with pytest.raises(UserError, match=rf"trained with another {name}, with 0.*another folder"):
        tiny.make(kind, tmp_path, **changed).resume()


def test_a_setting_more_or_less_is_refused(tmp_path: Path) -> None:
    run = tiny.make("codec", tmp_path)
    run.config = {**run.config, "judge": "abc"}
    run.save()
    with pytest.raises(UserError, match="another judge, with abc"):
        tiny.make("codec", tmp_path).resume()
    tiny.make("codec", tmp_path).save()
    with pytest.raises(UserError, match="another judge, without it"):
        run.resume()


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    tiny.make("codec", tmp_path).save()
    run = tiny.make("codec", tmp_path)
    run.data = "others"
    with pytest.raises(UserError, match="trained on other pictures"):
        run.resume()


def test_a_checkpoint_that_did_not_note_its_pictures_is_taken(tmp_path: Path) -> None:
    run = tiny.make("codec", tmp_path)
    run.save()
    tensors, meta = checkpoint.load(run.path)
    del meta["data"]
    checkpoint.save(run.path, tensors, meta)
    assert run.resume()


@pytest.mark.parametrize("lost", ["model.", "ema."])
def test_a_checkpoint_that_lacks_something(lost: str, tmp_path: Path) -> None:
    run: Run = tiny.make("codec", tmp_path)
    next(train(run))
    run.save()
    tensors, meta = checkpoint.load(run.path)
    name = next(name for name in tensors if name.startswith(lost))
    checkpoint.save(run.path, {k: v for k, v in tensors.items() if k != name}, meta)
    with pytest.raises(UserError, match="is not a checkpoint"):
        tiny.make("codec", tmp_path).resume()


def test_no_checkpoint(tmp_path: Path) -> None:
    run = tiny.make("codec", tmp_path)
    assert not run.resume()
    assert run.step == 0
