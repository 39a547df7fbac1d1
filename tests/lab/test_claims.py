"""The verdict follows from figures and intervals alone; the page holds everything and escapes."""

import re

import numpy as np
import pytest
import torch

from undiffuse.evaluation.statistics import Figure
from undiffuse.lab.claims import (
    Check,
    Exhibit,
    Finding,
    above,
    inside,
    row_of,
    share_figure,
    verdict,
)
from undiffuse.lab.html_report import page
from undiffuse.lab.svg import curves, dots, panels
from undiffuse.lab.toy_data import PROMPTS, agreement, fold, make_pictures, spread, unfold


def figure(low: float, high: float, name: str = "it") -> Figure:
    return Figure(name, (low + high) / 2, low, high, 10)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([True, True], "confirmed"),
        ([True, None], "undecided"),
        ([None, False], "refuted"),
        ([True, False], "refuted"),
        ([], "undecided"),
    ],
)
def test_verdicts(outcomes: list[bool | None], expected: str) -> None:
    assert verdict([Check("", outcome) for outcome in outcomes]) == expected


def test_one_figure_above_another_by_its_interval() -> None:
    low, high, between = figure(0.1, 0.2), figure(0.3, 0.4), figure(0.15, 0.35)
    assert above(high, low).holds is True
    assert above(low, high).holds is False
    assert above(between, low).holds is None
    assert above(low, 0.0).holds is True
    assert above(figure(0.0, 0.0), 0.0).holds is None
    assert above(figure(np.nan, np.nan), low).holds is None


def test_a_figure_in_a_band_by_its_interval() -> None:
    assert inside(figure(0.1, 0.2), 0.0, 0.2).holds is True
    assert inside(figure(0.1, 0.3), 0.0, 0.2).holds is None
    assert inside(figure(0.3, 0.4), 0.0, 0.2).holds is False


def test_no_hit_at_all_is_not_certainty() -> None:
    none = share_figure("none", np.zeros(40), np.repeat(np.arange(20), 2))
    assert (none.value, none.low, none.high) == (0.0, 0.0, 3 / 20)
    every = share_figure("every", np.ones(40), np.repeat(np.arange(20), 2))
    assert (every.value, every.low, every.high) == (1.0, 1 - 3 / 20, 1.0)


def test_the_page_escapes_and_asks_for_nothing() -> None:
    nasty = "<b>&\"'</script>"
    drawing = curves({nasty: [(1.0, figure(0, 1)), (2.0, figure(0, 1))]}, nasty, nasty)
    plane = panels({nasty: [dots(np.zeros((2, 2)))]})
    row = (nasty, row_of(torch.zeros(2, 3, 4, 4)))
    shown = [Exhibit(nasty, nasty, [row]), Exhibit(nasty, nasty, svg=drawing + plane)]
    finding = Finding(
        "key", nasty, nasty, nasty, [figure(0, 1, nasty)], [Check(nasty, True)], shown, nasty
    )
    html = page([finding], {nasty: nasty})
    assert "<b>" not in html
    assert "</script" not in html
    assert "confirmed" in html
    assert not re.search(r"https?:|//|url\(|@import|<script|<link", _without_data(html))
    assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", html))


def _without_data(html: str) -> str:
    return re.sub(r'"data:image/png;base64,[^"]*"', '""', html)


def test_real_pictures_are_what_their_prompts_ask_for() -> None:
    pictures = make_pictures(64, seed=3)
    assert agreement(pictures.pixels, pictures.which).mean() == 1.0
    assert agreement(pictures.pixels, (pictures.which + 1) % len(PROMPTS)).mean() == 0.0
    assert torch.equal(unfold(fold(pictures.pixels)), pictures.pixels)
    assert torch.equal(make_pictures(64, seed=3).pixels, pictures.pixels)


def test_noise_agrees_with_nothing() -> None:
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert agreement(noise, np.zeros(4, np.int64)).sum() == 0


def test_spread_is_the_variance_within_a_prompt() -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = 0.5 * torch.randn(400, 3, 8, 8, generator=draw)
    which = np.repeat([0, 1], 200)
    pixels[200:] += 5.0
    np.testing.assert_allclose(spread(pixels, which), 0.25, rtol=0.03)
