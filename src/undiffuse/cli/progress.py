"""Training with its progress on stderr, periodic validation, and stopping by Ctrl-C."""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from types import FrameType
from typing import TYPE_CHECKING

from undiffuse.cli.progress_bar import Display, format_duration
from undiffuse.errors import LostProcess

if TYPE_CHECKING:
    from undiffuse.training.loop import Run, StepRecord
    from undiffuse.training.time_limit import TimeLimit
    from undiffuse.training.validation import Validation

SPEED_WINDOW = 51  # steps; the median speed is shown, and as a share of the machine's peak


@dataclass(frozen=True)
class Watch:
    """How a stage is shown and limited.

    label        such as "stage 2 of 4 codec".
    limit        sets the number of steps.
    run_left     seconds that are left of the stage -> of the whole run.
    tick         called after each step.
    tensorboard  write event files.
    """

    label: str = "training"
    limit: "TimeLimit | None" = None
    run_left: Callable[[float], float] | None = None
    tick: Callable[[], None] = lambda: None
    tensorboard: bool = False


def train_with_progress(
    run: "Run",
    validate: Callable[["Run"], "Validation"],
    validate_minutes: float = 5.0,
    chance: Mapping[str, float] | None = None,
    flops: float = 0.0,
    watch: Watch | None = None,
    display: Display | None = None,
) -> None:
    """Resume and train to the end. Shows progress on stderr; metrics and validations also go to
    metrics.jsonl, and sample sheets to samples/, in the run's folder.

    `chance`: see `Diagnostics`. `flops`: of one picture's forward pass, to show the model FLOPs
    utilization. Ctrl-C saves the checkpoint after the current step and raises KeyboardInterrupt.
    """
    from undiffuse.training.distributed import count
    from undiffuse.training.loop import train

    with _Watcher(run, watch or Watch(), flops, display, chance) as watcher:
        limit, validated = watcher.limit, time.monotonic()
        if limit:
            validate_minutes = limit.validate_seconds / 60
        with stop_on_signal() as run.stop_requested:
            run.validation_due = lambda: (
                time.monotonic() - validated > 60 * validate_minutes
                or (limit is not None and limit.wants_validation(run))
            )
            for record in train(run):
                watcher.add_step(record)
                if record.step == run.steps or run.validate_now:
                    if limit and limit.too_late and count() == 1:
                        watcher.display.say("no time is left for the last validation")
                        continue
                    started = time.monotonic()
                    watcher.add_validation(record, validate(run))
                    validated = time.monotonic()
                    if limit:
                        limit.add_validation(validated - started)
                        validate_minutes = limit.validate_seconds / 60
            if run.stopped:
                raise KeyboardInterrupt(
                    f"saved after step {run.step}; run the same command to continue"
                )


class _Watcher:
    """The display, warnings and metrics of one stage. Of several processes, the main one's shows
    and writes.
    """

    def __init__(
        self, run: "Run", watch: Watch, flops: float, display: Display | None,
        chance: Mapping[str, float] | None,
    ) -> None:  # fmt: skip
        from undiffuse.training.diagnostics import Diagnostics
        from undiffuse.training.distributed import is_main
        from undiffuse.training.metrics import MetricsLog
        from undiffuse.training.throughput import peak_flops

        main = is_main()
        self.run, self.watch, self.flops = run, watch, flops
        self.limit = watch.limit if main else None  # the loop tells the others the steps
        self.display = display or Display(quiet=not main)
        resumed = run.resume()
        if run.resume_note:
            self.display.say(run.resume_note)
        length = f" of {run.steps}" if watch.limit is None else ""
        self.display.say(f"{'resumed at' if resumed else 'starting at'} step {run.step}{length}")
        self.display.say(describe_precision(run.checkpoint_dtype, run.device.type))
        self.metrics = MetricsLog(run, watch.tensorboard) if main else None
        self.peak = peak_flops(device=run.device) if flops else 0.0
        self.diagnostics = Diagnostics(chance)
        self.speeds: deque[float] = deque(maxlen=SPEED_WINDOW)

    def __enter__(self) -> "_Watcher":
        return self

    def __exit__(self, *error: object) -> None:
        self.display.clear()
        if self.metrics:
            self.metrics.close()

    @property
    def peak_share(self) -> float | None:
        from undiffuse.training.throughput import model_flops_utilization

        if not self.peak or not self.speeds:
            return None
        return model_flops_utilization(self.flops, median(self.speeds), self.peak)

    def add_step(self, record: "StepRecord") -> None:
        """Take in a step."""
        self.speeds.append(record.pictures_per_second)
        for warning in self.diagnostics.update(record):
            self.display.say(warning)
        if self.metrics is None:
            return
        if self.limit and self.limit.update(self.run):
            speed = f"{self.limit.speed:.2g} steps/s"
            self.display.say(f"{speed}: {self.run.steps} steps fit in the time of this stage")
        self.metrics.add_step(record, self.peak_share)
        self.watch.tick()
        self.display.show(*self.status(record))

    def status(self, record: "StepRecord") -> tuple[str, float | None]:
        """The line of status and the share of the stage that is done."""
        run, limit = self.run, self.limit
        known = limit is None or limit.measured
        steps = f"step {record.step}" + (f" of {run.steps}" if known else "")
        parts = [self.watch.label, steps, f"{median(self.speeds):.0f} pictures/s"]
        if (share := self.peak_share) is not None:
            parts.append(f"{share:.0%} of peak")
        left = limit.left if limit else (run.steps - record.step) * run.batch / median(self.speeds)
        parts.append(f"{format_duration(left)} left")
        if self.watch.run_left:
            parts.append(f"whole run {format_duration(self.watch.run_left(left))} left")
        parts += [f"{name} {mean:.3f}" for name, mean in self.diagnostics.means.items()]
        done = limit.elapsed() / limit.seconds if limit and limit.seconds > 0 else None
        return ", ".join(parts), done if limit else record.step / run.steps

    def add_validation(self, record: "StepRecord", found: "Validation") -> None:
        """Show a validation and write it."""
        from undiffuse.training.throughput import peak_flops

        if self.peak:  # measured again, because the machine may have been busy before
            self.peak = max(self.peak, peak_flops(device=self.run.device))
        if self.metrics:
            means = (f"{name} {mean:.3f}" for name, mean in self.diagnostics.means.items())
            self.display.say(f"step {record.step}: {', '.join(filter(None, (*means, str(found))))}")
            self.metrics.add_validation(record.step, found)


def describe_precision(checkpoint_dtype: str, device_type: str = "cpu") -> str:
    """Autocast's dtype, the reason, and whether the checkpoint's differs; "" for none."""
    from undiffuse.training.precision import choose_dtype, dtype_name

    name, reason = dtype_name(device_type), choose_dtype(device_type)[1]
    line = f"computing in {name}: {reason}"
    if checkpoint_dtype not in ("", name):
        line += f"; the checkpoint was computed in {checkpoint_dtype}, so results differ slightly"
    return line


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether SIGINT or SIGTERM was received.

    The first signal raises no exception, so that no weight update is interrupted; the second one of
    a kind acts as usual. torchrun, which gets Ctrl-C too, sends SIGTERM after it.
    """
    stop = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stop
        stop = True
        signal.signal(number, handlers[signal.Signals(number)])

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, handle)
    try:
        yield lambda: stop
    except LostProcess:
        # torchrun terminates the processes that are left; this one must first say why it ends.
        handlers[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
