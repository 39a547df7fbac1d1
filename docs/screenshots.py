"""Draws the screenshots of docs/how-to/studio.md in headless Chromium.

python docs/screenshots.py

A studio with the shipped model and an empty folder. The map takes a minute: CLIP reads its words.
"""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import undiffuse
from undiffuse.studio.server import background_studio

OUT = Path(__file__).with_name("images")
DESKTOP, TALL, PHONE = (1200, 800), (1200, 1100), (390, 844)
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
COLORS = 256
TIMEOUT_MS = 300_000
# Pictures for the map.
PROMPTS = ("cat face", "dog face", "red apple", "sunflower", "top hat", "house", "car", "heart",
           "guitar", "octopus", "man", "crown", "tree", "moon", "ice cream", "book")  # fmt: skip


def finish(page: Page) -> None:
    """Wait until nothing is drawn."""
    page.wait_for_selector("#actions:not([hidden])")
    page.wait_for_selector("#stop", state="hidden")


def draw(page: Page) -> None:
    """The seventh of twenty steps of the film's loop."""
    finish(page)
    page.locator("#scrub").fill("7")


def steer(page: Page) -> None:
    finish(page)
    page.click("#steer summary")


def open_stop(page: Page, name: str) -> None:
    """Open a stop of the tour, and wait until it is computed."""
    page.click("[data-view=understand]")
    page.click(f"#stop-{name}")
    page.wait_for_selector("#tour-stage[aria-busy=false]")


def tour(page: Page) -> None:
    open_stop(page, "steering")
    page.locator("#tour-stage .scrub").fill("8")


def side_by_side(page: Page) -> None:
    open_stop(page, "pair")
    page.locator("#tour-stage .scrub").fill("10")


def plane(page: Page) -> None:
    """The map, with pictures of the gallery on it."""
    for prompt in PROMPTS:
        page.fill("#prompt", prompt)
        page.press("#prompt", "Enter")
        page.wait_for_selector("#stop:not([hidden])")
        finish(page)
    page.fill("#prompt", "cat + hat")
    open_stop(page, "map")


# File, what follows "#" in the address, size of the window, and what is done on the page.
Shot = tuple[str, str, tuple[int, int], Callable[[Page], None]]
SHOTS: tuple[Shot, ...] = (
    ("studio-draw", "prompt=a+red+apple&sampler=blend&seed=3", DESKTOP, draw),
    ("studio-steer", "prompt=cat+%2B+hat&seed=7", TALL, steer),
    ("studio-tour", "prompt=cat+face", DESKTOP, tour),
    ("studio-side-by-side", "prompt=cat+face", DESKTOP, side_by_side),
    ("studio-map", "", TALL, plane),
    ("studio-phone", "prompt=a+red+apple&sampler=blend&seed=3", PHONE, draw),
)  # fmt: skip


def take(browser: Browser, address: str, shot: Shot) -> None:
    """Write one screenshot."""
    name, settings, (width, height), act = shot
    phone = width == PHONE[0]
    page = browser.new_page(viewport={"width": width, "height": height}, is_mobile=phone,
                            has_touch=phone)  # fmt: skip
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{address}#{settings}")
    page.wait_for_selector("html[data-ready]")
    act(page)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").quantize(COLORS).save(OUT / f"{name}.png", optimize=True)
    page.close()


def main() -> None:
    with (
        TemporaryDirectory() as folder,
        background_studio(undiffuse.load(), Path(folder)) as (port, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for shot in SHOTS:
            take(browser, f"http://127.0.0.1:{port}/", shot)
            print(shot[0])
        browser.close()


if __name__ == "__main__":
    main()
