"""Sampler settings compared by the judge: each changes one default."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from undiffuse.config import DrawConfig
from undiffuse.evaluation.image_quality import edge_sharpness
from undiffuse.evaluation.judge import Judge
from undiffuse.evaluation.kid import kid_metric
from undiffuse.evaluation.protocols import ImageGenerator
from undiffuse.evaluation.report import markdown_table
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Metric, mean_metric, ratio_metric
from undiffuse.evaluation.style_probe import palette

CHANGES: tuple[dict[str, Any], ...] = (
    {},
    *({"sampler": name} for name in ("blend", "ddpm", "ddim", "heun")),
    *({"steps": steps} for steps in (5, 10, 40)),
    *({"shift": shift} for shift in (1.0, 2.0, 3.0)),
    *({"guidance": scale} for scale in (1.0, 2.0, 3.0, 6.0)),
    *({"band_high": high} for high in (0.8, 0.9)),
    *({"band_low": low} for low in (0.1, 0.3)),
)


def setting_label(change: dict[str, Any]) -> str:
    """Such as "steps 10"."""
    return ", ".join(f"{name} {value}" for name, value in change.items()) or "default settings"


def evaluate_settings(
    judge: Judge,
    make_generator: Callable[[DrawConfig], ImageGenerator],
    defaults: DrawConfig,
    count: int = 200,
    seed: int = 0,
) -> Iterator[Metric]:
    """For each setting, on `count` held-out pairs: accuracy of names and styles, sharpness relative
    to real pictures, and KID.
    """
    rows = judge.data.held_out_pairs(count)
    names, right = judge.data.column(rows, "name"), judge.data.name_targets(rows)
    styles = judge.data.column(rows, "family")
    real = judge.real(rows)
    half = len(rows) // 2
    for change in CHANGES:
        drawn = judge.generate(make_generator(replace(defaults, **change)), names, styles, seed)
        rank = ranks(drawn.vectors, judge.name_vectors, right)
        title = setting_label(change)
        for k in (1, 5):
            yield mean_metric(f"{title}: top-{k} accuracy", rank < k, seed)
        is_right = judge.palette_probe.is_right(palette(drawn.pictures), styles)
        yield mean_metric(f"{title}: style accuracy", is_right, seed)
        sharp, true = (edge_sharpness(one.pictures) for one in (drawn, real))
        yield ratio_metric(f"{title}: sharpness, as a share of real", sharp, true, seed)
        # The reference has other names, because a copy would have no distance.
        yield kid_metric(
            f"{title}: KID", drawn.vectors[:half], real.vectors[half:], real.vectors[:half], seed
        )


def settings_table(metrics: list[Metric]) -> str:
    """A Markdown table with a row for each setting."""
    rows: dict[str, dict[str, Metric]] = {}
    for metric in metrics:
        setting, _, kind = metric.name.partition(": ")
        rows.setdefault(setting, {})[kind] = metric
    table = [("setting", *next(iter(rows.values())))]
    for setting, by_kind in rows.items():
        cells = (f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]" for m in by_kind.values())
        table.append((setting, *cells))
    return "\n".join(markdown_table(table)) + "\n"
