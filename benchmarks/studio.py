"""The studio in headless Chromium: first paint, first step after Enter, steps a second.

python benchmarks/studio.py --repeats 7 [--model FOLDER]

A server of its own, warm after one drawing. Printed: medians and the slowest of the repeats.
  first paint   from the start of the navigation, by the browser's own clock
  first step    from the key Enter to the frame that shows the first step's picture
  steps         of a drawing of 20 steps, from the first to the last that is shown
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Page, sync_playwright

from undiffuse.runtime.machine import processor

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
# Notes when the picture of each step is on the screen.
WATCH = """() => {
  window.shown = [];
  const image = document.getElementById("x-t");
  image.addEventListener("load", () => requestAnimationFrame(() =>
    window.shown.push(performance.now())));
  document.getElementById("prompt-form").addEventListener("submit", () => {
    window.entered = performance.now();
    window.shown = [];
  }, true);
}"""


@contextmanager
def serving(words: Sequence[str]) -> Iterator[str]:
    """Start a server; yields the address that its first line names."""
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True,
                               env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip
    try:
        assert process.stdout is not None
        found = re.search(r"http://[^\s)]+", process.stdout.readline())
        assert found, f"no server was started by {words}"
        yield found[0]
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def studio(model: str | None = None) -> Iterator[str]:
    """The address of a studio in a folder of its own."""
    with TemporaryDirectory() as folder:
        words = ["-c", "from undiffuse.cli.main import main; main()", "studio", "--no-open"]
        words += ["--port", "0", "--folder", folder, *(["--model", model] if model else [])]
        with serving(words) as address:
            yield address


def draw(page: Page, seed: int) -> tuple[float, float]:
    """Seconds to the first step, and steps a second, of one drawing."""
    page.fill("#setting-seed", str(seed))
    page.fill("#prompt", "a red apple")
    page.press("#prompt", "Enter")
    page.wait_for_selector("#stop:not([hidden])")
    page.wait_for_selector("#stop", state="hidden", timeout=120_000)
    page.wait_for_timeout(100)
    entered, shown = page.evaluate("[window.entered, window.shown]")
    speed = (len(shown) - 1) / (shown[-1] - shown[0]) * 1000
    return (shown[0] - entered) / 1000, speed


def first_paint(page: Page, address: str) -> float:
    """Seconds to the first contentful paint, with an empty cache."""
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_timeout(200)
    entries: Any = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)"
    )
    return float(entries[0]) / 1000


def machine() -> str:
    return f"{processor()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--model")
    options = parser.parse_args()
    with studio(options.model) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        paints = []
        for _ in range(options.repeats):
            context = chromium.new_context()
            page = context.new_page()
            paints.append(first_paint(page, address))
            context.close()
        page = chromium.new_page()
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        page.evaluate(WATCH)
        draw(page, 0)
        firsts, speeds = zip(
            *(draw(page, seed + 1) for seed in range(options.repeats)), strict=True
        )
        chromium.close()
    print(f"first paint  {statistics.median(paints):.3f} s, slowest {max(paints):.3f} s")
    print(f"first step   {statistics.median(firsts):.3f} s, slowest {max(firsts):.3f} s")
    print(f"steps        {statistics.median(speeds):.1f} a second, slowest {min(speeds):.1f}")
    print(machine())


if __name__ == "__main__":
    main()
