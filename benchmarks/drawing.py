"""Times of drawing: whole processes, pictures of a loaded model, and bulk; medians of several runs.

python benchmarks/drawing.py
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import undiffuse

CALL = "from undiffuse.cli.main import main; main()"
PROCESSES = {
    "python, nothing": "",
    "import undiffuse": "import undiffuse",
    "undiffuse --help": f"import sys; sys.argv = ['undiffuse', '--help']; {CALL}",
    "one picture": f"import sys; sys.argv = ['undiffuse', 'a red apple']; {CALL}",
    "one picture, --no-fast":
        f"import sys; sys.argv = ['undiffuse', 'a red apple', '--no-fast']; {CALL}",
}  # fmt: skip
WARM = {"warm": {}, "warm, 4 candidates": {"candidates": 4}, "warm, full": {"fast": False}}
BULK = {"bulk": [], "bulk, --no-fast": ["--no-fast"]}
PICTURES = 100  # in bulk


def process(code: str) -> float:
    """Wall time of a fresh interpreter that runs the code, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=folder)
        return time.perf_counter() - start


def bulk(arguments: list[str]) -> float:
    """Wall time of a process that draws `PICTURES` prompts into shards."""
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder, "prompts.txt")
        prompts.write_text("".join(f"a red apple {number}\n" for number in range(PICTURES)))
        words = ["undiffuse", "draw", "--prompts", str(prompts), "-o", f"{folder}/out",
                 "--workers", "0", *arguments]  # fmt: skip
        return process(f"import sys; sys.argv = {words!r}; {CALL}")


def report(name: str, measure: Callable[[], float], runs: int) -> float:
    """Print and return the median of several runs."""
    times = [measure() for _ in range(runs)]
    median = statistics.median(times)
    print(f"{name:24} {median:.3f} s (of {runs}: {min(times):.3f} at best)", flush=True)
    return median


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    for name, code in PROCESSES.items():
        report(name, lambda code=code: process(code), runs)
    model = undiffuse.load()
    for name, options in WARM.items():

        def draw(options: dict = options) -> float:
            start = time.perf_counter()
            model.generate("a red apple", **options)
            return time.perf_counter() - start

        draw()
        report(name, draw, runs)
    for name, arguments in BULK.items():
        seconds = report(name, lambda arguments=arguments: bulk(arguments), 3)
        print(f"{'':24} {PICTURES / seconds:.1f} pictures a second, with the start of the process")


if __name__ == "__main__":
    main()
