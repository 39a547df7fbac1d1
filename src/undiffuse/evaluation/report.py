"""The report of an evaluation: JSON for programs, Markdown tables for people."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from undiffuse.evaluation.statistics import Metric

HEADER = ("metric", "value", "95% interval", "count", "real", "target", "reached")


@dataclass(frozen=True)
class Report:
    """Metrics, and what they depend on: hashes, settings, the data, the machine.

    `cases`: title -> the results of single cases, rows with the same fields.
    """

    metrics: Sequence[Metric]
    about: Mapping[str, Any] = field(default_factory=dict)
    cases: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def to_json(self) -> str:
        """All metrics with counts, intervals, targets and real values."""
        metrics = [metric.to_dict() for metric in self.metrics]
        content = {**self.about, "figures": metrics, **self.cases}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """A table of the metrics, notes, the settings, and a table for each kind of cases."""
        lines = markdown_table([HEADER, *(_row(metric) for metric in self.metrics)])
        notes = [f"- {metric.name}: {metric.note}" for metric in self.metrics if metric.note]
        about = [f"- {name}: {value}" for name, value in self.about.items()]
        for title, rows in self.cases.items():
            about += ["", f"{title}:", ""]
            if rows:
                cells = [tuple(map(_format_cell, row.values())) for row in rows]
                about += markdown_table([tuple(rows[0]), *cells])
        return "\n".join([*lines, "", *notes, "", *about]) + "\n"


def markdown_table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The lines of a table with aligned columns; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" | ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)) for r in rows]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return [f"| {line} |" for line in lines]


def _format_cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _row(metric: Metric) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        if value is None:
            return ""
        if math.isnan(value):
            return "-"
        return f"{100 * value:.1f}%" if metric.unit == "share" else f"{value:.3g}"

    bounds = (("≥", metric.at_least), ("≤", metric.at_most))
    return (
        metric.name if metric.unit == "share" else f"{metric.name} ({metric.unit})",
        number(metric.value),
        f"{number(metric.low)} to {number(metric.high)}",
        str(metric.count),
        number(metric.real),
        ", ".join(f"{sign} {number(bound)}" for sign, bound in bounds if bound is not None),
        "" if metric.passed is None else "yes" if metric.passed else "**no**",
    )
