"""Time to start: whole processes, the median of several runs, and an empty Python for comparison.

python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 9
CODES = {
    "python, nothing": "",
    "import undiffuse": "import undiffuse",
    "undiffuse --help": "import sys; sys.argv = ['undiffuse', '--help'];"
    "from undiffuse.cli.main import main; main()",
    "undiffuse, an apple": "import sys; sys.argv = ['undiffuse', 'a red apple'];"
    "from undiffuse.cli.main import main; main()",
}


def seconds(code: str) -> float:
    """Wall time of a fresh interpreter that runs the code."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=folder)
        return time.perf_counter() - start


if __name__ == "__main__":
    for name, code in CODES.items():
        times = [seconds(code) for _ in range(RUNS)]
        print(f"{name:20} {statistics.median(times):.3f} s (of {RUNS}: {min(times):.3f} at best)")
