"""The page in Chromium: pictures and masks, sums and directions, and the stops of the tour."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import Open, Studio, violations, wait_until
from tests.studio.test_browser import DONE, draw, settings, src
from tests.studio.test_draw import image_file

pytestmark = [pytest.mark.browser, pytest.mark.slow]
STOPS = ["noise", "old", "fresh", "steering", "clip", "sums", "spiral", "pair", "map"]
DROP = """([data, target]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
  document.querySelector(target).dispatchEvent(
    new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def drop(page: Any, data: bytes, target: str = "body") -> None:
    page.evaluate(DROP, [base64.b64encode(data).decode(), target])


def holds(page: Any, expression: str) -> None:
    """Wait for an expression; the page's policy forbids Playwright's own way, which is eval."""
    wait_until(lambda: page.evaluate(expression))


def idle(page: Any) -> None:
    page.wait_for_selector(DONE)
    page.wait_for_selector("#stop", state="hidden")


def begin_with_red(open_page: Open) -> Any:
    page = open_page()
    page.fill("#prompt", "cat")
    drop(page, image_file())
    page.wait_for_selector(".picture")
    idle(page)
    page.select_option(".picture select", "init")
    page.wait_for_selector("#paint-mask")
    idle(page)
    return page


def pixels(page: Any) -> Any:
    data = page.evaluate("fetch(document.querySelector('#png').href).then(r => r.arrayBuffer())"
                         ".then(b => btoa(String.fromCharCode(...new Uint8Array(b))))")  # fmt: skip
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


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
    page = begin_with_red(open_page)
    page.click("#paint-mask")
    page.wait_for_selector("#mask-dialog[open]")
    page.click("#mask-apply")
    assert page.is_visible("#mask-error")  # nothing is painted
    box = page.locator("#mask-canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.2)
    page.mouse.up()
    page.click("#mask-apply")
    holds(page, "location.hash.includes('mask=')")
    idle(page)
    drawn = pixels(page)
    assert (drawn[128:] == [255, 0, 0]).all()
    assert (drawn[40:60, 50:100] != [255, 0, 0]).any()


def test_a_mask_is_painted_with_the_keyboard_and_inverted(open_page: Open, studio: Studio) -> None:
    page = begin_with_red(open_page)
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


def open_stop(page: Any, name: str) -> None:
    page.click(f"#stop-{name}")
    page.wait_for_selector("#tour-stage [data-done], #tour-stage[aria-busy=false]")
    page.wait_for_selector("#tour-stop", state="hidden")


def test_every_stop_of_the_tour_is_computed_for_the_prompt(open_page: Open) -> None:
    page = open_page()
    page.fill("#prompt", "red cat")
    page.click("[data-view=understand]")
    page.wait_for_selector("#stop-noise[aria-current]")
    assert page.input_value("#tour-prompt") == "red cat"
    page.wait_for_selector("#tour-stop", state="hidden")
    assert page.inner_text("#tour-stage output") == "0% picture + 100% noise"
    runs = {"old": 2, "fresh": 2, "steering": 3, "pair": 2}
    for name, count in runs.items():
        open_stop(page, name)
        assert page.locator(".run").count() == count
        finals = [one.get_attribute("src") for one in page.locator("[data-kind=x_t]").all()]
        assert len(set(finals)) == count, name
        page.locator("#tour-stage .scrub").fill("1")
        early = [one.get_attribute("src") for one in page.locator("[data-kind=x_t]").all()]
        assert not set(early) & set(finals)
    open_stop(page, "clip")
    holds(page, "document.querySelectorAll('.cosine.best').length >= 5")
    open_stop(page, "sums")
    page.wait_for_selector(".nearest li >> nth=9")
    assert "red cat with hat − red cat" in page.inner_text("#tour-stage")
    open_stop(page, "map")
    page.wait_for_selector(".map .prompt-point")
    page.fill("#tour-prompt", "man + hat")
    page.press("#tour-prompt", "Enter")
    page.wait_for_selector(".map .arrow")
    assert page.is_hidden("#error")


def test_the_spiral_ends_on_the_data(open_page: Open) -> None:
    page = open_page()
    page.click("[data-view=understand]")
    page.click("#stop-spiral")
    page.wait_for_selector(".spiral")
    farthest = page.evaluate("""async () => {
      const { DATA, blend, denoise, normals } = await import("./spiral.js");
      const normal = normals(3);
      let points = Array.from({ length: 50 }, () => [normal(), normal()]);
      for (let k = 0; k < 40; k += 1) {
        points = points.map((point) => blend(point, 1 - k / 40, 1 - (k + 1) / 40));
      }
      return Math.max(...points.map(([x, y]) =>
        Math.min(...DATA.map(([a, b]) => Math.hypot(x - a, y - b)))));
    }""")
    assert farthest < 0.1


def test_the_spirals_denoiser_is_the_posterior_mean(open_page: Open) -> None:
    page = open_page()
    data = np.array([[0.3, -0.2], [1.1, 0.4], [-0.5, 0.9]])
    point, t = np.array([0.2, 0.1]), 0.6
    density = np.exp(-((point - (1 - t) * data) ** 2).sum(1) / (2 * t**2))
    expected = (density[:, None] * data).sum(0) / density.sum()
    found = page.evaluate(
        "async (a) => (await import('./spiral.js')).denoise(...a)",
        [point.tolist(), t, data.tolist()],
    )
    assert np.allclose(found, expected, atol=1e-12)


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


def test_a_phone_shows_steering_and_the_tour(open_page: Open) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    width = "document.documentElement.scrollWidth"
    page.fill("#prompt", "man + hat")
    page.tap("#steer summary")
    brand, first = (page.locator(one).bounding_box() for one in (".brand img", "[data-view=draw]"))
    assert brand["x"] + brand["width"] <= first["x"]
    assert page.locator(".brand span").bounding_box()["width"] <= 1
    assert page.evaluate(width) <= 360
    page.tap("[data-view=understand]")
    for name in ("steering", "clip", "spiral"):
        open_stop(page, name)
        assert page.evaluate(width) <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_panels(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme, bypass_csp=True)
    page.fill("#prompt", "man + hat")
    page.click("#steer summary")
    drop(page, image_file())
    page.wait_for_selector(".picture")
    page.select_option(".picture select", "init")
    idle(page)
    assert violations(page) == []
    page.click("#paint-mask")
    page.wait_for_selector("#mask-dialog[open]")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.click("[data-view=understand]")
    for name in STOPS if scheme == "light" else ["clip", "pair", "spiral"]:
        page.wait_for_selector(f"#stop-{name}")
        open_stop(page, name)
        assert violations(page) == [], name
