"""The page in Chromium: pictures to draw like or to begin with, and masks over them."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import Open, Studio
from tests.studio.page_actions import (
    PHONE,
    apply_mask,
    begin_with,
    check_masked,
    draw,
    drop,
    holds,
    idle,
    open_mask,
    paint_with_mouse,
    pixels,
    random_picture,
    settings,
    src,
)
from tests.studio.test_draw import image_file

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_picture_is_dropped_to_draw_like_it_or_to_begin_with(open_page: Open) -> None:
    page = open_page()
    draw(page, "cat")
    before = src(page)
    drop(page, image_file())
    page.wait_for_selector(".picture")
    idle(page)
    assert src(page) != before
    [name] = settings(page)["like"]
    page.select_option(".picture select", "init")
    holds(page, "location.hash.includes('init=')")
    idle(page)
    assert settings(page)["init"] == [name]
    slider = page.locator("#setting-strength")
    slider.focus()
    page.keyboard.press("Home")
    holds(page, "location.hash.includes('strength=0.05')")
    idle(page)
    page.click(".picture button >> nth=0")
    page.wait_for_selector(".picture", state="detached")
    holds(page, "!location.hash.includes('init=')")
    idle(page)
    assert src(page) == before


def test_a_file_that_is_no_picture_is_refused(open_page: Open) -> None:
    page = open_page()
    drop(page, b"no picture")
    page.wait_for_selector("#error:not([hidden])")
    assert page.locator(".picture").count() == 0


def test_a_mask_is_painted_with_the_mouse_and_the_rest_stays(open_page: Open) -> None:
    page = open_page()
    data, picture = random_picture()
    begin_with(page, data)
    open_mask(page)
    page.click("#mask-apply")
    assert page.is_visible("#mask-error")  # nothing is painted
    page.click("#mask-cancel")
    paint_with_mouse(page, open_mask(page))
    apply_mask(page)
    check_masked(pixels(page), picture)


def paint_with_finger(page: Any, places: list[tuple[float, float]]) -> None:
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        found = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": found})

    touch("touchStart", places[0])
    for place in places[1:]:
        touch("touchMove", place)
    touch("touchEnd")


def test_a_mask_is_painted_with_a_finger_on_a_phone(open_page: Open) -> None:
    page = open_page(**PHONE)
    data, picture = random_picture()
    begin_with(page, data)
    places = open_mask(page)
    assert page.evaluate("document.getElementById('mask-dialog').scrollWidth") <= 390
    kinds = "window.kinds = new Set(); document.getElementById('mask-canvas').addEventListener"
    page.evaluate(f"{kinds}('pointermove', (event) => window.kinds.add(event.pointerType))")
    top = page.evaluate("scrollY")
    # A stroke down would move the page if the canvas left touches to the browser.
    [(x, y), *_] = places
    paint_with_finger(page, [(x, y + 10 * k) for k in range(8)])
    assert page.evaluate("[...window.kinds]") == ["touch"]
    assert page.evaluate("scrollY") == top
    page.tap("#mask-clear")  # at once: the stroke must not count as a fling, which a tap stops
    paint_with_finger(page, places)
    apply_mask(page)
    check_masked(pixels(page), picture)


def test_a_mask_is_painted_with_the_keyboard_and_inverted(open_page: Open, studio: Studio) -> None:
    page = open_page()
    begin_with(page, image_file())
    page.focus("#paint-mask")
    page.keyboard.press("Enter")
    page.wait_for_selector("#mask-dialog[open]")
    assert page.evaluate("document.activeElement.id") == "mask-canvas"
    page.keyboard.press("Space")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    assert page.inner_text("#status") == "Brush at 69% across, 50% down"
    page.click("#mask-invert")
    page.click("#mask-apply")
    holds(page, "location.hash.includes('mask=')")
    idle(page)
    [name] = settings(page)["mask"]
    mask = np.asarray(Image.open(studio.folder / name).convert("L"))
    assert mask[256, 256] == mask[256, 350] == 0
    assert mask[20, 20] == mask[256, 140] == 255


def test_a_drawing_is_taken_to_begin_with(open_page: Open) -> None:
    page = open_page()
    draw(page, "cat")
    page.click("#begin-with")
    page.wait_for_selector("#paint-mask")
    assert page.input_value(".picture select") == "init"
