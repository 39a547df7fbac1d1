"""The batch size that is found by trying, and kept."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny
from undiffuse.errors import UserError
from undiffuse.training import batch_size
from undiffuse.training.batch_size import choose_batch, find_batch_size, measure
from undiffuse.training.new_plan import TrainOptions
from undiffuse.training.plan import Plan


@pytest.mark.parametrize(
    ("speeds", "best", "last"),
    [
        ({32: 100, 64: 190, 128: 300, 256: 310, 512: 900}, 128, 256),  # less than 5% more
        ({32: 100, 64: 190, 128: 300, 256: 0}, 128, 256),  # 0: out of memory
        ({32: 0, 16: 0, 8: 50}, 8, 8),
        ({32: 100, 64: 90}, 32, 64),
    ],
)
def test_the_batch_is_doubled_while_that_pays(
    speeds: dict[int, float], best: int, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def look_up(build: Any, batch: int) -> float:
        tried.append(batch)
        return speeds[batch]

    monkeypatch.setattr(batch_size, "measure", look_up)
    lines: list[str] = []
    assert find_batch_size(lambda batch: None, 32, lines.append) == best
    assert lines[-1] == f"batch {best}: the fastest that was tried"
    assert tried[-1] == last
    monkeypatch.setattr(batch_size, "measure", lambda build, batch: 0.0)
    with pytest.raises(UserError, match="no memory for a batch of 8: use a smaller preset"):
        find_batch_size(lambda batch: None, 32)


def test_a_batch_that_exhausts_the_memory_counts_as_nothing(tmp_path: Path) -> None:
    def full(batch: int) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert measure(full, 8) == 0.0
    assert measure(lambda batch: tiny.make("codec", tmp_path, batch=batch), 8) > 0.0
    assert not any(tmp_path.iterdir())  # nothing is written


def test_the_choice_is_kept_in_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, bool]] = []

    def find(build: Any, start: int, say: Any) -> int:
        build(start)
        return 4 * start

    def build(name: str, options: Any) -> Any:
        built.append((name, options.compiled))
        return type("Stage", (), {"run": None})()

    def choose(name: str, plan: Plan, batch: Any = None) -> int:
        options = TrainOptions("data", tmp_path, batch=batch)
        return choose_batch(name, plan, options, 48, build, lambda line: None)

    monkeypatch.setattr(batch_size, "find_batch_size", find)
    plan = Plan("scratch", "tiny", {}, None)
    assert choose("codec", plan) == 48  # the default of a processor
    assert choose("denoiser", plan, 64) == 64
    assert choose("decoder", plan, "auto") == 192
    assert built == [("codec", False)]  # eager, and without sampled latents
    kept = Plan.read(tmp_path)
    assert kept is not None
    assert kept.batches == {"codec": 48, "denoiser": 64, "decoder": 192}
    # Resumed: with the same options, without any, or with auto, nothing is tried again.
    assert choose("decoder", kept, "auto") == choose("decoder", kept) == 192
    assert choose("denoiser", kept, 64) == choose("denoiser", kept) == 64
    assert len(built) == 1
    with pytest.raises(UserError, match="holds a run with batch 64, not 32: use the same options"):
        choose("denoiser", kept, 32)
