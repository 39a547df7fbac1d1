"""A model with a fast denoiser in the studio."""

import base64
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, write_fast
from tests.studio.conftest import Open, Studio, running
from tests.studio.page_actions import holds, idle
from tests.studio.static_site import DRAW, exported, largest_difference, served
from undiffuse import load
from undiffuse.studio.settings import parse_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fast(tmp_path_factory.mktemp("model") / "fast", model_folder)


@pytest.fixture(scope="module")
def studio(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The studio of `open_page`, in this file."""
    with running(folder, tmp_path_factory.mktemp("fast")) as studio:
        yield studio


def steps_of(events: list[dict[str, Any]]) -> int:
    return next(event["of"] for event in events if event["type"] == "step")


def test_it_draws_unless_settings_of_sampling_are_given(studio: Studio) -> None:
    assert studio.get("/api/model").json()["fast"] is True
    assert steps_of(studio.draw(prompt="cat")) == 3
    assert steps_of(studio.draw(prompt="cat", fast=False)) == 20
    assert steps_of(studio.draw(prompt="cat", guidance=2.0)) == 20
    reply = studio.post("/api/draw", {"prompt": "cat", "fast": True, "steps": 4})
    assert reply.status == 400
    assert "fast and steps exclude each other" in str(reply.json())


def test_what_was_drawn_is_drawn_again(
    studio: Studio, folder: Path, run: Run, tmp_path: Path
) -> None:
    for given in ({}, {"fast": False}, {"candidates": 2}):
        picture = studio.draw(prompt="cat", **given)[-2]
        assert picture["settings"].get("fast", False) is ("fast" not in given)
        again = studio.draw(**picture["settings"])[-2]
        assert again["png"] == picture["png"]
        words = shlex.split(picture["command"])
        assert run(*words[1:], "-o", "x.png", "--overwrite", model=None)[0] == 0
        name, line = picture["file"], picture["python"].replace("picture.png", "y.png")
        assert (tmp_path / "x.png").read_bytes() == base64.b64decode(
            picture["png"].partition(",")[2]
        )
        exec(line, {})
        assert (tmp_path / "y.png").read_bytes() == (tmp_path / "x.png").read_bytes()
        stem = name.removesuffix(".png")
        assert studio.call("POST", f"/api/pictures/{stem}/replay").events()[-2]["same"] is True


@pytest.mark.browser
def test_the_page_shows_the_settings_that_the_denoiser_takes(open_page: Open) -> None:
    page = open_page()
    page.fill("#prompt", "cat")
    page.press("#prompt", "Enter")
    holds(page, "location.hash.includes('cat')")
    idle(page)
    hidden = (
        "[...document.querySelectorAll('.row:has(#setting-steps), .row:has(#setting-sampler),"
        " .row:has(#setting-guidance)')].every((row) => row.hidden)"
    )
    holds(page, hidden)
    page.fill("#setting-negative", "a dog")
    page.press("#setting-negative", "Enter")
    holds(page, f"!({hidden})")
    idle(page)
    page.fill("#setting-negative", "")
    page.press("#setting-negative", "Enter")
    holds(page, hidden)
    idle(page)
    page.select_option("#setting-fast", label="Full: many steps, guided")
    holds(page, f"!({hidden}) && location.hash.includes('fast=false')")
    idle(page)
    page.select_option("#setting-candidates", label="2")
    holds(page, "location.hash.includes('candidates=2')")
    idle(page)
    page.select_option("#setting-fast", label="Fast: 4 steps")
    holds(page, f"{hidden} && !location.hash.includes('fast')")
    idle(page)


@pytest.mark.browser
def test_the_site_draws_what_python_draws(
    open_page: Open, folder: Path, packages: Path, tmp_path: Path
) -> None:
    model = load(folder)
    runs: list[dict[str, Any]] = [
        {"prompt": "a cat", "seed": 3},
        {"prompt": "two dogs", "style": "noto", "fast": True},
        {"prompt": "a cat", "fast": False, "steps": 5, "sampler": "blend"},
        {"prompt": "a cat", "negative": "a dog", "steps": 5, "sampler": "euler"},
    ]
    with exported(folder, packages, tmp_path) as site, served(site) as address:
        page = open_page(address, strict=True)
        for run, found in zip(runs, page.evaluate(DRAW, runs), strict=True):
            assert largest_difference(model, run, found) < 1e-3, run
            settings = parse_settings(run, model)
            wanted = model.generate(settings.prompt, seed=settings.seed, **settings.options())[0]
            assert found["records"][0].get("fast") == wanted.record.get("fast")
            assert found["records"][0]["model"] == wanted.record["model"]
        page.close()
