"""One setting at a time: each setting is drawn with, and the table has a row for each."""

from tests.evaluation.fakes import KnowingEncoder, RealPainter, blurred, sample
from undiffuse.config import DrawConfig
from undiffuse.evaluation.judge import Judge
from undiffuse.evaluation.protocols import Painter
from undiffuse.evaluation.sweep import CHANGES, said, sweep_figures, table
from undiffuse.pipeline import checked


def test_each_setting_has_a_row() -> None:
    asked: list[DrawConfig] = []

    def painter_of(config: DrawConfig) -> Painter:
        asked.append(checked(config))
        real = RealPainter(sample())
        if config.guidance == 1.0:
            return lambda prompts, styles, seed: blurred(real(prompts, styles, seed), 3)
        return real

    judge = Judge(KnowingEncoder(sample()), sample())
    figures = list(sweep_figures(judge, painter_of, DrawConfig(), count=8))
    assert len(asked) == len(set(asked)) == len(CHANGES)
    value = {figure.name: figure.value for figure in figures}
    assert value["as it is: names@5"] == 1.0
    assert value["as it is: sharpness, as a share of real"] == 1.0
    assert value["guidance 1.0: names@5"] < 1.0
    assert value["guidance 1.0: sharpness, as a share of real"] < 0.9
    rows = table(figures).splitlines()
    assert rows[0].startswith("| setting | names@1 | names@5 | family right | sharpness")
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:]] == [said(c) for c in CHANGES]
