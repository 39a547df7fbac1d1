"""The page in Chromium: directions, sums of words and pictures, and what lies between two."""

import pytest

from tests.studio.conftest import Open
from tests.studio.page_actions import draw, drop, holds, idle
from tests.studio.test_draw import image_file

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_directions_and_chips_change_the_sum(open_page: Open) -> None:
    page = open_page()
    draw(page, "man - beard")
    page.click("#steer summary")
    assert page.locator(".chip").count() == 2
    assert page.input_value("#direction-1") == "-1"  # beard
    page.focus("#direction-0")
    page.keyboard.press("ArrowRight")
    holds(page, "document.querySelector('#prompt').value === 'man - beard + 0.1*hat'")
    page.click("[aria-label='More hat']")
    assert page.input_value("#prompt") == "man - beard + 0.3*hat"
    page.focus("[aria-label='Remove beard']")
    page.keyboard.press("Delete")
    page.click("#palette button:text-is('crown')")
    page.fill("#direction", "made of wood")
    page.press("#direction", "Enter")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#prompt") == "man + 0.3*hat + crown + 0.1*made of wood"
    idle(page)
    holds(page, "decodeURIComponent(location.hash).includes('made+of+wood')")
    page.reload()
    page.wait_for_selector(".chip", state="attached")
    page.click("#steer summary")
    assert page.locator("#directions label:text-is('made of wood')").count() == 1


def test_words_and_pictures_are_dragged_into_the_sum(open_page: Open) -> None:
    page = open_page()
    page.fill("#prompt", "man")
    page.click("#steer summary")
    page.drag_and_drop("#palette button:text-is('hat')", "#chips")
    assert page.input_value("#prompt") == "man + hat"
    page.drag_and_drop(".chip >> nth=1", ".chip >> nth=0")
    assert page.input_value("#prompt") == "hat + man"
    drop(page, image_file(), "#chips")
    page.wait_for_selector(".chip img")
    assert page.input_value("#prompt").startswith("hat + man + uploads/")
    idle(page)
    assert page.is_hidden("#error")


def test_a_picture_between_two(open_page: Open) -> None:
    page = open_page()
    page.click("#steer summary")
    page.fill("#between-one", "cat")
    page.fill("#between-other", "dog")
    page.press("#between-other", "Enter")
    holds(page, "document.querySelector('#prompt').value.includes('dog')")
    idle(page)
    weights = page.evaluate("document.querySelector('#prompt').value.match(/[\\d.]+/g).map(Number)")
    assert weights[0] == pytest.approx(weights[1], abs=1e-4)


SUMS = [
    "man",
    "man + 0.8 hat - beard",
    "- a + 2*b c",
    '"x + y" - .5*z',
    "2 hearts",
    "t-shirt + 1+1",
]


def test_sums_are_read_as_the_server_reads_them(open_page: Open) -> None:
    from undiffuse.explore.expression import parse_expression

    page = open_page()
    read = "async (s) => (await import('./sums.js')).parseSum(s)"
    again = (
        "async (s) => { const m = await import('./sums.js'); return m.formatSum(m.parseSum(s)) }"
    )
    for text in SUMS:
        expected = [(term.weight, term.text) for term in parse_expression(text)]
        found = [(one["weight"], one["text"].replace('"', "")) for one in page.evaluate(read, text)]
        assert found == expected
        assert parse_expression(page.evaluate(again, text)) == parse_expression(text)
