"""Curves and plane drawings as inline SVG, in the page's own text colour."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from undiffuse.evaluation.statistics import Figure

COLOURS = ("#3b82c4", "#d9652b", "#2e9d6a", "#b04fb5", "#b8901c", "#d0436b", "#7a7f87")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 4", "12 4", "4 4")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, LEGEND = 460, 280, 50, 42, 24, 210
Plane = NDArray[np.float64]
Place = Callable[[float, float], str]  # data to "x,y" on the sheet


def curves(
    series: Mapping[str, Sequence[tuple[float, Figure]]], x: str, y: str, *, log: bool = False
) -> str:
    """Lines through figures, their intervals as bands, a legend beside. `log`: the x axis."""
    along = math.log10 if log else float
    points = [(at, f) for line in series.values() for at, f in line]
    lows, highs = [f.low for _, f in points], [f.high for _, f in points]
    (x0, x1), (y0, y1) = _span([along(at) for at, _ in points]), _span([0.0, *lows, *highs])

    def place(at: float, value: float) -> str:
        across = LEFT + (along(at) - x0) / (x1 - x0) * (WIDTH - LEFT - 10)
        up = (value - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP)
        return f"{across:.1f},{HEIGHT - BOTTOM - up:.1f}"

    parts = _axes(sorted({at for at, _ in points}), (y0, y1), place, x, y)
    for k, (name, line) in enumerate(series.items()):
        colour, dash = COLOURS[k % len(COLOURS)], DASHES[k % len(DASHES)]
        band = [place(at, f.high) for at, f in line] + [place(at, f.low) for at, f in line[::-1]]
        parts.append(f'<polygon points="{" ".join(band)}" fill="{colour}" opacity=".15"/>')
        stroke = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(
            f'<polyline points="{" ".join(place(at, f.value) for at, f in line)}" {stroke}/>'
        )
        row = TOP + 10 + 20 * k
        parts.append(f'<polyline points="{WIDTH + 8},{row} {WIDTH + 38},{row}" {stroke}/>')
        parts.append(f'<text x="{WIDTH + 44}" y="{row + 4}">{escape(name)}</text>')
    return _svg(WIDTH + LEGEND, max(HEIGHT, TOP + 20 * len(series)), "".join(parts))


def _span(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    return (low, high) if high > low else (low, low + 1.0)


def _axes(
    ticks: Sequence[float], rise: tuple[float, float], place: Place, x: str, y: str
) -> list[str]:
    floor = HEIGHT - BOTTOM
    parts = [
        f'<path d="M{LEFT},{TOP}V{floor}H{WIDTH - 10}" fill="none" stroke="currentColor"/>',
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x)}</text>',
        f'<text x="{LEFT}" y="14">{escape(y)}</text>',
    ]
    for tick in ticks:
        across = place(tick, rise[0]).split(",")[0]
        parts.append(f'<text x="{across}" y="{floor + 16}" text-anchor="middle">{tick:g}</text>')
    for value in np.linspace(*rise, 5):
        height = place(ticks[0], float(value)).split(",")[1]
        parts.append(
            f'<text x="{LEFT - 6}" y="{height}" text-anchor="end" dominant-baseline="middle">'
            f"{value:.2g}</text>"
        )
    return parts


def _svg(width: int, height: int, inner: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">{inner}</svg>'


PANEL, REACH = 210, 2.2  # pixels a side of a panel; it shows [-REACH, REACH] both ways


def panels(titled: Mapping[str, Sequence[str]], across: int = 4) -> str:
    """Square panels of marks (see `dots`, `arrows`, `paths`), each with its title."""
    parts, high = [], PANEL + 22
    for k, (title, marks) in enumerate(titled.items()):
        x, y = k % across * (PANEL + 8), k // across * high
        parts.append(
            f'<g transform="translate({x} {y})"><text x="4" y="14">{escape(title)}</text>'
            f'<svg x="0" y="20" width="{PANEL}" height="{PANEL}" '
            f'viewBox="{-REACH} {-REACH} {2 * REACH} {2 * REACH}">'
            f'<rect x="{-REACH}" y="{-REACH}" width="{2 * REACH}" height="{2 * REACH}" '
            f'fill="#8881"/>{"".join(marks)}</svg></g>'
        )
    rows = -(-len(titled) // across)
    return _svg(min(across, len(titled)) * (PANEL + 8), rows * high, "".join(parts))


def dots(points: Plane, colour: str = "currentColor", size: float = 0.03) -> str:
    """`(N, 2)` points, as zero-length strokes of one path: y goes up."""
    marks = "".join(f"M{x:.2f} {-y:.2f}h0" for x, y in points)
    return (
        f'<path d="{marks}" stroke="{colour}" stroke-width="{size}" stroke-linecap="round" '
        'opacity=".6"/>'
    )


def arrows(at: Plane, to: Plane, colour: str = "currentColor") -> str:
    """From each of `at` `(N, 2)` a line towards `to`, with a dot where it begins."""
    lines = "".join(
        f"M{x:.2f} {-y:.2f}L{u:.2f} {-v:.2f}" for (x, y), (u, v) in zip(at, to, strict=True)
    )
    return f'<path d="{lines}" stroke="{colour}" stroke-width=".02" opacity=".8"/>' + dots(
        at, colour, 0.06
    )


def paths(lines: NDArray[np.float64], colour: str = "currentColor") -> str:
    """`(S, N, 2)`: N paths of S places each, with a dot at the end."""
    drawn = "".join(
        "M" + "L".join(f"{x:.2f} {-y:.2f}" for x, y in lines[:, k]) for k in range(lines.shape[1])
    )
    return (
        f'<path d="{drawn}" fill="none" stroke="{colour}" stroke-width=".015" opacity=".7"/>'
        + dots(lines[-1], colour, 0.09)
    )
