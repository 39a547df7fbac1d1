"""What a stage measures as it trains: metrics.jsonl, sample sheets, and TensorBoard's event files.

Each line of metrics.jsonl is a JSON object with "step" and "seconds" of training. Lines of steps
have the means since the line before: "losses", "grad_norm", "learning_rate", "pictures_per_second"
and, where it is known, "peak_share". Lines of validations have "figures".
"""

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.png import encode_png
from undiffuse.training.loop import Run, StepRecord
from undiffuse.training.validation import Validation

METRICS, SAMPLES = "metrics.jsonl", "samples"
LINE_SECONDS = 1.0  # from one line of steps to the next: 3 MB in 4 hours
MAX_SHEETS = 16  # sample sheets that are kept
EVENTS = "events.out.tfevents."  # how TensorBoard's files begin
TENSORBOARD_MISSING = "--tensorboard needs tensorboard: pip install 'undiffuse[tensorboard]'"


class MetricsLog:
    """The metrics of one stage. A resumed run continues them after its checkpoint's step.

    `tensorboard`: also write event files to the run's folder. UserError if that is not installed,
    or a file can't be written.
    """

    def __init__(
        self,
        run: Run,
        tensorboard: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run, self.clock = run, clock
        self.path = run.folder / METRICS
        run.folder.mkdir(parents=True, exist_ok=True)
        drop_after(run.folder, run.step)
        self.board: Any = None
        if tensorboard:
            writer = require_tensorboard()
            self.board = writer(str(run.folder), purge_step=run.step + 1, max_queue=1000)
        self.waiting: list[StepRecord] = []
        self.written = clock()

    def add_step(self, record: StepRecord, peak_share: float | None = None) -> None:
        """Take in a step; writes a line if a second has passed since the last one."""
        self.waiting.append(record)
        if record.step == self.run.steps or self.clock() - self.written >= LINE_SECONDS:
            self.flush(peak_share)

    def flush(self, peak_share: float | None = None) -> None:
        """Write the means of the steps that wait."""
        good = [record for record in self.waiting if not record.skipped]
        skipped = len(self.waiting) - len(good)
        if self.waiting:
            line: dict[str, Any] = {"step": self.waiting[-1].step}
            if good:
                names = good[0].losses
                line["losses"] = {n: _mean([r.losses[n] for r in good]) for n in names}
                line["grad_norm"] = _mean([r.grad_norm for r in good])
                line["learning_rate"] = self.run.learning_rate * good[-1].lr_factor
                line["pictures_per_second"] = _mean([r.pictures_per_second for r in good])
            if peak_share is not None:
                line["peak_share"] = peak_share
            if skipped:
                line["skipped"] = skipped
            self._write(line)
        self.waiting, self.written = [], self.clock()

    def add_validation(self, step: int, found: Validation) -> None:
        """Write the figures, and the sample sheet to samples/step-N.png."""
        self.flush()
        if found.figures:
            self._write({"step": step, "figures": found.figures})
        if found.sheet is not None:
            folder = self.run.folder / SAMPLES
            folder.mkdir(exist_ok=True)
            write_atomic(folder / f"step-{step:08d}.png", encode_png(found.sheet))
            thin_out(folder)
            if self.board:
                self.board.add_image("samples", found.sheet, step, dataformats="HWC")
        if self.board:
            self.board.flush()

    def close(self) -> None:
        """Write what waits, and end TensorBoard's file."""
        self.flush()
        if self.board:
            self.board.close()

    def _write(self, line: dict[str, Any]) -> None:
        line = {**line, "seconds": round(self.run.seconds, 3)}
        data = (json.dumps(line) + "\n").encode()
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                size = os.fstat(file).st_size
                if os.write(file, data) < len(data):  # the disk is full: remove the half line
                    os.ftruncate(file, size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(file)
        except OSError as error:
            raise UserError(f"{self.path} can't be written: {error.strerror}; run the same command "
                            "again to continue from the last checkpoint") from error  # fmt: skip
        if self.board:
            for name, value in _scalars(line):
                self.board.add_scalar(name, value, line["step"])


def _scalars(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in line.items():
        if isinstance(value, dict):
            kind = "validation" if name == "figures" else "train"
            yield from ((f"{kind}/{key}", number) for key, number in value.items())
        elif name not in ("step", "seconds"):
            yield f"train/{name}", value


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a stage's metrics.jsonl, in order of steps. Broken lines are left out."""
    try:
        text = (folder / METRICS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and isinstance(found.get("step"), int):
                lines.append(found)
    return lines


def drop_after(folder: Path, step: int) -> None:
    """Remove the metrics and sample sheets of later steps, which a resumed run takes again."""
    path = folder / METRICS
    if path.exists():
        kept = [line for line in read_metrics(folder) if line["step"] <= step]
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
    for sheet, number in sheets(folder):
        if number > step:
            sheet.unlink(missing_ok=True)


def sheets(folder: Path) -> list[tuple[Path, int]]:
    """The sample sheets of a stage and their steps, in order."""
    found = [
        (path, int(path.stem[5:]))
        for path in (folder / SAMPLES).glob("step-*.png")
        if path.stem[5:].isdecimal()
    ]
    return sorted(found, key=lambda pair: pair[1])


def thin_out(folder: Path) -> None:
    """Delete sheets while there are too many: the one whose neighbors are nearest to each other."""
    while len(found := sheets(folder.parent)) > MAX_SHEETS:
        gaps = [later[1] - before[1] for before, later in zip(found, found[2:], strict=False)]
        found[1 + gaps.index(min(gaps))][0].unlink(missing_ok=True)


def require_tensorboard() -> Any:
    """TensorBoard's SummaryWriter. UserError if the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(TENSORBOARD_MISSING) from error
    return SummaryWriter


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
