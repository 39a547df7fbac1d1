"""Sampler settings: each is drawn with, and the table has a row for each."""

import pytest

from tests.evaluation.fakes import KnowingEncoder, RealImageGenerator, blurred, sample
from undiffuse.config import DrawConfig
from undiffuse.evaluation.judge import Judge
from undiffuse.evaluation.protocols import ImageGenerator
from undiffuse.evaluation.sweep import CHANGES, evaluate_settings, setting_label, settings_table
from undiffuse.pipeline import check_config


@pytest.mark.slow
def test_each_setting_has_a_row() -> None:
    asked: list[DrawConfig] = []

    def make_generator(config: DrawConfig) -> ImageGenerator:
        asked.append(check_config(config))
        real = RealImageGenerator(sample())
        if config.guidance == 1.0:
            return lambda prompts, styles, seed: blurred(real(prompts, styles, seed), 3)
        return real

    judge = Judge(KnowingEncoder(sample()), sample())
    figures = list(evaluate_settings(judge, make_generator, DrawConfig(), count=8))
    assert len(asked) == len(set(asked)) == len(CHANGES)
    value = {figure.name: figure.value for figure in figures}
    assert value["default settings: top-5 accuracy"] == 1.0
    assert value["default settings: sharpness, as a share of real"] == 1.0
    assert value["guidance 1.0: top-5 accuracy"] < 1.0
    assert value["guidance 1.0: sharpness, as a share of real"] < 0.9
    rows = settings_table(figures).splitlines()
    header = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert header[:4] == ["setting", "top-1 accuracy", "top-5 accuracy", "style accuracy"]
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:]] == [
        setting_label(c) for c in CHANGES
    ]
