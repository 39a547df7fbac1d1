"""Which sampler, steps, shift, guidance and band: one changed at a time, under the judge."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from undiffuse.config import DrawConfig
from undiffuse.evaluation.judge import Judge
from undiffuse.evaluation.kid import kid_figure
from undiffuse.evaluation.protocols import Painter
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.sharpness import edge_sharpness
from undiffuse.evaluation.statistics import Figure, mean_figure, ratio_figure
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


def said(change: dict[str, Any]) -> str:
    """A setting in words."""
    return ", ".join(f"{name} {value}" for name, value in change.items()) or "as it is"


def sweep_figures(
    judge: Judge,
    painter_of: Callable[[DrawConfig], Painter],
    usual: DrawConfig,
    count: int = 200,
    seed: int = 0,
) -> Iterator[Figure]:
    """For each setting, of held-out cells: names found at 1 and 5, family right, sharpness against
    the true pictures, KID to them."""
    cells = judge.material.cells(count)
    names, right = judge.material.field(cells, "name"), judge.material.right_names(cells)
    families = judge.material.field(cells, "family")
    real = judge.real(cells)
    half = len(cells) // 2
    for change in CHANGES:
        painter = painter_of(replace(usual, **change))
        drawn = judge.draw(painter, names, families, seed)
        place = ranks(drawn.vectors, judge.names, right)
        title = said(change)
        for first in (1, 5):
            yield mean_figure(f"{title}: names@{first}", place < first, seed)
        drawn_in = judge.family.right(palette(drawn.pictures), families)
        yield mean_figure(f"{title}: family right", drawn_in, seed)
        sharp, true = (edge_sharpness(one.pictures) for one in (drawn, real))
        yield ratio_figure(f"{title}: sharpness, as a share of real", sharp, true, seed)
        # Other names on the other side, or a copy would be at no distance.
        yield kid_figure(
            f"{title}: KID", drawn.vectors[:half], real.vectors[half:], real.vectors[:half], seed
        )


def table(figures: list[Figure]) -> str:
    """A row for each setting, in Markdown."""
    rows: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        setting, _, kind = figure.name.partition(": ")
        rows.setdefault(setting, {})[kind] = figure
    kinds = list(next(iter(rows.values())))
    lines = ["| setting | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for setting, found in rows.items():
        cells = [f"{found[k].value:.3f} [{found[k].low:.3f}, {found[k].high:.3f}]" for k in kinds]
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
