"""Pictures composed of drawings, as a scene says."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.random import Generator, Philox

from undiffuse.imaging.png import Pixels, unpremultiply
from undiffuse.layout.boxes import Placed, bounds, moved, place
from undiffuse.layout.grounds import draw_ground
from undiffuse.layout.layers import Layer, Premultiplied, bounds_of, paste, resized
from undiffuse.layout.scene import Scene

FILLED = 0.94  # of the side, by all things together
ON_GROUND = 0.62
LARGEST = 1.3  # how much the things of a scene are enlarged together, to fill the picture


class Composition:
    """A scene with the drawings that it needs: one of each text, equal things share it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.texts = list(dict.fromkeys(group.text for group in scene.things))

    @cached_property
    def _placed(self) -> list[Placed]:
        return place(self.scene.node)

    @property
    def note(self) -> str:
        """What is drawn by the network, and what by this program."""
        counts = [f"{group.count} x {group.text}" if group.count > 1 else group.text
                  for group in self.scene.things]  # fmt: skip
        ground = f", on a drawn ground: {self.scene.ground}" if self.scene.ground else ""
        return f"composed of {', '.join(counts)}{ground}"

    def compose(self, drawings: Sequence[Pixels], seed: int, index: int) -> Pixels:
        """One picture of a drawing (S, S, 4) for each of `texts`; seed and index decide how the
        ground looks.
        """
        side = len(drawings[0])
        found = {text: premultiply(one) for text, one in zip(self.texts, drawings, strict=True)}
        rectangles = {text: bounds_of(one) for text, one in found.items()}
        boxes = []
        for placed in self._placed:
            left, top, right, bottom = rectangles[placed.text]
            boxes.append(placed.box.fit(right - left, bottom - top))
        around = bounds(boxes)
        ground, floor = self.scene.ground, side
        canvas = np.zeros((side, side, 4), np.uint8)
        if ground:
            rng = Generator(Philox(key=np.array([seed, index], np.uint64)))
            canvas, floor = draw_ground(ground, side, rng)
        filled = ON_GROUND if ground else FILLED
        scale = min(filled / max(around.width, around.height), LARGEST)
        high = around.height * scale
        upper = floor / side - high if ground else (1 - high) / 2
        boxes = moved(boxes, scale, (1 - around.width * scale) / 2, upper)
        for placed, box in zip(self._placed, boxes, strict=True):
            width, height = (max(1, round(share * side)) for share in (box.width, box.height))
            layer = resized(found[placed.text], rectangles[placed.text], width, height)
            paste(canvas, Layer(layer, round(box.left * side), round(box.top * side)))
        return unpremultiply(canvas)


def premultiply(pixels: Pixels) -> Premultiplied:
    """Straight alpha -> RGB multiplied by alpha, rounded."""
    color, alpha = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
    multiplied = ((color * alpha + 127) // 255).astype(np.uint8)
    return np.concatenate([multiplied, pixels[..., 3:]], -1)
