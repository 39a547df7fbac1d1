import sys
from pathlib import Path

import pytest

from undiffuse.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from training_report import (
    Measurement,
    Snapshot,
    Spec,
    parse_specs,
    pictures_per_second,
    score_table,
    seconds_to_score,
    speed_table,
)


def test_ours_are_compiled_by_default_and_peers_are_not() -> None:
    assert parse_specs("denoiser, unet2d", 16) == [
        Spec("denoiser", 16, True),
        Spec("unet2d", 16, False),
    ]


def test_a_system_may_name_its_batch_and_how_it_runs() -> None:
    assert parse_specs("denoiser@128+eager,ddp+compile", 16) == [
        Spec("denoiser", 128, False),
        Spec("ddp", 16, True),
    ]


def test_clip_has_at_least_the_batch_that_its_recipe_needs() -> None:
    assert parse_specs("clip", 8)[0].batch == 32


@pytest.mark.parametrize("text", ["", "nothing", "denoiser@", "clip@8", "ddp,ddp", "ddp+jit"])
def test_a_system_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_specs(text, 16)


def test_the_rate_is_the_median_of_the_windows() -> None:
    assert pictures_per_second([(10, 1.0), (40, 2.0), (10, 10.0)]) == 10.0


def test_the_share_of_the_peak_counts_forward_and_backward() -> None:
    found = Measurement(Spec("ddp", 16, False), 5, 2e9, "", 1.0, [(50, 10.0)])
    figures = found.to_dict(peak=100e9)
    assert figures["share_of_peak"] == pytest.approx(3 * 2e9 * 5 / 100e9)
    assert "| 5 (5 to 5) | 6 | 30% |" in speed_table([figures])


def test_the_time_to_a_score_is_that_of_the_first_snapshot_that_has_it() -> None:
    snapshots = [
        Snapshot(60, 10, None),
        Snapshot(120, 20, 0.4),
        Snapshot(180, 30, 0.6),
        Snapshot(240, 40, 0.5),
    ]
    assert seconds_to_score(snapshots, 0.5) == 180
    assert seconds_to_score(snapshots, 0.7) is None
    assert "| ours | not reached | 60.0% | 3.0 min |" in score_table({"ours": snapshots}, 0.7)
