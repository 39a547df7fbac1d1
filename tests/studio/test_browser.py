"""The page in Chromium: drawing, scrubbing, links, errors, the gallery, and use without a mouse."""

from pathlib import Path

import pytest

from tests.studio.conftest import TOKEN, Open, Studio, running, violations
from tests.studio.page_actions import DONE, draw, settings, src

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = "steps=1000&count=4"


def test_a_prompt_is_drawn_and_its_steps_can_be_seen_again(open_page: Open, studio: Studio) -> None:
    page = open_page(f"{studio.url}#sampler=blend")
    assert page.evaluate("document.activeElement.id") == "prompt"
    draw(page)
    assert page.inner_text("#shares") == "100% picture + 0% noise"
    assert page.inner_text("#step") == "Step 20 of 20"
    last = src(page)
    page.focus("#scrub")
    for _ in range(13):
        page.keyboard.press("ArrowLeft")
    assert page.inner_text("#shares") == "35% picture + 65% noise"
    assert page.get_attribute("#scrub", "aria-valuetext") == (
        "step 7 of 20, 35% picture, 65% noise"
    )
    assert src(page) != last
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#step") == "Step 8 of 20"
    assert "Noisy picture of a red apple after step 8" in page.get_attribute("#x-t", "alt")


def test_variations_are_four_and_can_be_chosen(open_page: Open) -> None:
    page = open_page()
    draw(page)
    page.click("#variations")
    page.wait_for_selector("#stop:not([hidden])")
    page.wait_for_selector(DONE)
    assert page.locator("#choices label").count() == 4
    assert settings(page)["index"] == ["1"]
    first = src(page)
    page.check("#choices input >> nth=2", force=True)
    assert src(page) != first


def test_a_drawing_is_stopped_by_escape_and_by_the_button(open_page: Open, studio: Studio) -> None:
    page = open_page(f"{studio.url}#prompt=cat&{LONG}")
    for stop in (lambda: page.keyboard.press("Escape"), lambda: page.click("#stop")):
        page.wait_for_selector("#stop:not([hidden])")
        stop()
        page.wait_for_selector("#draw:not([hidden])")
        assert page.inner_text("#status") == "Stopped."
        assert page.is_hidden("#error")
        page.press("#prompt", "Enter")
    page.keyboard.press("Escape")


def test_a_link_draws_the_same_picture(open_page: Open) -> None:
    page = open_page()
    page.select_option("#setting-style", label="noto")
    page.fill("#setting-seed", "42")
    draw(page, "cat & dog")
    link = page.evaluate("location.href")
    other = open_page(link)
    other.wait_for_selector(DONE)
    assert src(other) == src(page)
    assert other.input_value("#prompt") == "cat & dog"
    assert other.input_value("#setting-seed") == "42"


def test_a_broken_link_is_harmless(open_page: Open, studio: Studio) -> None:
    page = open_page(f"{studio.url}#steps=1e9&style=%3Cb%3E&sampler=x&seed=-1&like=../x&init=/etc")
    assert page.input_value("#setting-steps") == "20"
    draw(page)
    assert page.is_hidden("#error")


def test_an_error_is_a_line_and_goes_away(open_page: Open) -> None:
    page = open_page()
    page.fill("#prompt", '"open')
    page.press("#prompt", "Enter")
    page.wait_for_selector("#error:not([hidden])")
    assert "unclosed quote" in page.inner_text("#error")
    draw(page)
    assert page.is_hidden("#error")


def test_text_of_the_user_is_never_run(open_page: Open) -> None:
    page = open_page()
    text = "<img src=x onerror='window.hacked=1'>"
    draw(page, text)
    page.click("[data-view=gallery]")
    page.wait_for_selector(f"#cards button:has-text({text!r})")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img[src=x]").count() == 0


def test_sliders_answer_while_they_move_and_settle(open_page: Open) -> None:
    page = open_page()
    draw(page)
    before = src(page)
    slider = page.locator("#setting-guidance")
    slider.evaluate("e => { e.value = 8; e.dispatchEvent(new Event('input')); }")
    page.wait_for_selector("#step:text-is('Step 4 of 4')")
    page.wait_for_selector("#stop", state="hidden")
    slider.evaluate("e => e.dispatchEvent(new Event('change'))")
    page.wait_for_selector("#step:text-is('Step 20 of 20')")
    page.wait_for_selector(DONE)
    assert src(page) != before
    assert settings(page)["guidance"] == ["8"]


def test_fresh_noise_is_there_for_samplers_that_have_it(open_page: Open) -> None:
    page = open_page()
    assert page.is_hidden("#setting-freshness")
    page.select_option("#setting-sampler", label="DDIM")
    assert page.is_visible("#setting-freshness")
    assert page.input_value("#setting-freshness") == "0"


def test_two_tabs_draw_at_once(open_page: Open) -> None:
    one, two = open_page(), open_page()
    for page, prompt in ((one, "cat"), (two, "dog")):
        page.fill("#prompt", prompt)
        page.press("#prompt", "Enter")
    for page in (one, two):
        page.wait_for_selector(DONE)
    assert src(one) != src(two)


def test_a_server_that_starts_again_is_found_again(
    open_page: Open, model_folder: Path, tmp_path: Path
) -> None:
    with running(model_folder, tmp_path / "a") as first:
        page = open_page(f"{first.url}#prompt=cat&{LONG}")
        page.wait_for_selector("#progress:not([hidden])")
    page.wait_for_selector("#error:not([hidden])")
    page.wait_for_selector("#draw:not([hidden])")
    page.check("#count-1", force=True)
    page.fill("#prompt", "cat")
    with running(model_folder, tmp_path / "a", port=first.port):
        page.evaluate("location.hash = '#prompt=dog'")
        page.wait_for_selector(DONE)
        assert page.is_hidden("#error")


def test_a_phone_shows_everything_without_scrolling_sideways(open_page: Open) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    draw(page)
    page.tap("#variations")
    page.wait_for_selector("#stop:not([hidden])")
    page.wait_for_selector(DONE)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= 360
    page.tap("[data-view=gallery]")
    page.tap("#cards button >> nth=0")
    page.wait_for_selector("#detail[open]")
    assert page.evaluate(width) <= 360
    assert page.evaluate("document.getElementById('detail').scrollWidth") <= 360


def test_the_keyboard_alone_is_enough(open_page: Open) -> None:
    page = open_page()

    def tab_to(name: str) -> None:
        for _ in range(30):
            if page.evaluate("document.activeElement.id || document.activeElement.value") == name:
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {name}")

    page.keyboard.type("cat")
    page.keyboard.press("Enter")
    page.wait_for_selector(DONE)
    tab_to("scrub")
    page.keyboard.press("Home")
    assert page.inner_text("#step") == "Step 1 of 20"
    tab_to("variations")
    page.keyboard.press("Enter")
    page.wait_for_selector("#choices:not([hidden])")
    page.wait_for_selector(DONE)
    page.focus("#scrub")
    page.keyboard.press("Tab")  # to the chosen picture
    page.keyboard.press("ArrowRight")
    assert page.is_checked("#choices input >> nth=1")
    page.focus("#setting-steps")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#step:text-is('Step 19 of 19')")


def test_the_gallery_finds_replays_opens_and_deletes(open_page: Open, studio: Studio) -> None:
    page = open_page()
    draw(page, "a lonely house")
    drawn = page.get_attribute("#png", "href")
    assert page.get_attribute("#png", "download") == "a-lonely-house.png"
    page.click("[data-view=gallery]")
    page.fill("#search", "house")
    page.press("#search", "Enter")
    page.wait_for_selector("#cards[aria-busy=false] button")
    page.click("#cards button:has-text('a lonely house')")
    page.wait_for_selector("#detail[open]")
    assert page.get_attribute("#detail-png", "href") == drawn
    with page.expect_download() as download:
        page.click("#detail-gif")
    assert Path(download.value.path()).read_bytes().startswith(b"GIF89a")
    page.click("#detail-replay")
    page.wait_for_selector("text=The same, pixel for pixel.")
    page.click("#detail-open")
    assert page.input_value("#prompt") == "a lonely house"
    page.wait_for_selector(DONE)
    assert page.get_attribute("#png", "href") == drawn  # the same file again
    page.click("[data-view=gallery]")
    page.click("#cards button:has-text('a lonely house')")
    page.click("#detail-delete")
    assert page.is_visible("#detail")
    page.click("#detail-delete")
    page.wait_for_selector("#detail", state="hidden")
    assert not (studio.folder / str(drawn).rpartition("/")[2]).exists()


def test_the_command_line_is_copied(open_page: Open, studio: Studio) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    draw(page, "cat")
    page.click("#copy-command")
    page.wait_for_selector("#copy-command:has-text('Copied.')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("undiffuse draw --steps 20 ")
    page.click("#copy-link")
    page.wait_for_selector("#copy-link:has-text('Copied.')")
    assert page.evaluate("navigator.clipboard.readText()") == f"{studio.url}/#prompt=cat"


def test_notes_are_shown(open_page: Open) -> None:
    page = open_page()
    draw(page, "")
    assert page.inner_text("#notes") == "the prompt is empty: the picture is random"


def test_a_token_is_asked_for_or_taken_from_the_link(
    open_page: Open, model_folder: Path, tmp_path: Path
) -> None:
    with running(model_folder, tmp_path, TOKEN) as locked:
        page = open_page(locked.url, "#token-dialog[open]")
        page.fill("#token", "wrong")
        page.press("#token", "Enter")
        page.wait_for_selector("#token-error:not([hidden])")
        page.fill("#token", TOKEN)
        page.press("#token", "Enter")
        page.wait_for_selector("html[data-ready]")
        draw(page)
        other = open_page(f"{locked.url}#token={TOKEN.replace(' ', '+')}")
        assert TOKEN.split()[-1] not in other.evaluate("location.href")
        draw(other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: Open, studio: Studio, scheme: str) -> None:
    # axe is put into the page as a script, which the page's own policy forbids.
    page = open_page(color_scheme=scheme, bypass_csp=True)
    assert violations(page) == []
    page.check("#count-4", force=True)
    draw(page)
    assert violations(page) == []
    page.click("[data-view=gallery]")
    page.wait_for_selector("#cards button")
    assert violations(page) == []
    page.click("#cards button >> nth=0")
    page.wait_for_selector("#detail[open]")
    assert violations(page) == []
    other = open_page(f"{studio.url}/api", "#operations details", color_scheme=scheme,
                      bypass_csp=True)  # fmt: skip
    for summary in other.locator("summary").all():
        summary.click()
    assert violations(other) == []
