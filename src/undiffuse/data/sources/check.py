"""What is in a data set: counts, sizes, captions, duplicates and whatever is wrong with it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.sources.duplicates import (
    difference_hash,
    groups_of,
    near_pairs,
    pixel_hash,
)
from undiffuse.data.sources.fit import Mode, fit, plan_fit
from undiffuse.data.sources.item import Item
from undiffuse.data.split import unit_hash

SHOWN = 20  # of everything that is listed
SHEET = 60  # pictures


@dataclass
class Check:
    """Counts of the items that were added. `count_tokens`: of a caption; None: not counted."""

    size: int
    mode: Mode
    context: int = 0  # tokens that the model reads at most
    count_tokens: Callable[[str], int] | None = None
    keys: list[str] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    heights: list[int] = field(default_factory=list)
    captions: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    styles: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    fits: Counter[str] = field(default_factory=Counter)
    transparent: int = 0
    uncaptioned: list[str] = field(default_factory=list)  # keys
    too_long: list[tuple[str, int]] = field(default_factory=list)  # caption and its tokens
    most_lost: tuple[float, str] = (0.0, "")  # the share that is cropped, and of which picture
    sheet: list[tuple[float, str, NDArray[np.uint8]]] = field(default_factory=list)
    _sides: list[str] = field(default_factory=list)  # each item's split
    _exact: dict[bytes, list[int]] = field(default_factory=dict)
    _hashes: list[int] = field(default_factory=list)
    _colors: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Count an item."""
        height, width = item.image.shape[:2]
        row = len(self.keys)
        self.keys.append(item.key)
        self.widths.append(width)
        self.heights.append(height)
        self.transparent += bool((item.image[..., 3] < 255).any())
        self._sides.append(item.split)
        for counter, value in (
            (self.labels, item.label), (self.styles, item.style), (self.splits, item.split),
        ):  # fmt: skip
            if value:
                counter[value] += 1
        self._add_captions(item)
        self._add_fit(item.key, width, height)
        square = fit(item.image, self.size, self.mode)
        self._exact.setdefault(pixel_hash(item.image), []).append(row)
        bits, colors = difference_hash(square)
        self._hashes.append(bits)
        self._colors.append(colors)
        self._add_to_sheet(item, square)

    def _add_captions(self, item: Item) -> None:
        if not item.captions:
            self.uncaptioned.append(item.key)
        for caption in item.captions:
            self.captions[caption] += 1
            if self.count_tokens is not None and self.captions[caption] == 1:
                tokens = self.count_tokens(caption)
                if tokens > self.context:
                    self.too_long.append((caption, tokens))

    def _add_fit(self, key: str, width: int, height: int) -> None:
        plan = plan_fit(width, height, self.size, self.mode)
        left, top, right, bottom = plan.box
        lost = 1 - (right - left) * (bottom - top) / (width * height)
        self.most_lost = max(self.most_lost, (lost, key))
        self.fits["cropped"] += lost > 0
        self.fits["padded"] += (plan.width, plan.height) != (self.size, self.size)
        self.fits["enlarged"] += plan.scale > 1
        self.fits["reduced"] += plan.scale < 1

    def _add_to_sheet(self, item: Item, square: NDArray[np.uint8]) -> None:
        """Keep the pictures with the lowest hashes: the same ones each time, in no order."""
        place = unit_hash("sheet", item.key)
        if len(self.sheet) < SHEET or place < self.sheet[-1][0]:
            self.sheet.append((place, item.captions[0] if item.captions else "(none)", square))
            self.sheet.sort(key=lambda kept: kept[0])
            del self.sheet[SHEET:]

    def report(self, bad: list[tuple[str, str]], bad_count: int) -> dict[str, Any]:
        """Everything as plain data; lists hold the first of each kind."""
        shared = [(text, count) for text, count in self.captions.most_common() if count > 1]
        return {
            "pictures": len(self.keys),
            "broken": {"count": bad_count, "first": [list(one) for one in bad[:SHOWN]]},
            "width": _spread(self.widths),
            "height": _spread(self.heights),
            "transparent": self.transparent,
            "fit": {
                "size": self.size, "mode": self.mode, **self.fits,
                "most_lost": round(self.most_lost[0], 3), "most_lost_of": self.most_lost[1],
            },
            "captions": {
                "count": self.captions.total(),
                "pictures_without": len(self.uncaptioned),
                "first_without": self.uncaptioned[:SHOWN],
                "context": self.context,
                "too_long": len(self.too_long),
                "first_too_long": [list(one) for one in self.too_long[:SHOWN]],
                "shared": len(shared),
                "most_shared": [list(one) for one in shared[:SHOWN]],
            },
            "labels": dict(self.labels.most_common()),
            "styles": dict(self.styles.most_common()),
            "splits": dict(self.splits.most_common()),
            "duplicates": self._duplicates(),
        }  # fmt: skip

    def _duplicates(self) -> dict[str, Any]:
        exact = [rows for rows in self._exact.values() if len(rows) > 1]
        pairs = near_pairs(np.array(self._hashes, np.uint64), np.stack(self._colors))
        same = {row: rows[0] for rows in exact for row in rows}
        near = groups_of([(i, j) for i, j in pairs if same.get(i, i) != same.get(j, j)])
        across = sum(
            len({self._sides[row] == "train" for row in rows}) > 1 for rows in (*exact, *near)
        )
        return {
            "exact_groups": len(exact),
            "exact_extra": sum(len(rows) - 1 for rows in exact),
            "first_exact": self._named(exact),
            "near_groups": len(near),
            "first_near": self._named(near),
            "groups_across_splits": across,
        }

    def _named(self, groups: list[list[int]]) -> list[list[str]]:
        return [[self.keys[row] for row in rows[:SHOWN]] for rows in groups[:SHOWN]]


def _spread(values: list[int]) -> dict[str, int]:
    return {
        "min": min(values), "median": int(np.median(values)), "max": max(values),
    }  # fmt: skip
