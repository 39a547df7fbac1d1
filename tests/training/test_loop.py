"""The training loop: skipped steps, learning rates, checkpoints, optimizers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training import tiny
from undiffuse.errors import UserError
from undiffuse.training import loop
from undiffuse.training.loop import MAX_SKIPPED, Run, learning_rate_factor, train


def small(folder: Path, bad: Any = (), steps: int = 12, **more: Any) -> Run:
    """A linear regression. `bad`: step -> factor of its loss."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)

    def loss(step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        x = torch.from_numpy(rng.standard_normal((8, 3), dtype=np.float32))
        error = (model(x) - x.sum(1, keepdim=True)).square().mean()
        return {"loss": error * dict(bad).get(step, 1.0)}

    more = {"learning_rate": 0.05, "warmup": 1, "save_minutes": math.inf, **more}
    return Run(folder, model, loss, steps, 8, 0, {"a": 1}, **more)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_with_a_loss_that_is_not_finite_is_skipped(bad: float, tmp_path: Path) -> None:
    run = small(tmp_path, {4: bad})
    before: dict[str, np.ndarray] = {}
    for record in train(run):
        if record.step == 4:
            before = tiny.state(run)
        if record.step == 5:
            assert record.skipped
            after = tiny.state(run)
            assert all(np.array_equal(before[name], after[name]) for name in before)
        assert record.skipped == (record.step == 5)
    assert all(np.isfinite(tensor).all() for tensor in tiny.state(run).values())
    assert run.step == 12


def test_a_step_with_a_gradient_that_is_not_finite_is_skipped(tmp_path: Path) -> None:
    run = small(tmp_path)
    good = run.loss

    def loss(step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        losses = good(step, rng)
        if step == 2:  # the slope of a square root at 0
            losses["loss"] = losses["loss"] + run.model.weight.sub(run.model.weight).sum().sqrt()
        return losses

    run.loss = loss
    records = list(train(run))
    assert [record.step for record in records if record.skipped] == [3]
    assert math.isfinite(records[2].losses["loss"])
    assert all(torch.isfinite(p).all() for p in run.model.parameters())


def test_many_bad_steps_stop_the_run_with_the_last_good_state_saved(tmp_path: Path) -> None:
    run = small(tmp_path, dict.fromkeys(range(5, 100), math.nan), steps=100)
    with pytest.raises(UserError, match=r"finite after step 5; .*checkpoint\.safetensors"):
        list(train(run))
    assert run.step == 5 + MAX_SKIPPED
    resumed = small(tmp_path, steps=100)
    assert resumed.resume()
    until = small(tmp_path / "other", steps=100)
    for record in train(until):
        if record.step == 5:
            break
    one, other = tiny.state(resumed), tiny.state(until)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_bad_steps_in_between_do_not_stop_the_run(tmp_path: Path) -> None:
    run = small(tmp_path, dict.fromkeys(range(0, 60, 2), math.nan), steps=60)
    assert sum(record.skipped for record in train(run)) == 30


def test_a_linear_model_learns(tmp_path: Path) -> None:
    losses = [record.losses["loss"] for record in train(small(tmp_path, steps=300))]
    assert np.mean(losses[-20:]) < 0.01 * np.mean(losses[:20])


def test_the_learning_rate_warms_up_and_decays() -> None:
    run = small(Path(), steps=1000, warmup=100)
    assert learning_rate_factor(0, run) == 0.01
    assert learning_rate_factor(99, run) == learning_rate_factor(700, run) == 1.0
    assert learning_rate_factor(750, run) == 1.0
    assert learning_rate_factor(875, run) == pytest.approx(0.51)
    assert learning_rate_factor(1000, run) == pytest.approx(0.02)
    rates = [learning_rate_factor(step, run) for step in range(750, 1000)]
    assert rates == sorted(rates, reverse=True)


def test_records_hold_the_rate_and_the_speed(tmp_path: Path) -> None:
    run = small(tmp_path, steps=4)
    for record in train(run):
        assert record.lr_factor == learning_rate_factor(record.step - 1, run)
        assert record.pictures_per_second > 0
        assert record.grad_norm > 0
        assert run.optimizers[0].param_groups[0]["lr"] == 0.05 * record.lr_factor
    assert run.seconds > 0


def test_the_checkpoint_is_saved_by_the_clock_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(Run, "save", lambda run: saved.append(run.step))
    list(train(small(tmp_path, steps=5)))
    assert saved == [5]
    saved.clear()
    clock = iter(range(0, 10_000, 20))  # each call is 20 s later
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    list(train(small(tmp_path, steps=6, save_minutes=1.0)))
    assert saved == [2, 4, 6]


def test_time_of_a_suspended_process_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps take a second; the process is suspended for a day in the third."""
    clock = iter([0, 0, 1, 1, 2, 2, 86_403, 86_403, 86_404])
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    run = small(tmp_path, steps=4)
    list(train(run))
    assert run.seconds == 3 + loop.PAUSE_FACTOR


def test_muon_has_the_matrices_in_transformer_blocks() -> None:
    for kind in tiny.KINDS:
        run = tiny.make(kind, Path())
        names = {id(p): name for name, p in run.model.named_parameters()}
        groups = [
            {names[id(p)] for group in optimizer.param_groups for p in group["params"]}
            for optimizer in run.optimizers
        ]
        assert set().union(*groups) == set(names.values())
        assert sum(map(len, groups)) == len(names)
        inside = {n for n, p in run.model.named_parameters() if "blocks." in n and p.ndim == 2}
        assert (groups[1] if len(groups) > 1 else set()) == inside
        assert (kind == "codec") == (not inside)


def test_the_generator_of_a_step_depends_on_seed_and_step(tmp_path: Path) -> None:
    seen: list[float] = []
    run = small(tmp_path, steps=3)
    good = run.loss
    run.loss = lambda step, rng: (
        seen.append(float(rng.bit_generator.random_raw())) or good(step, rng)
    )
    list(train(run))
    expected = [
        float(np.random.Philox(key=[0, step]).random_raw()) for step in range(3)
    ]  # fmt: skip
    assert seen == expected
