"""The machine that figures were taken on, and how long a picture takes from a cold start."""

import os
import platform
import statistics as stats
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from undiffuse.errors import UserError
from undiffuse.evaluation.statistics import Figure

PROMPT = "a red apple"
PROGRAM = (sys.executable, "-c", "from undiffuse.cli.main import main; main()")


def processor() -> str:
    """The processor's model, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def machine() -> dict[str, str | int]:
    """What a time depends on: processor, cores this process may use, system, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {}
    for package in ("undiffuse", "numpy", "onnxruntime", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "processor": processor(),
        "cores": cores or 1,
        "system": platform.system(),
        "python": platform.python_version(),
        **versions,
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
    with tempfile.TemporaryDirectory() as folder:
        target = ("-o", str(Path(folder) / "apple.png"))
        times = seconds((*PROGRAM, "draw", PROMPT, *options, *target), runs)
    where = machine()
    return Figure(
        "one picture, whole process", stats.median(times), min(times), max(times), runs,
        at_most=1.0, unit="seconds", note=f"{where['processor']}, {where['cores']} cores",
    )  # fmt: skip
