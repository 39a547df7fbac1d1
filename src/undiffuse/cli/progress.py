"""A training run on the terminal: its progress, what is wrong with it, and how it is stopped."""

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

Look = Callable[["Run"], str]


def follow(
    run: "Run",
    look: Look,
    look_minutes: float = 5.0,
    chance: Mapping[str, float] | None = None,
    flops: float = 0.0,
) -> None:
    """Run to the end: progress on stderr, and every few minutes what `look` says of the model.

    `chance`: see `Watch`; `flops`: of a picture's forward pass, to show the share of the machine's
    peak. Ctrl-C saves after the step and raises KeyboardInterrupt.
    """
    from tqdm import tqdm

    from undiffuse.training.diagnostics import Watch
    from undiffuse.training.loop import train
    from undiffuse.training.throughput import matrix_peak, share_of_peak

    def say(line: str) -> None:
        tqdm.write(line, file=sys.stderr)

    resumed = run.resume()
    say(f"{'resumed at' if resumed else 'from'} step {run.step} of {run.steps}")
    peak = matrix_peak() if flops else 0.0
    watch = Watch(chance)
    looked = time.monotonic()
    speeds: deque[float] = deque(maxlen=51)
    bar = tqdm(total=run.steps, initial=run.step, unit="step", smoothing=0.02, mininterval=2.0)
    with bar, stop_asked() as asked:
        for record in train(run):
            for line in watch.read(record):
                say(line)
            shown = " ".join(f"{name} {value:.3f}" for name, value in watch.means.items())
            speeds.append(record.speed)
            if peak:
                share = share_of_peak(flops, median(speeds), peak)
                shown += f" | {share:.0%} of {peak / 1e9:.0f} GFLOP/s"
            bar.set_postfix_str(f"{shown} grad {record.gradient:.2f} {record.speed:.0f}/s")
            bar.update()
            if asked():
                run.save()
                say(f"saved after step {run.step}: the same command goes on from there")
                raise KeyboardInterrupt
            if record.step == run.steps or time.monotonic() - looked > 60.0 * look_minutes:
                if peak:  # once more: the machine may have been busy at the start
                    peak = max(peak, matrix_peak())
                line = f"step {record.step} {run.seconds / 3600:.2f} h: {shown} | {look(run)}"
                say(line)
                with (run.folder / "log.txt").open("a") as log:
                    log.write(line + "\n")
                looked = time.monotonic()


@contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, or the process asked to end, instead of an exception: an update
    that is cut in two would spoil the weights. A second time stops at once.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        restore()
