from collections.abc import Sequence
from functools import cache

import pytest

from tests.evaluation.fakes import (
    ConstantEncoder,
    KnowingEncoder,
    RealPainter,
    blank,
    blurred,
    sample,
)
from undiffuse.errors import UserError
from undiffuse.evaluation.dataset import Material
from undiffuse.evaluation.judge import Judge
from undiffuse.evaluation.model_metrics import (
    Work,
    codec_figure,
    copy_sheet,
    draw_all,
    model_figures,
)
from undiffuse.evaluation.protocols import Painter, Pictures
from undiffuse.evaluation.statistics import Figure


@cache
def knowing() -> Judge:
    return Judge(KnowingEncoder(sample()), sample())


def examine(painter: Painter, judge: Judge | None = None) -> tuple[Work, dict[str, Figure]]:
    judge = judge or knowing()
    work = draw_all(judge, painter, count=10)
    return work, {figure.name: figure for figure in model_figures(judge, work)}


@pytest.fixture(scope="module")
def perfect() -> dict[str, Figure]:
    return examine(RealPainter(sample()))[1]


def test_the_true_pictures_are_as_good_as_real(perfect: dict[str, Figure]) -> None:
    for name in (
        "R-precision@1",
        "R-precision@5",
        "R-precision@5, as a share of real",
        "held-out cells@5, family right, as a share of real",
        "sharpness of edges, as a share of real",
        "variance of the Laplacian, as a share of real",
        "white ground within 4/255 of white",
    ):
        assert perfect[name].value == pytest.approx(1.0), name
        assert perfect[name].passed is not False, name
    assert perfect["R-precision@5"].count == 10
    for name in ("held-out cells@5, family right", "family right, held-out cells"):
        assert perfect[name].value == perfect[name].real
    assert perfect["family right by the judge's vectors, held-out cells"].value == 1.0
    assert perfect["KID"].value == perfect["KID"].real


def test_every_figure_of_the_issue_is_there_with_its_bound(perfect: dict[str, Figure]) -> None:
    bounds = {
        name: (figure.at_least, figure.at_most)
        for name, figure in perfect.items()
        if figure.passed is not None
    }
    assert bounds == {
        "R-precision@5, as a share of real": (0.85, None),
        "R-precision@5, real held-out pictures": (0.70, None),
        "held-out cells@5, family right, as a share of real": (0.60, None),
        "asked colour, known pairs": (0.80, None),
        "asked colour, pairs in no caption": (0.60, None),
        "sharpness of edges, as a share of real": (0.75, 1.25),
        "variance of the Laplacian, as a share of real": (0.75, 1.25),
        "white ground within 4/255 of white": (0.95, None),
    }


def test_blank_pictures_reach_nothing() -> None:
    _, figures = examine(lambda prompts, styles, seed: blank(len(prompts), 128))
    reached = [name for name, figure in figures.items() if figure.passed]
    assert reached == ["R-precision@5, real held-out pictures"]  # that is the judge's own
    assert figures["asked colour, known pairs, hue alone"].value == 0.0


def test_a_judge_that_says_one_thing_of_all_grants_nothing() -> None:
    _, figures = examine(RealPainter(sample()), Judge(ConstantEncoder(), sample()))
    assert figures["R-precision@5"].value == 0.0
    assert figures["R-precision@5, as a share of real"].passed is False


def test_blurred_pictures_lose_their_sharpness_alone() -> None:
    real = RealPainter(sample())
    _, figures = examine(lambda *asked: blurred(real(*asked), 2))
    assert figures["sharpness of edges, as a share of real"].value < 0.75
    assert figures["variance of the Laplacian, as a share of real"].value < 0.5


def test_what_the_codec_leaves() -> None:
    work, _ = examine(RealPainter(sample()))
    assert codec_figure(work, lambda pictures: pictures, 0).value == pytest.approx(1.0)
    assert codec_figure(work, lambda pictures: blurred(pictures, 2), 0).value < 0.75


def test_each_round_of_colours_has_its_own_seed() -> None:
    calls: list[tuple[int, str]] = []

    def painter(prompts: Sequence[str], styles: Sequence[str], seed: int) -> Pictures:
        calls.append((seed, styles[0]))
        return blank(len(prompts))

    work = draw_all(knowing(), painter, count=10, seed=7)
    assert [seed for seed, _ in calls] == [7, 7, 7, 8, 9, 10]
    assert work.coloured is not None
    assert len(work.coloured.pictures) == 4 * len(work.pairs)
    assert calls[0][1] == ""
    assert calls[1][1] == work.families[0]


def test_copies_are_found_among_names_and_shown() -> None:
    material = sample()
    trained = material.plain_rows("train")
    by_name = dict(zip(material.field(trained, "name"), trained, strict=True))
    real = RealPainter(material)

    def copier(prompts: Sequence[str], styles: Sequence[str], seed: int) -> Pictures:
        if any(styles):
            return real(prompts, styles, seed)
        rows = [by_name.get(prompt, trained[0]) for prompt in prompts]
        return material.pictures.pictures[rows]

    work, figures = examine(copier)
    assert figures["copies, names"].value == 1.0
    assert figures["copies, held-out cells"].value < 0.3
    assert copy_sheet(knowing(), work).shape[2] == 3


def test_a_set_without_held_out_cells_is_refused() -> None:
    rows = sample().plain_rows("train")
    only = Material(sample().pictures.subset(rows))
    with pytest.raises(UserError, match="no held-out cell"):
        draw_all(Judge(KnowingEncoder(only), only), RealPainter(only))


def test_the_cells_are_fixed_and_one_for_each_name() -> None:
    cells = sample().cells(10)
    assert (cells == sample().cells(100)[:10]).all()
    names = sample().field(cells, "name")
    assert len(set(names)) == 10
    assert {r["split"] for r in (sample().pictures.records[row] for row in cells)} == {
        "held-out cell"
    }
