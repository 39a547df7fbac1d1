"""A stage ends in its time, whatever its speed does; the plan shares the time of the run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from undiffuse.errors import UserError
from undiffuse.training.new_plan import TrainOptions, check_same, make_plan, read_prompts
from undiffuse.training.plan import CLOSING_SECONDS, FINETUNE_SHARES, Plan
from undiffuse.training.time_limit import EXPORT_SECONDS, TimeLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def simulate(
    seconds: float, step_seconds, validation: float, first: float = 0.0, build: float = 0.0
) -> tuple[float, int, int]:  # type: ignore[no-untyped-def]
    """Train as `train_with_progress` does, on a simulated clock: the time that the stage took, its
    steps and its validations.

    step_seconds(step)  the time of a step.
    first, build        the time of the first step, which compiles, and of the preparation.
    """
    clock, fixed = Clock(), []
    limit = TimeLimit(seconds, clock, fixed.append)
    run = SimpleNamespace(step=0, steps=10**9, decay_from=0.75)
    clock.now += build
    validations, validated = 0, clock.now
    while run.step < run.steps:
        due = clock.now - validated > limit.validate_seconds or limit.wants_validation(run)
        clock.now += first if first and run.step == 0 else step_seconds(run.step)
        run.step += 1
        limit.update(run)
        if due or run.step == run.steps:
            clock.now += validation
            limit.add_validation(validation)
            validated = clock.now
            validations += 1
    assert fixed in ([], [run.steps])
    return clock.now + EXPORT_SECONDS, run.step, validations


@pytest.mark.parametrize("seconds", [60, 180, 1800, 36000])
@pytest.mark.parametrize("step", [0.05, 0.7, 4.0])
def test_a_stage_ends_within_a_tenth_of_its_time(seconds: float, step: float) -> None:
    for validation in (0.1, 0.05 * seconds):
        for first, build in ((0.0, 0.0), (0.2 * seconds, 0.0), (0.0, 0.3 * seconds)):
            took, _, _ = simulate(seconds, lambda _: step, validation, first, build)
            assert abs(took - seconds) <= max(0.1 * seconds, 2 * step), (validation, first, build)


def test_a_stage_that_slows_down_on_the_way_ends_in_time() -> None:
    took, _, _ = simulate(600, lambda k: 0.5 if k < 300 else 1.0, 5.0)
    assert abs(took - 600) < 60


def test_validations_take_a_small_part_of_the_time() -> None:
    _, _, many = simulate(3600, lambda _: 1.0, 2.0)
    assert 6 <= many <= 10
    _, _, few = simulate(600, lambda _: 1.0, 60.0)
    assert few == 2  # the first, which is measured, and the last


def test_a_limit_that_is_over_ends_the_stage_at_once() -> None:
    _, steps, validations = simulate(5, lambda _: 60.0, 1.0)
    assert steps <= 3
    assert validations <= 2


def finetune(minutes: float, clock: Clock) -> Plan:
    plan = Plan("finetune", "small", dict(FINETUNE_SHARES), minutes, settings={})
    plan.start_clock(clock=clock)
    return plan


def test_the_stages_share_the_time_and_a_resumed_stage_keeps_its_deadline(tmp_path: Path) -> None:
    clock = Clock()
    plan = finetune(10, clock)
    first = plan.time_limit("denoiser", tmp_path)
    assert first is not None
    assert first.seconds == pytest.approx(0.85 * (600 - CLOSING_SECONDS))
    clock.now = 200.0
    plan.write(tmp_path)
    resumed, later = Plan.read(tmp_path), Clock()
    assert resumed is not None
    later.now = 5000.0  # another process, long afterwards
    resumed.start_clock(clock=later)
    again = resumed.time_limit("denoiser", tmp_path)
    assert again is not None
    assert again.seconds == pytest.approx(first.seconds - 200)
    assert resumed.elapsed() == pytest.approx(200)
    again.fix(77)
    assert Plan.read(tmp_path).steps == {"denoiser": 77}  # type: ignore[union-attr]
    assert resumed.time_limit("denoiser", tmp_path) is None  # its length is known now


def test_the_time_of_the_export_is_measured_and_reserved(tmp_path: Path) -> None:
    plan = finetune(10, Clock())
    plan.durations["graphs"] = 20.0
    assert plan.time_left() == pytest.approx(600 - 30)


def test_too_little_time_is_an_error(tmp_path: Path) -> None:
    clock = Clock()
    plan = finetune(0.1, clock)
    clock.now = 20.0
    with pytest.raises(UserError, match=r"0\.1 minutes are too short on this machine"):
        plan.time_limit("denoiser", tmp_path)


def test_the_time_of_the_whole_run_is_known_with_a_limit_and_estimated_without() -> None:
    clock = Clock()
    plan = finetune(10, clock)
    clock.now = 60.0
    assert plan.run_left("denoiser", 30.0) == pytest.approx(540)
    plan.minutes, plan.weights = None, {"denoiser": 0.6, "decoder": 0.3}
    assert plan.run_left("decoder", 30.0) == pytest.approx(30)
    assert plan.run_left("denoiser", 30.0) == pytest.approx(30 + (60 + 30) / 2)


def options(tmp_path: Path, **changed: object) -> TrainOptions:
    return TrainOptions(str(tmp_path), tmp_path / "out", mode="finetune", **changed)  # type: ignore[arg-type]


def test_a_short_run_leaves_the_decoder_out_and_says_why(tmp_path: Path) -> None:
    said: list[str] = []
    plan = make_plan(options(tmp_path, minutes=3.0), said.append)
    assert list(plan.shares) == ["denoiser"]
    assert "no decoder fine-tuning: it needs 360 s, and its share of 3 minutes is 27 s" in said
    assert list(make_plan(options(tmp_path, minutes=60.0), said.append).shares) == [
        "denoiser", "decoder",
    ]  # fmt: skip


def test_prompts_are_read_checked_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text(" a cat \n\n a  dog\n")
    assert read_prompts(path) == ["a cat", "a dog"]
    plan = make_plan(options(tmp_path, prompts=path), lambda line: None)
    assert plan.settings["prompts"] == ["a cat", "a dog"]
    check_same(plan, options(tmp_path, prompts=path))
    path.write_text("another\n")
    with pytest.raises(UserError, match=r"holds a run with prompts .*use the same options"):
        check_same(plan, options(tmp_path, prompts=path))
    for text, reason in (("\n", "has 0 prompts"), ("x\n" * 65, "has 65 prompts"),
                         ("x" * 1001, "has 1001 characters")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(UserError, match=reason):
            read_prompts(path)
