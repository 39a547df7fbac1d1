"""The page in Chromium: the stops of the tour, and all panels on a phone and with axe."""

import numpy as np
import pytest

from tests.studio.conftest import Open, violations
from tests.studio.page_actions import begin_with, holds, open_mask, open_stop
from tests.studio.test_draw import image_file

pytestmark = [pytest.mark.browser, pytest.mark.slow]
STOPS = ["noise", "old", "fresh", "steering", "clip", "sums", "spiral", "pair", "map"]


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
    page.click("#steer summary")
    begin_with(page, image_file(), "man + hat")
    assert violations(page) == []
    open_mask(page)
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.click("[data-view=understand]")
    for name in STOPS if scheme == "light" else ["clip", "pair", "spiral"]:
        page.wait_for_selector(f"#stop-{name}")
        open_stop(page, name)
        assert violations(page) == [], name
