"""The exported site in headless Chromium: from the start of loading to the finished picture.

python benchmarks/studio_site.py --repeats 5 [--model FOLDER] [--packages FOLDER]

Exports the site, serves it with `python -m http.server`, and opens a link that draws 20 steps.
  cold   the first load of a new profile: nothing is cached
  warm   the second load of the same profile, in a new tab
Times are from the start of the navigation, by the browser's own clock. Prints medians and the
slowest of the repeats.
"""

import argparse
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import BrowserContext, Playwright, sync_playwright

from studio import CHROMIUM, FLAGS, machine, serving
from undiffuse.studio.export import export_site

LINK = "#prompt=a+red+apple&seed=7"
TIMEOUT_MS = 120_000
# Notes when the first step and the finished picture are on the screen.
WATCH = """
addEventListener("DOMContentLoaded", () => {
  const note = (name) => requestAnimationFrame(() => { window[name] = performance.now(); });
  document.getElementById("x-t").addEventListener("load", () => note("first"), { once: true });
  const actions = document.getElementById("actions");
  new MutationObserver(() => { if (!actions.hidden) note("finished"); })
    .observe(actions, { attributes: true });
});
"""


@contextmanager
def site(model: Path | None, packages: Path | None) -> Iterator[tuple[str, int]]:
    """The address of an exported site, and its size in bytes."""
    with TemporaryDirectory() as folder:
        size = export_site(Path(folder, "site"), model, packages)
        words = ["-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", f"{folder}/site"]
        with serving(words) as address:
            yield address, size


def load(context: BrowserContext, address: str) -> tuple[float, float]:
    """Seconds to the first step and to the finished picture."""
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address + LINK)
    page.wait_for_selector("#actions:not([hidden])", timeout=TIMEOUT_MS)
    page.wait_for_timeout(200)  # for the frame that shows it
    first, finished = page.evaluate("[window.first / 1000, window.finished / 1000]")
    page.close()
    return first, finished


def profile(playwright: Playwright, address: str) -> list[tuple[float, float]]:
    """A cold load and a warm one."""
    with TemporaryDirectory() as folder:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=FLAGS
        )
        loads = [load(context, address) for _ in range(2)]
        context.close()
    return loads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--packages", type=Path, help="folder with onnxruntime-web's tarball")
    options = parser.parse_args()
    with site(options.model, options.packages) as (address, size), sync_playwright() as playwright:
        repeats = [profile(playwright, address) for _ in range(options.repeats)]
    print(machine())
    print(f"size of the site {size / 1e6:.1f} MB\n")
    print("| load | first step | slowest | finished picture | slowest |\n|---|---|---|---|---|")
    for name, loads in zip(("cold", "warm"), zip(*repeats, strict=True), strict=True):
        cells = [f"{function(times):.2f} s" for times in zip(*loads, strict=True)
                 for function in (statistics.median, max)]  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
