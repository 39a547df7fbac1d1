"""Progress of a training run on the terminal, periodic validation, and stopping by Ctrl-C."""

import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiffuse.training.loop import Run
    from undiffuse.training.plan import TimeLimit

MFU_WINDOW = 51  # steps; the median speed is shown as a share of the machine's peak


def train_with_progress(
    run: "Run",
    validate: Callable[["Run"], str],
    validate_minutes: float = 5.0,
    chance: Mapping[str, float] | None = None,
    flops: float = 0.0,
    limit: "TimeLimit | None" = None,
) -> None:
    """Resume and train to the end. Shows progress on stderr; validation results also go to log.txt.

    `chance`: see `Diagnostics`. `flops`: of one picture's forward pass, to show the model FLOPs
    utilization. `limit` sets the number of steps. Ctrl-C saves the checkpoint after the current
    step and raises KeyboardInterrupt.
    """
    from tqdm import tqdm

    from undiffuse.training.diagnostics import Diagnostics
    from undiffuse.training.loop import train
    from undiffuse.training.throughput import model_flops_utilization, peak_flops

    def say(line: str) -> None:
        tqdm.write(line, file=sys.stderr)

    resumed = run.resume()
    say(f"{'resumed at' if resumed else 'starting at'} step {run.step} of {run.steps}")
    say(describe_precision(run.checkpoint_dtype))
    peak = peak_flops() if flops else 0.0
    diagnostics = Diagnostics(chance)
    validated = time.monotonic()
    speeds: deque[float] = deque(maxlen=MFU_WINDOW)
    bar = tqdm(total=run.steps, initial=run.step, unit="step", smoothing=0.02, mininterval=2.0)
    with bar, stop_on_signal() as stop_requested:
        for record in train(run):
            if limit:
                limit.update(run)
                bar.total = run.steps
            for warning in diagnostics.update(record):
                say(warning)
            speeds.append(record.pictures_per_second)
            status = " ".join(f"{name} {mean:.3f}" for name, mean in diagnostics.means.items())
            if peak:
                share = model_flops_utilization(flops, median(speeds), peak)
                status += f" | {share:.0%} of {peak / 1e9:.0f} GFLOP/s"
            bar.set_postfix_str(
                f"{status} grad {record.grad_norm:.2f} {record.pictures_per_second:.0f}/s"
            )
            bar.update()
            if stop_requested():
                run.save()
                raise KeyboardInterrupt(
                    f"saved after step {run.step}; run the same command to continue"
                )
            if record.step == run.steps or time.monotonic() - validated > 60 * validate_minutes:
                if peak:  # measured again, because the machine may have been busy before
                    peak = max(peak, peak_flops())
                line = f"step {record.step} {run.seconds / 3600:.2f} h: {status} | {validate(run)}"
                say(line)
                with (run.folder / "log.txt").open("a") as log:
                    log.write(line + "\n")
                validated = time.monotonic()


def describe_precision(checkpoint_dtype: str) -> str:
    """Autocast's dtype, the reason, and whether the checkpoint's differs; "" for none."""
    from undiffuse.training.precision import choose_dtype, dtype_name

    name, reason = dtype_name(), choose_dtype()[1]
    line = f"computing in {name}: {reason}"
    if checkpoint_dtype not in ("", name):
        line += f"; the checkpoint was computed in {checkpoint_dtype}, so results differ slightly"
    return line


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether SIGINT or SIGTERM was received.

    The first signal raises no exception, so that no weight update is interrupted; the second one
    acts as usual.
    """
    stop = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stop
        stop = True
        restore()

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, handle)
    try:
        yield lambda: stop
    finally:
        restore()
