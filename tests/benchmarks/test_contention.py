import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from contention import WARMUP, Clock, Setting, _Enough, rows, table

ACTIVE, PASSIVE = (Setting("denoiser", policy, 2) for policy in ("ACTIVE", "PASSIVE"))
SPEEDS = {
    (ACTIVE, False): [10.0, 9.0, 30.0],
    (ACTIVE, True): [2.0],
    (PASSIVE, False): [8.0],
    (PASSIVE, True): [6.0],
}


def test_the_share_left_is_that_of_the_medians() -> None:
    active, passive = rows(SPEEDS)
    assert (active["left"], passive["left"]) == (pytest.approx(0.2), pytest.approx(0.75))


def test_passive_is_compared_with_active_of_the_same_threads() -> None:
    active, passive = rows(SPEEDS)
    assert active["alone_of_active"] == active["busy_of_active"] == 1.0
    assert passive["alone_of_active"] == pytest.approx(0.8)
    assert passive["busy_of_active"] == pytest.approx(3.0)
    assert "| denoiser | PASSIVE | 2 | 8 | 6 | 75% | 80% | 300% |" in table([passive])


def test_the_clock_leaves_out_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([*[7.0] * (WARMUP - 1), 100.0, 110.0, 120.0, 130.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    clock = Clock(seconds=25.0)
    for _ in range(WARMUP + 2):
        clock.step()
    with pytest.raises(_Enough):
        clock.step()
    assert clock.speed == pytest.approx(3 / 30)
