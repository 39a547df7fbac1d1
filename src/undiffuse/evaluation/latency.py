"""The machine that metrics were measured on, and the time from a cold start to a picture."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from undiffuse.errors import UserError
from undiffuse.evaluation.statistics import Metric
from undiffuse.runtime.machine import processor, versions

PROMPT = "a red apple"
PROGRAM = (sys.executable, "-c", "from undiffuse.cli.main import main; main()")


def machine_info() -> dict[str, Any]:
    """What a time depends on: processor, available cores, system, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "cores": cores or 1,
        "system": platform.system(),
        "python": platform.python_version(),
        **versions(),
    }


def time_command(command: Sequence[str], runs: int = 5) -> list[float]:
    """The wall time of each of `runs` processes, in seconds. Raises UserError if one fails."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        times.append(time.perf_counter() - start)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"{' '.join(command[-4:])} failed: {reason}")
    return times


def measure_latency(options: Sequence[str] = (), runs: int = 5) -> Metric:
    """The median time of `undiffuse "a red apple"` as a whole process, with default settings.

    The process is cold, the disk's cache is not. The interval is the fastest and the slowest run.
    `options`: more options of the command, such as --model.
    """
    with tempfile.TemporaryDirectory() as folder:  # each run writes a new file there
        times = time_command((*PROGRAM, "draw", PROMPT, *options, "-o", folder), runs)
    info = machine_info()
    return Metric(
        "one picture, whole process", median(times), min(times), max(times), runs,
        at_most=1.0, unit="seconds", note=f"{info['processor']}, {info['cores']} cores",
    )  # fmt: skip
