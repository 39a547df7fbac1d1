"""The number of steps of a stage, from its speed, so that it ends in time."""

import time
from collections.abc import Callable
from typing import Protocol

Clock = Callable[[], float]
MEASURED_SHARE = 0.04  # of a stage's time, to measure its speed
MARK_SHARE, RECENT_SHARE = 0.04, 0.2  # the speed is estimated so often, from so much of the time
MIN_STEPS = 3
EXPORT_SECONDS = 2.0  # for the checkpoint and the weight file of a stage
VALIDATIONS = 8  # in a stage, if they take at most `VALIDATION_SHARE` of the time
VALIDATION_SHARE = 0.05


class Steps(Protocol):
    """The part of `training.loop.Run` that a time limit reads and changes."""

    step: int
    steps: int
    decay_from: float


class TimeLimit:
    """Sets `run.steps` so that a stage takes `seconds`, starting now, its preparation, validations
    and export included.

    The speed is measured in the first steps, together with the time of one validation, and again
    and again until the learning rate decays, because it does not depend on the number of steps
    before. Then the steps are fixed, and `fix(steps)` is called.
    """

    def __init__(
        self,
        seconds: float,
        clock: Clock | None = None,
        fix: Callable[[int], None] = lambda steps: None,
    ) -> None:
        self.seconds, self.clock, self.fix = seconds, clock or time.monotonic, fix
        self.started = self.clock()
        self.first: tuple[int, float] | None = None  # step and seconds of training
        self.marks: list[tuple[int, float]] = []  # from the first measurement on
        self.fixed = False
        self.validation: float | None = None  # seconds of the longest one
        self.validating = 0.0  # seconds of all of them
        self.speed = 0.0  # steps per second of training

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    @property
    def left(self) -> float:
        """Seconds until the stage must have ended."""
        return max(0.0, self.seconds - self.elapsed())

    @property
    def validate_seconds(self) -> float:
        """Seconds from one validation to the next."""
        return max(self.seconds / VALIDATIONS, (self.validation or 0.0) / VALIDATION_SHARE)

    def add_validation(self, seconds: float) -> None:
        """Record how long a validation took."""
        self.validation = max(seconds, self.validation or 0.0)
        self.validating += seconds

    @property
    def too_late(self) -> bool:
        """Whether no time is left for another validation, because the machine became slower."""
        return self.left < 0.5 * (self.validation or 0.0) or self.left == 0.0

    def wants_validation(self, run: Steps) -> bool:
        """Whether the speed is known and the time of a validation is not."""
        early = self.elapsed() < 0.5 * self.seconds
        return self.validation is None and early and self._enough(run)

    def _enough(self, run: Steps) -> bool:
        if self.first is None or run.step - self.first[0] < MIN_STEPS:
            return False
        return self._trained() - self.first[1] > MEASURED_SHARE * self.seconds

    def _trained(self) -> float:
        return self.elapsed() - self.validating

    @property
    def measured(self) -> bool:
        """Whether `run.steps` is an estimate, and not just large."""
        return bool(self.marks)

    def update(self, run: Steps) -> bool:
        """Call after each step; tells whether the first estimate was made. `run.steps` must be
        large at first.
        """
        now = self._trained()
        if self.first is None:  # the first step compiles
            self.first = (run.step, now)
        if not self.marks:
            ready = self.validation is not None and self._enough(run)
            overdue = self.elapsed() > 0.5 * self.seconds and run.step > self.first[0]
            if ready or overdue:
                self._set_steps(run, self.first, now)
            return bool(self.marks)
        if self.fixed:
            return False
        decays = run.step >= (run.decay_from - 0.02) * run.steps
        ends = run.step >= run.steps  # the loop has saved the last checkpoint
        if not ends and (decays or now - self.marks[-1][1] > MARK_SHARE * self.seconds):
            early = now - RECENT_SHARE * self.seconds
            recent = [mark for mark in self.marks if mark[1] >= early]
            self._set_steps(run, (recent or self.marks[-1:])[0], now)
        if decays or run.step >= (run.decay_from - 0.02) * run.steps:
            self.fixed = True
            self.fix(run.steps)
        return False

    def _set_steps(self, run: Steps, since: tuple[int, float], now: float) -> None:
        steps, seconds = run.step - since[0], now - since[1]
        if steps > 0 and seconds > 0:
            self.speed = steps / seconds
        validation = self.validation or 0.0
        between = self.validate_seconds
        share = between / (between + validation)  # of the time, for training
        rest = self.seconds - self.elapsed() - validation - EXPORT_SECONDS
        run.steps = run.step + max(1, round(rest * share * self.speed))
        self.marks.append((run.step, now))
