"""A resumed run ends with the same weights, averages and optimizer state, bit by bit, as an
uninterrupted one.
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
from undiffuse.config import to_dict
from undiffuse.errors import UserError
from undiffuse.training import checkpoint
from undiffuse.training.loop import Run, StepRecord, train

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def uninterrupted(kind: str) -> tuple[dict[str, np.ndarray], list[StepRecord]]:
    with TemporaryDirectory() as folder:
        run = tiny.make(kind, Path(folder))
        records = list(train(run))
        return tiny.state(run), records


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    assert one.keys() == other.keys()
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_run_resumed_at_every_step_is_the_same(kind: str, tmp_path: Path) -> None:
    """Each step is done by new objects from the last one's checkpoint."""
    end, records = uninterrupted(kind)
    for step in range(tiny.STEPS):
        run = tiny.make(kind, tmp_path)
        assert run.resume() == (step > 0)
        assert run.step == step
        record = next(train(run))
        assert record.losses == records[step].losses
        assert record.grad_norm == records[step].grad_norm
        assert record.lr_factor == records[step].lr_factor
        run.save()
        del run
    run = tiny.make(kind, tmp_path)
    run.resume()
    assert list(train(run)) == []
    assert same(tiny.state(run), end)


@pytest.mark.slow
def test_a_killed_run_resumes_exactly(tmp_path: Path) -> None:
    """The process saves after each step and gets SIGKILL at any moment."""
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


def test_a_new_generator_for_each_step_is_the_same(tmp_path: Path) -> None:
    """In one process, so that the decay of the learning rate is not applied twice."""
    run = tiny.make("codec", tmp_path)
    for _ in range(tiny.STEPS):
        next(train(run))
    assert same(tiny.state(run), uninterrupted("codec")[0])


def test_another_setting_is_refused_by_name(tmp_path: Path) -> None:
    tiny.make("codec", tmp_path).save()
    for changed in ({"latent_noise": 0.1}, {"seed": 1}):
        (name,) = changed
        with pytest.raises(UserError, match=rf"with another {name}, with 0.*another folder"):
            tiny.make("codec", tmp_path, **changed).resume()


def test_an_added_or_missing_setting_is_refused(tmp_path: Path) -> None:
    run = tiny.make("codec", tmp_path)
    run.settings = {**run.settings, "judge": "abc"}
    run.save()
    with pytest.raises(UserError, match="another judge, with abc"):
        tiny.make("codec", tmp_path).resume()
    tiny.make("codec", tmp_path).save()
    with pytest.raises(UserError, match="another judge, without it"):
        run.resume()


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    tiny.make("codec", tmp_path).save()
    run = tiny.make("codec", tmp_path)
    run.data_digest = "others"
    with pytest.raises(UserError, match="trained on other pictures"):
        run.resume()


def test_a_checkpoint_without_a_digest_of_its_pictures_is_accepted(tmp_path: Path) -> None:
    run = tiny.make("codec", tmp_path)
    run.save()
    tensors, meta = checkpoint.load(run.path)
    del meta["data"]
    checkpoint.save(run.path, tensors, meta)
    assert run.resume()


def test_a_checkpoint_with_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    run: Run = tiny.make("codec", tmp_path)
    run.save()
    tensors, meta = checkpoint.load(run.path)
    for group in ("model.", "ema."):
        name = next(name for name in tensors if name.startswith(group))
        checkpoint.save(run.path, {k: v for k, v in tensors.items() if k != name}, meta)
        with pytest.raises(UserError, match="is not a checkpoint"):
            tiny.make("codec", tmp_path).resume()


def test_settings_of_an_older_version_are_compared_by_their_new_names(tmp_path: Path) -> None:
    run = tiny.make("codec", tmp_path)
    run.settings |= {"sharp": 0.5, "decoder_of": ""}
    run.save()
    run.settings = {**to_dict(tiny.CODEC), "sharpness_weight": 0.5, "start_decoder": ""}
    assert run.resume()
    run.settings["sharpness_weight"] = 1.0
    with pytest.raises(UserError, match="another sharpness_weight, with 0"):
        run.resume()


def test_a_run_without_a_checkpoint_starts_at_step_0(tmp_path: Path) -> None:
    run = tiny.make("codec", tmp_path)
    assert not run.resume()
    assert run.step == 0
