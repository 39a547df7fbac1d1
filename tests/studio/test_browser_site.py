"""The exported site in Chromium: it draws what Python draws, and the tour needs no server."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CLIP, LATENT, write_part
from tests.studio.conftest import Open, violations
from tests.studio.page_actions import (
    apply_mask,
    begin_with,
    check_masked,
    draw,
    drop,
    holds,
    idle,
    open_mask,
    open_stop,
    paint_with_mouse,
    pixels,
    random_picture,
    src,
)
from tests.studio.static_site import DRAW, exported, largest_difference, served
from tests.studio.test_draw import image_file
from undiffuse.config import CodecConfig
from undiffuse.pipeline import load
from undiffuse.runtime.weights import read_weights

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# As config.large_codec: RGBA at 256 pixels, encoded from 128.
LARGE = CodecConfig(
    widths=(8, 16, 16), flat=0.0, image_size=256, image_channels=4, patch=4, input_size=128,
    decoder_widths=(8, 8, 16, 16, 16),
)  # fmt: skip
# Every sampler, and every way to steer that needs no upload.
RUNS: list[dict[str, Any]] = [
    {"prompt": "a red apple", "seed": 3},
    {"prompt": "cat", "steps": 5, "sampler": "blend", "count": 2, "seed": 2**40, "index": 7},
    {"prompt": "cat", "steps": 5, "sampler": "blend", "freshness": 0.3, "guidance": 1},
    {"prompt": "man + 0.8*hat - beard", "steps": 4, "sampler": "ddim", "freshness": 0.5},
    {"prompt": "dog", "negative": "red", "style": "noto", "steps": 5, "sampler": "ddpm"},
    {"prompt": "", "negative": "cat", "steps": 4, "sampler": "euler"},
    {"prompt": "cat in noto style", "style_strength": 3, "steps": 4, "sampler": "heun"},
    {"prompt": "", "steps": 4, "sampler": "previous"},
]


@pytest.fixture(scope="module")
def site(
    model_folder: Path,
    packages: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tiny")
    with exported(model_folder, packages, folder) as found, served(found) as address:
        yield address


def test_every_step_is_that_of_python(open_page: Open, site: str, model_folder: Path) -> None:
    page = open_page(site, strict=True)
    model = load(model_folder)
    for run, found in zip(RUNS, page.evaluate(DRAW, RUNS), strict=True):
        assert largest_difference(model, run, found) < 1e-3, run


def test_the_shipped_model_draws_what_python_draws(
    open_page: Open,
    packages: Path,
    tmp_path: Path,
) -> None:
    runs = [RUNS[0], {"prompt": "ein roter Apfel", "steps": 6}]  # read with the lexicon
    with exported(None, packages, tmp_path) as folder, served(folder) as address:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert size < 60e6
        page = open_page(address, strict=True)
        model = load()
        for run, found in zip(runs, page.evaluate(DRAW, runs), strict=True):
            assert largest_difference(model, run, found) < 1e-3, run
        page.close()


def test_a_model_of_another_size_with_alpha_and_text_tokens(
    open_page: Open,
    model_folder: Path,
    packages: Path,
    tmp_path: Path,
) -> None:
    from undiffuse.training.onnx_export import export_onnx

    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    write_part(model, "codec", LARGE)
    clip = read_weights(model / "clip.safetensors", "clip").hash
    codec = read_weights(model / "codec.safetensors", "codec").encoder
    denoiser = replace(
        LATENT, text_tokens=3, text_channels=CLIP.text_width, text_depth=1, schedule="cosine"
    )
    write_part(model, "denoiser", denoiser, clip=clip, codec=codec, styles=["ink"], style="ink")
    export_onnx(model, model)
    runs = [{"prompt": "a red apple", "steps": 4}, {"prompt": "cat + 0.5*dog", "steps": 3}]
    with exported(model, packages, tmp_path) as folder, served(folder) as address:
        page = open_page(f"{address}#prompt=cat&steps=3", strict=True)
        idle(page)
        assert page.evaluate("document.querySelector('#x0').naturalWidth") == LARGE.image_size
        loaded = load(model)
        for run, found in zip(runs, page.evaluate(DRAW, runs), strict=True):
            assert largest_difference(loaded, run, found) < 1e-3, run
        page.close()


def test_it_draws_like_a_picture_and_begins_with_one(open_page: Open, site: str) -> None:
    page = open_page(f"{site}#seed=4", strict=True)
    draw(page, "cat")
    before = src(page)
    assert page.inner_text("#step") == "Step 20 of 20"
    assert page.is_hidden("#api-link")
    assert page.is_hidden("#gif")
    assert page.get_attribute("#png", "href").startswith("blob:")
    drop(page, image_file())
    page.wait_for_selector(".picture")
    idle(page)
    assert src(page) != before
    page.select_option(".picture select", "init")
    holds(page, "location.hash.includes('init=')")
    idle(page)
    page.click("[data-view=gallery]")
    page.wait_for_selector("#cards li >> nth=2")
    page.fill("#search", "cat")
    page.press("#search", "Enter")
    page.wait_for_selector("#cards[aria-busy=false]")
    page.click("#cards button >> nth=0")
    page.click("#detail-replay")
    holds(page, "document.querySelector('#detail-status').textContent.startsWith('The same')")
    assert page.is_hidden("#error")


def test_a_mask_is_painted_and_the_rest_stays(open_page: Open, site: str) -> None:
    page = open_page(site, strict=True)
    data, picture = random_picture()
    begin_with(page, data)
    paint_with_mouse(page, open_mask(page))
    apply_mask(page)
    check_masked(pixels(page), picture)
    assert page.is_hidden("#error")


def test_axe_finds_nothing_serious(open_page: Open, site: str) -> None:
    # In light colors: the dark ones are those of the server's page, where both are checked.
    page = open_page(f"{site}#steps=4", color_scheme="light", bypass_csp=True)
    page.click("#steer summary")
    begin_with(page, random_picture()[0], "man + hat")
    assert violations(page) == []
    open_mask(page)
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.click("[data-view=gallery]")
    page.click("#cards button >> nth=0")
    page.wait_for_selector("#detail[open]")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.click("[data-view=understand]")
    for name in ("noise", "clip", "map"):
        page.wait_for_selector(f"#stop-{name}")
        open_stop(page, name)
        assert violations(page) == [], name


def test_every_stop_of_the_tour_works_without_a_server(open_page: Open, site: str) -> None:
    page = open_page(site, strict=True)
    page.fill("#prompt", "red cat")
    page.click("[data-view=understand]")
    page.wait_for_selector("#stop-noise[aria-current]")
    page.wait_for_selector("#tour-stop", state="hidden")
    assert page.inner_text("#tour-stage output") == "0% picture + 100% noise"
    for name, count in {"old": 2, "fresh": 2, "steering": 3, "pair": 2}.items():
        open_stop(page, name)
        finals = [one.get_attribute("src") for one in page.locator("[data-kind=x_t]").all()]
        assert len(set(finals)) == count, name
    open_stop(page, "clip")
    holds(page, "document.querySelectorAll('.cosine.best').length >= 5")
    open_stop(page, "sums")
    page.wait_for_selector(".nearest li >> nth=9")
    page.click("#stop-spiral")
    page.wait_for_selector(".spiral")
    open_stop(page, "map")
    page.wait_for_selector(".map .prompt-point")
    page.fill("#tour-prompt", "man + hat")
    page.press("#tour-prompt", "Enter")
    page.wait_for_selector(".map .arrow")
    assert page.is_hidden("#error")


def test_a_sum_between_two_and_an_error_are_the_servers(open_page: Open, site: str) -> None:
    page = open_page(site, strict=True)
    page.click("#steer summary")
    page.fill("#between-one", "cat")
    page.fill("#between-other", "dog")
    page.press("#between-other", "Enter")
    holds(page, "document.querySelector('#prompt').value.includes('dog')")
    idle(page)
    page.fill("#prompt", "cat - cat")
    page.press("#prompt", "Enter")
    holds(page, "document.querySelector('#error').textContent.includes('no direction')")
