"""The machine that figures were taken on, and how long a picture takes from a cold start."""

import os
import platform
import statistics as stats
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from undiffuse.errors import UserError
from undiffuse.evaluation.statistics import Figure
from undiffuse.runtime.machine import processor, versions

PROMPT = "a red apple"
PROGRAM = (sys.executable, "-c", "from undiffuse.cli.main import main; main()")


def machine() -> dict[str, Any]:
    """What a time depends on: processor, cores that this process may use, system, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "cores": cores or 1,
        "system": platform.system(),
        "python": platform.python_version(),
        **versions(),
    }


def seconds(command: Sequence[str], runs: int = 5) -> list[float]:
    """The wall time of each of `runs` whole processes. UserError when one fails."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        times.append(time.perf_counter() - start)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"{' '.join(command[-4:])} failed: {last}")
    return times


def latency_figure(options: Sequence[str] = (), runs: int = 5) -> Figure:
    """`undiffuse "a red apple"`, whole process, default settings: the median of `runs`.

    Cold is the process, not the disk's cache. The interval is the fastest and the slowest run.
    `options`: passed on, such as --model.
    """
    with tempfile.TemporaryDirectory() as folder:  # a free name is found there each time
        times = seconds((*PROGRAM, "draw", PROMPT, *options, "-o", folder), runs)
    where = machine()
    return Figure(
        "one picture, whole process", stats.median(times), min(times), max(times), runs,
        at_most=1.0, unit="seconds", note=f"{where['processor']}, {where['cores']} cores",
    )  # fmt: skip
