"""Where the things of a scene go: boxes as shares of the picture's side."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from undiffuse.layout.scene import Group, Node, Row
from undiffuse.layout.words import ACTION, HOLDING

Align = Literal["top", "center", "bottom"]
MARGIN = 0.06  # of a cell, on each side
TALLEST = 1.2  # of things in a row, as a share of their width


# Relation -> which of its two things is left and which right, and the share of the left one.
ROWS = {"left of": (0, 1, 0.5), "right of": (1, 0, 0.5), "beside": (0, 1, 0.5),
        ACTION: (0, 1, 0.56)}  # fmt: skip
# Relation -> which thing, and its part of the box as for `Box.inside`; the one behind first.
Part = tuple[int, tuple[float, float, float, float], Align]
PLACES: dict[str, tuple[Part, Part]] = {
    "above": ((0, (0.1, 0.0, 0.8, 0.48), "bottom"), (1, (0.1, 0.52, 0.8, 0.48), "top")),
    "below": ((1, (0.1, 0.0, 0.8, 0.48), "bottom"), (0, (0.1, 0.52, 0.8, 0.48), "top")),
    # Standing on it, a little over its upper edge.
    "on": ((1, (0.08, 0.46, 0.84, 0.54), "top"), (0, (0.2, 0.0, 0.6, 0.5), "bottom")),
    # The upper part is seen over the edge of what it is in.
    "in": ((0, (0.2, 0.0, 0.6, 0.62), "bottom"), (1, (0.12, 0.5, 0.76, 0.5), "top")),
    "in front of": ((1, (0.16, 0.0, 0.84, 0.84), "bottom"), (0, (0.0, 0.5, 0.5, 0.5), "bottom")),
    "behind": ((0, (0.16, 0.0, 0.84, 0.84), "bottom"), (1, (0.0, 0.5, 0.5, 0.5), "bottom")),
    HOLDING: ((0, (0.0, 0.0, 0.64, 1.0), "bottom"), (1, (0.58, 0.4, 0.42, 0.44), "center")),
}
RELATION_NAMES = (*ROWS, *PLACES)


@dataclass(frozen=True)
class Box:
    """A rectangle, from the upper left corner, and where a flatter thing stands in it."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0
    align: Align = "center"

    def inside(self, left: float, top: float, width: float, height: float, align: Align) -> "Box":
        """A part of the box; the arguments are shares of it."""
        return Box(
            self.left + left * self.width, self.top + top * self.height,
            width * self.width, height * self.height, align,
        )  # fmt: skip

    def fit(self, width: int, height: int) -> "Box":
        """The largest rectangle with the aspect of a thing inside the box."""
        scale = min(self.width / width, self.height / height)
        wide, high = width * scale, height * scale
        free = {"top": 0.0, "center": 0.5, "bottom": 1.0}[self.align] * (self.height - high)
        return Box(self.left + (self.width - wide) / 2, self.top + free, wide, high)


@dataclass(frozen=True)
class Placed:
    """A thing and its box. Later ones of a list are in front."""

    text: str
    box: Box


def place(node: Node, box: Box | None = None) -> list[Placed]:
    """The boxes of all things of a scene, from back to front."""
    box = box or Box()
    if isinstance(node, Group):
        return list(_grid(node, box))
    if isinstance(node, Row):
        return _beside(node.parts, [1 / len(node.parts)] * len(node.parts), box)
    both = (node.first, node.second)
    if node.relation in ROWS:
        left, right, share = ROWS[node.relation]
        return _beside((both[left], both[right]), [share, 1 - share], box)
    parts = PLACES[node.relation]
    return [
        placed
        for which, part, align in parts
        for placed in place(both[which], box.inside(*part, align))
    ]


def _grid(group: Group, box: Box) -> Iterator[Placed]:
    """A cell for each thing, as large as possible; the last line is centered."""
    count = group.count
    columns = max(range(1, count + 1),
                  key=lambda n: (min(box.width / n, box.height / -(-count // n)), n))  # fmt: skip
    lines = -(-count // columns)
    cell = min(box.width / columns, box.height / lines)
    free = {"top": 0.0, "center": 0.5, "bottom": 1.0}[box.align] * (box.height - lines * cell)
    for number in range(count):
        line, column = divmod(number, columns)
        in_line = min(columns, count - line * columns)
        left = box.left + (box.width - in_line * cell) / 2 + column * cell
        whole = count == 1 and group.size == 1.0
        # One thing may be larger than a square cell, if the box is.
        yield Placed(group.text, box if whole else replace(
            _shrunk(Box(left, box.top + free + line * cell, cell, cell), group.size),
            align="bottom" if count == 1 and box.align != "top" else "center",
        ))  # fmt: skip


def _shrunk(box: Box, size: float) -> Box:
    """The box without its margin, and smaller by `size`, with its lower edge kept."""
    inner = box.inside(MARGIN, MARGIN, 1 - 2 * MARGIN, 1 - 2 * MARGIN, "bottom")
    return inner.inside((1 - size) / 2, 1 - size, size, size, "bottom")


def _beside(parts: tuple[Node, ...], shares: list[float], box: Box) -> list[Placed]:
    """Parts side by side on one line, `shares` of the box wide."""
    placed, left = list[Placed](), 0.0
    for part, share in zip(parts, shares, strict=True):
        high = min(1.0, TALLEST * share * box.width / box.height)
        inner = box.inside(left + MARGIN / 2, (1 - high) / 2, share - MARGIN, high, "bottom")
        placed += place(part, inner)
        left += share
    return placed


def bounds(boxes: list[Box]) -> Box:
    """The smallest box around all of them."""
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right = max(box.left + box.width for box in boxes)
    bottom = max(box.top + box.height for box in boxes)
    return Box(left, top, right - left, bottom - top)


def moved(boxes: list[Box], scale: float, left: float, top: float) -> list[Box]:
    """The boxes enlarged by `scale`, with the corner of their bounds at (left, top)."""
    around = bounds(boxes)
    return [
        Box(left + (box.left - around.left) * scale, top + (box.top - around.top) * scale,
            box.width * scale, box.height * scale)
        for box in boxes
    ]  # fmt: skip
