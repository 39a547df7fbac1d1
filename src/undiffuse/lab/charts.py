"""Images of the report: strips of pictures as PNG files, charts as SVG files."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from undiffuse.evaluation.page import COLORS, to_svg
from undiffuse.evaluation.statistics import Metric
from undiffuse.imaging.png import encode_png, upscale
from undiffuse.lab.toy_data import to_bytes

LINES = ("-", "--", ":", "-.", (0, (1, 4)), (0, (8, 3)), (0, (4, 4)))
PLANE = (-2.2, 2.2)  # range of both axes of a plane plot


def image_strip(pixels: Tensor, scale: int = 2, gap: int = 1) -> bytes:
    """Pictures `(B, 3, H, W)` in [-1, 1] side by side with gray borders, as a PNG file."""
    tiles = to_bytes(pixels).transpose(0, 2, 3, 1)
    padded = np.pad(tiles, ((0, 0), (gap, gap), (gap, gap), (0, 0)), constant_values=128)
    return encode_png(upscale(np.concatenate(list(padded), axis=1), scale))


def line_chart(
    series: Mapping[str, Sequence[tuple[float, Metric]]], x: str, y: str, *, log: bool = False
) -> bytes:
    """Lines of metrics over x, with their intervals as bands. `log`: the x axis."""
    canvas = Canvas(figsize=(7.5, 3.2), layout="constrained")
    axes = canvas.add_subplot(xlabel=x, ylabel=y, xscale="log" if log else "linear")
    axes.set_prop_cycle(cycler(color=COLORS) + cycler(linestyle=LINES))
    for name, points in series.items():
        at, metrics = [k for k, _ in points], [metric for _, metric in points]
        (line,) = axes.plot(at, [f.value for f in metrics], label=name)
        axes.fill_between(
            at, [f.low for f in metrics], [f.high for f in metrics],
            color=line.get_color(), alpha=0.15, linewidth=0,
        )  # fmt: skip
    ticks = sorted({k for points in series.values() for k, _ in points})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.spines[["top", "right"]].set_visible(False)
    canvas.legend(loc="outside right upper", frameon=False)
    return to_svg(canvas)


def plane_plots(plots: Mapping[str, Callable[[Axes], None]], columns: int = 4) -> bytes:
    """Square plots of the plane in a grid. Each function draws on its own axes."""
    rows, columns = -(-len(plots) // columns), min(columns, len(plots))
    canvas = Canvas(figsize=(2.3 * columns, 2.5 * rows), layout="constrained")
    for k, (title, draw) in enumerate(plots.items()):
        axes = canvas.add_subplot(rows, columns, k + 1, aspect="equal", xticks=[], yticks=[])
        draw(axes)
        axes.set(xlim=PLANE, ylim=PLANE)
        axes.set_title(title, fontsize=9)
    return to_svg(canvas)
