"""Several processes train as one does, and end together."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn.functional import normalize

from tests.training import tiny
from tests.training.processes import losses_of, torchrun
from undiffuse import load
from undiffuse.clip.loss import contrastive_loss, partial_contrastive_loss
from undiffuse.errors import UserError
from undiffuse.training import checkpoint, distributed
from undiffuse.training.loop import train

STEPS = 12
TOLERANCE = 1e-4
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list]]:
    """The folder and the losses of one process."""
    folder = tmp_path_factory.mktemp("alone")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    losses: dict[str, list] = {}
    with tiny.in_float32():
        for kind in tiny.KINDS:
            records = train(tiny.make(kind, folder / kind, STEPS))
            losses[kind] = [{**record.losses, "gradient": record.grad_norm} for record in records]
    torch.set_num_threads(threads)
    return folder, losses


def largest_difference(one: dict[str, list], other: dict[str, list]) -> float:
    differences = []
    for kind in tiny.KINDS:
        assert len(one[kind]) == len(other[kind]) == STEPS
        for mine, theirs in zip(one[kind], other[kind], strict=True):
            assert mine.keys() == theirs.keys()
            differences += [abs(mine[name] - theirs[name]) for name in mine]
    return max(differences)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_that_share_a_batch_train_as_one_does(
    processes: int, alone: tuple[Path, dict[str, list]], tmp_path: Path
) -> None:
    folder, losses = alone
    found = losses_of(tmp_path, processes, STEPS)
    difference = largest_difference(losses, found)
    print(f"\n{processes} processes, {STEPS} steps: largest difference {difference:.1e}")
    assert difference < TOLERANCE
    assert_same_state(folder, tmp_path)


@pytest.mark.slow
def test_sharded_training_is_the_same_and_its_checkpoint_is_whole(
    alone: tuple[Path, dict[str, list]], tmp_path: Path
) -> None:
    folder, losses = alone
    # The first half sharded; then sharded once more, from the checkpoint.
    losses_of(tmp_path, 2, STEPS // 2, **FSDP)
    for kind in tiny.KINDS:
        shutil.copytree(tmp_path / kind, tmp_path / "half" / kind)
    # Whatever wrote it, one process reads it.
    run = tiny.make("denoiser", tmp_path / "half" / "denoiser", STEPS)
    assert run.resume()
    assert run.step == STEPS // 2
    sharded = losses_of(tmp_path / "sharded", 2, STEPS, **FSDP)
    assert largest_difference(losses, sharded) < TOLERANCE
    assert_same_state(folder, tmp_path / "sharded")


def assert_same_state(folder: Path, other: Path) -> None:
    """Weights, averages and optimizer state agree, also in shape."""
    for kind in tiny.KINDS:
        (mine, meta), (theirs, their_meta) = (
            checkpoint.load(path / kind / "checkpoint.safetensors") for path in (folder, other)
        )
        assert mine.keys() == theirs.keys()
        assert meta["config"] == their_meta["config"]
        for name, tensor in mine.items():
            assert torch.allclose(tensor, theirs[name], atol=1e-3), (kind, name)


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_the_same_command_resumes_it(tmp_path: Path) -> None:
    data, out = tmp_path / "shapes", tmp_path / "model"
    write_pictures(data)
    command = ("tests.training.processes", "train", data, "-o", out, "--from-scratch",
               "--preset=tiny", "--batch=32", "--device=cpu", "--threads=1",
               "--steps=clip=400")  # fmt: skip
    process = torchrun(2, *command)
    checkpoint_file = out / "runs" / "clip" / "checkpoint.safetensors"
    wait_for(checkpoint_file.exists, process)
    workers = psutil.Process(process.pid).children()
    victim = max(workers, key=lambda worker: int(worker.environ()["RANK"]))
    os.kill(victim.pid, signal.SIGKILL)
    started = time.monotonic()
    output, _ = process.communicate(timeout=120)
    assert time.monotonic() - started < 60
    assert process.returncode != 0
    assert "process 0 lost another process of this run" in output
    assert "run the same command to continue from the last checkpoint" in output
    again = torchrun(2, *command)
    assert again.stdout is not None
    line = next(line for line in again.stdout if " at step " in line)
    assert int(line.split("resumed at step ")[1].split()[0]) > 0
    # SIGTERM to all, as from a scheduler: the state is saved.
    time.sleep(1.0)
    os.killpg(again.pid, signal.SIGTERM)
    output, _ = again.communicate(timeout=120)
    assert "run the same command to continue" in output


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_batch_that_the_processes_cannot_share_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; from undiffuse.training import distributed as d; d.start('cpu'); "
        "d.check_batch(33)"
    )
    script = tmp_path / "refused_batch.py"
    script.write_text(code)
    process = torchrun(2, "refused_batch", PYTHONPATH=f"{tmp_path}{os.pathsep}src")
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "--batch 33 is not divisible by 2 processes: use 32" in output


@pytest.mark.slow
def test_the_whole_command_trains_a_model_in_two_processes(tmp_path: Path) -> None:
    data, out = tmp_path / "shapes", tmp_path / "model"
    write_pictures(data)
    steps = [f"--steps={stage}=2" for stage in ("clip", "codec", "denoiser", "decoder")]
    command = ("tests.training.processes", "train", data, "-o", out, "--from-scratch",
               "--preset=tiny", "--batch=32", "--device=cpu", "--threads=1", *steps)  # fmt: skip
    process = torchrun(2, *command)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert output.count(str(out)) == 1, output  # one process prints
    assert output.count("resumed at") + output.count("starting at") == 4
    assert load(out, threads=1).generate("a red circle", steps=2)[0].pixels.shape == (32, 32, 3)
    kept = json.loads((out / "plan.json").read_text())
    assert set(kept["batches"].values()) == {32}


def write_pictures(folder: Path) -> None:
    """Forty captioned circles and squares."""
    folder.mkdir()
    for number in range(40):
        color = ("red", "green", "blue", "orange")[number % 4]
        image = Image.new("RGB", (40, 40), "white")
        draw, shape = ImageDraw.Draw(image), "circle" if number % 2 else "square"
        (draw.ellipse if number % 2 else draw.rectangle)((8, 8, 30, 30), fill=color)
        image.save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text(f"a {color} {shape}\n")


def test_the_mean_of_partial_losses_is_the_loss_of_the_batch() -> None:
    draw = torch.Generator().manual_seed(0)
    image, text = (normalize(torch.randn(12, 8, generator=draw), dim=-1) for _ in range(2))
    matches = torch.rand(12, 12, generator=draw) < 0.2
    matches.fill_diagonal_(True)
    scale = torch.tensor(9.0)
    for parts in (1, 3, 4):
        losses = [
            partial_contrastive_loss(
                (image[rows], text[rows]), (image, text), (matches[rows], matches.T[rows]), scale
            )
            for rows in torch.arange(12).chunk(parts)
        ]
        whole = contrastive_loss(image, text, matches, scale)
        assert torch.allclose(torch.stack(losses).mean(), whole, rtol=1e-6)


def test_parts_cover_a_batch_and_weigh_as_much_as_their_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = np.arange(11.0)
    for processes in (2, 3, 4):
        monkeypatch.setattr(distributed, "count", lambda count=processes: count)
        parts, means = [], []
        for rank in range(processes):
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            part = distributed.part(rows)
            parts.append(part)
            means.append(distributed.weight(len(part), len(rows)) * part.mean())
        assert np.array_equal(np.concatenate(parts), rows)
        assert np.mean(means) == pytest.approx(rows.mean())


def test_one_process_needs_no_group() -> None:
    values = torch.arange(4.0)
    assert distributed.count() == 1
    assert distributed.is_main()
    assert distributed.part(values) is distributed.gather(values) is values
    assert distributed.any_of([True, False], 5) == ([True, False], 5)
    assert distributed.from_main(lambda: {"a": 1}) == {"a": 1}
    with distributed.main_first(), pytest.raises(UserError), distributed.alone():
        raise UserError("passed on")
