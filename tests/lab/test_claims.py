"""Verdicts follow from metrics and their intervals; the report is self-contained and escaped."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch

from undiffuse.evaluation.statistics import Metric
from undiffuse.lab.charts import image_strip, line_chart, plane_plots
from undiffuse.lab.claims import Check, ClaimResult, ReportFigure, share_metric, verdict
from undiffuse.lab.runner import render_html
from undiffuse.lab.toy_data import (
    PROMPTS,
    class_variance,
    is_correct,
    make_pictures,
    patchify,
    unpatchify,
)

pytestmark = pytest.mark.slow


def metric(low: float, high: float, name: str = "name") -> Metric:
    return Metric(name, (low + high) / 2, low, high, 10)


def test_a_verdict_follows_from_the_checks() -> None:
    for outcomes, expected in (
        ([True, True], "confirmed"),
        ([True, None], "undecided"),
        ([None, False], "refuted"),
        ([True, False], "refuted"),
        ([], "undecided"),
    ):
        assert verdict([Check("", outcome) for outcome in outcomes]) == expected


def test_a_metric_is_above_another_by_its_interval() -> None:
    low, high, between = metric(0.1, 0.2), metric(0.3, 0.4), metric(0.15, 0.35)
    assert Check.above(high, low).holds is True
    assert Check.above(low, high).holds is False
    assert Check.above(between, low).holds is None
    assert Check.above(low, 0.0).holds is True
    assert Check.above(metric(0.0, 0.0), 0.0).holds is None
    assert Check.above(metric(np.nan, np.nan), low).holds is None


def test_a_metric_is_inside_a_range_by_its_interval() -> None:
    assert Check.inside(metric(0.1, 0.2), 0.0, 0.2).holds is True
    assert Check.inside(metric(0.1, 0.3), 0.0, 0.2).holds is None
    assert Check.inside(metric(0.3, 0.4), 0.0, 0.2).holds is False


def test_a_share_of_0_or_1_has_an_interval() -> None:
    none = share_metric("none", np.zeros(40), np.repeat(np.arange(20), 2))
    assert (none.value, none.low, none.high) == (0.0, 0.0, 3 / 20)
    every = share_metric("every", np.ones(40), np.repeat(np.arange(20), 2))
    assert (every.value, every.low, every.high) == (1.0, 1 - 3 / 20, 1.0)


def test_the_report_is_escaped_and_loads_nothing() -> None:
    nasty = "<b>&\"'</script>"
    row = (nasty, image_strip(torch.zeros(2, 3, 4, 4)))
    images = [ReportFigure(nasty, nasty, [row]), ReportFigure(nasty, nasty, svg=b"<svg/>")]
    result = ClaimResult(
        "key", nasty, nasty, nasty, [metric(0, 1, nasty)], [Check(nasty, True)], images, nasty
    )
    html = render_html([result], {nasty: nasty})
    assert "<b>" not in html
    assert "</script" not in html
    assert "confirmed" in html
    without_data = re.sub(r'"data:image/[a-z+]*;base64,[^"]*"', '""', html)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link", without_data)
    assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", html))


def test_charts_are_reproducible_and_show_their_labels() -> None:
    lines = {"one": [(1.0, metric(0, 1)), (2.0, metric(0, 2))], "<b>": [(1.0, metric(0, np.nan))]}
    charts = [line_chart(lines, "steps", "share", log=True) for _ in range(2)]
    planes = [plane_plots({"title": lambda axes: axes.plot([0, 1], [0, 1])}) for _ in range(2)]
    for drawn, labels in ((charts, ("one", "&lt;b&gt;", "steps", "share")), (planes, ("title",))):
        assert all(one == other for one, other in pairwise(drawn))
        for label in labels:
            assert f">{label}<" in drawn[0].decode()


def test_real_pictures_are_correct_for_their_prompts() -> None:
    pictures = make_pictures(64, seed=3)
    assert is_correct(pictures.pixels, pictures.which).mean() == 1.0
    assert is_correct(pictures.pixels, (pictures.which + 1) % len(PROMPTS)).mean() == 0.0
    assert torch.equal(unpatchify(patchify(pictures.pixels)), pictures.pixels)
    assert torch.equal(make_pictures(64, seed=3).pixels, pictures.pixels)


def test_noise_is_correct_for_no_prompt() -> None:
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert is_correct(noise, np.zeros(4, np.int64)).sum() == 0


def test_class_variance_is_the_variance_within_a_class() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = 0.5 * torch.randn(400, 3, 8, 8, generator=generator)
    which = np.repeat([0, 1], 200)
    pixels[200:] += 5.0
    np.testing.assert_allclose(class_variance(pixels, which), 0.25, rtol=0.03)
