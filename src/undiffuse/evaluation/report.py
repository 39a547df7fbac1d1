"""The report: JSON for machines, a Markdown table for people."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from undiffuse.evaluation.statistics import Figure

HEAD = ("figure", "value", "95% interval", "count", "real", "at least / most", "reached")
MARK = {True: "yes", False: "**no**", None: ""}


@dataclass(frozen=True)
class Report:
    """Figures, and what they depend on: hashes, settings, the data, the machine.

    `cases`: title -> what single cases came to, rows with the same fields.
    """

    figures: Sequence[Figure]
    about: Mapping[str, Any] = field(default_factory=dict)
    cases: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Every figure with its count, interval, bounds and real value."""
        figures = [figure.to_dict() for figure in self.figures]
        content = {**self.about, "figures": figures, **self.cases}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """A table with the bounds beside each figure and whether they are kept, the notes, then a
        table of each kind of cases.
        """
        lines = _table([HEAD, *(_row(figure) for figure in self.figures)])
        notes = [f"- {figure.name}: {figure.note}" for figure in self.figures if figure.note]
        about = [f"- {name}: {value}" for name, value in self.about.items()]
        for title, rows in self.cases.items():
            about += ["", f"{title}:", ""]
            if rows:
                about += _table([tuple(rows[0]), *(tuple(map(_said, r.values())) for r in rows)])
        return "\n".join([*lines, "", *notes, "", *about]) + "\n"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" | ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)) for r in rows]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return [f"| {line} |" for line in lines]


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _row(figure: Figure) -> tuple[str, ...]:
    shown = _percent if figure.unit == "share" else _plain
    bounds = [
        f"{sign} {shown(bound)}"
        for sign, bound in (("≥", figure.at_least), ("≤", figure.at_most))
        if bound is not None
    ]
    name = figure.name if figure.unit == "share" else f"{figure.name} ({figure.unit})"
    return (
        name,
        shown(figure.value),
        f"{shown(figure.low)} to {shown(figure.high)}",
        str(figure.count),
        "" if figure.real is None else shown(figure.real),
        ", ".join(bounds),
        MARK[figure.passed],
    )


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}%"


def _plain(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
