"""Progress of long work with the time left: a bar on a terminal, elsewhere a line a minute."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

import click

Row = TypeVar("Row")
REDRAW_SECONDS, LINE_SECONDS = 0.2, 60.0
QUIET_SECONDS = 10.0  # work that is done sooner says nothing where stderr is no terminal
BAR = "{percentage:3.0f}%|{bar:12}| {desc}"


class Display:
    """One line of status on stderr. `show` replaces it on a terminal, and elsewhere prints it if a
    minute has passed since the last time; `quiet` shows nothing.
    """

    def __init__(
        self, clock: Callable[[], float] | None = None, terminal: bool | None = None,
        quiet: bool = False,
    ) -> None:  # fmt: skip
        self.clock = clock or time.monotonic
        self.terminal = sys.stderr.isatty() if terminal is None else terminal
        self.quiet = quiet
        self.shown = -float("inf")
        self.bar: Any = None

    def show(self, text: str, share: float | None = None, now: bool = False) -> None:
        """`share`: of the work that is done, for the bar. `now`: print even if it is early."""
        every = REDRAW_SECONDS if self.terminal else LINE_SECONDS
        if self.quiet or (self.clock() - self.shown < every and not now):
            return
        self.shown = self.clock()
        if self.terminal:
            self._draw(text, share)
        else:
            click.echo(text, err=True)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.clear()
        click.echo(line, err=True)
        if self.bar is not None:
            self.bar.refresh()

    def clear(self) -> None:
        """Remove the bar, if there is one; `show` draws it again."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _draw(self, text: str, share: float | None) -> None:
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(
                total=1.0, bar_format=BAR, leave=False, file=sys.stderr, dynamic_ncols=True
            )
        self.bar.bar_format = "{desc}" if share is None else BAR
        self.bar.n = min(1.0, share or 0.0)
        self.bar.set_description_str(text)


class Progress:
    """Counts what is done of `total` and shows it with the time left. A context manager.

    `what`: the work, "drawing"; `unit`: what is counted, in the plural; `done`: before the start.
    """

    def __init__(
        self, total: int, unit: str, what: str, done: int = 0, display: Display | None = None
    ) -> None:
        self.total, self.unit, self.what, self.done = total, unit, what, done
        self.display = display or Display()
        self.started, self.before = self.display.clock(), done
        self.said = False

    def update(self, count: int = 1, note: str = "") -> None:
        """Count `count` more as done."""
        self.done += count
        share = min(1.0, self.done / max(self.total, 1))
        self.show(f"{self.done:,} of {self.total:,} {self.unit}", share, note)

    def show(self, counted: str, share: float, note: str = "") -> None:
        """Show the text and the time left, from the share of the work that is done."""
        if not self.display.terminal and self.seconds < QUIET_SECONDS:
            return
        self.said = True
        left = self.left(share)
        parts = (counted, note, "" if left is None else f"{format_duration(left)} left")
        self.display.show(f"{self.what}: {', '.join(filter(None, parts))}", share)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self.display.clock() - self.started

    def left(self, share: float) -> float | None:
        """Seconds until the end, if the rest is as fast; None before anything is done."""
        first = self.before / max(self.total, 1)
        if share <= first:
            return None
        return self.seconds / (share - first) * (1.0 - share)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.display.clear()
        if self.said and error is None and not self.display.terminal:
            done = f"{self.done - self.before:,} {self.unit}" if self.done else "done"
            line = f"{self.what}: {done} in {format_duration(self.seconds)}"
            self.display.show(line, now=True)


class Follower:
    """Shows work that reports what it does and the share of it that is done."""

    def __init__(self, display: Display | None = None) -> None:
        self.display = display or Display()
        self.progress: Progress | None = None

    def __call__(self, what: str, share: float) -> None:
        if self.progress is None or self.progress.what != what:
            self.display.clear()
            self.progress = Progress(1, "", what, display=self.display)
        self.progress.show(f"{share:.0%}", share)


def track(rows: Iterable[Row], total: int, unit: str, what: str) -> Iterator[Row]:
    """The rows, each counted as done when the next one is asked for."""
    with Progress(total, unit, what) as progress:
        for row in rows:
            yield row
            progress.update()


def format_duration(seconds: float) -> str:
    """45 -> "45 s", 1500 -> "25 min", 12000 -> "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
