"""Simple drawn grounds for scenes: snow, grass, a beach, night, and others."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Color = tuple[int, int, int]
Canvas = NDArray[np.uint8]  # (S, S, 4), opaque


@dataclass(frozen=True)
class Ground:
    """How captions say it, sky and floor (upper and lower color), and where the floor begins.

    clash    colors of things that do not stand out from it.
    extra    draws what is special: stars, snowflakes, rain, waves.
    hill     how much higher the floor is in the middle, as share of the side.
    """

    spellings: tuple[str, ...]
    sky: tuple[Color, Color]
    floor: tuple[Color, Color]
    horizon: float
    clash: tuple[str, ...] = ()
    extra: Callable[[Canvas, Generator], None] | None = None
    hill: float = 0.0


def _dots(canvas: Canvas, rng: Generator, color: Color, count: int, lowest: float) -> None:
    """Small squares at random places above `lowest`, a share of the side."""
    side = canvas.shape[0]
    size = max(1, side // 48)
    for x, y in rng.random((count, 2)) * (side - size, (side - size) * lowest):
        canvas[int(y) : int(y) + size, int(x) : int(x) + size, :3] = color


def _disc(canvas: Canvas, x: float, y: float, radius: float, color: Color) -> None:
    side = canvas.shape[0]
    rows, columns = np.ogrid[:side, :side]
    inside = (columns - x * side) ** 2 + (rows - y * side) ** 2 <= (radius * side) ** 2
    canvas[inside, :3] = color


def _night(canvas: Canvas, rng: Generator) -> None:
    _dots(canvas, rng, (250, 245, 215), 14, 0.55)
    _disc(canvas, rng.uniform(0.12, 0.88), 0.14, 0.075, (245, 235, 170))


def _snow(canvas: Canvas, rng: Generator) -> None:
    _dots(canvas, rng, (255, 255, 255), 26, 1.0)


def _sun(canvas: Canvas, rng: Generator) -> None:
    _disc(canvas, 0.14 if rng.random() < 0.5 else 0.86, 0.14, 0.085, (255, 222, 90))


def _rain(canvas: Canvas, rng: Generator) -> None:
    side = canvas.shape[0]
    length = side // 10
    for x, y in rng.random((22, 2)) * (side - 1, side - length):
        canvas[int(y) : int(y) + length, int(x), :3] = (95, 140, 200)


def _beach(canvas: Canvas, rng: Generator) -> None:
    """The sea between sky and sand."""
    side = canvas.shape[0]
    canvas[int(side * 0.42) : int(side * 0.66), :, :3] = (70, 160, 215)
    canvas[int(side * 0.64) : int(side * 0.66), :, :3] = (235, 245, 250)
    _sun(canvas, rng)


GROUNDS = {
    "snow": Ground(
        ("in the snow", "on snow"), ((150, 190, 225), (205, 225, 240)),
        ((248, 250, 253), (226, 234, 244)), 0.66, ("white",), _snow,
    ),
    "grass": Ground(
        ("on grass", "in the grass", "on a green meadow"), ((140, 200, 245), (205, 232, 250)),
        ((110, 190, 80), (70, 150, 55)), 0.62, ("green",), _sun,
    ),
    "beach": Ground(
        ("on a beach", "on the beach", "at the beach"), ((120, 195, 245), (190, 228, 250)),
        ((245, 222, 160), (230, 200, 130)), 0.66, ("yellow",), _beach,
    ),
    "night": Ground(
        ("at night", "in the night", "under the stars"), ((12, 18, 52), (35, 45, 95)),
        ((28, 42, 52), (18, 28, 38)), 0.7, ("black", "blue", "purple"), _night,
    ),
    "hill": Ground(
        ("on a hill", "on top of a hill"), ((150, 205, 245), (215, 236, 250)),
        ((120, 185, 85), (85, 150, 60)), 0.8, ("green",), None, 0.2,
    ),
    "desert": Ground(
        ("in the desert", "in a desert"), ((250, 205, 130), (253, 232, 185)),
        ((225, 165, 85), (200, 135, 65)), 0.64, ("orange", "yellow", "brown"), _sun, 0.04,
    ),
    "rain": Ground(
        ("in the rain", "on a rainy day"), ((135, 148, 165), (170, 180, 192)),
        ((105, 118, 128), (85, 96, 106)), 0.74, ("grey",), _rain,
    ),
    "sunset": Ground(
        ("at sunset", "in the sunset"), ((230, 95, 75), (253, 190, 105)),
        ((95, 70, 90), (60, 45, 70)), 0.7, ("orange", "red"), None,
    ),
}  # fmt: skip


def draw_ground(name: str, side: int, rng: Generator) -> tuple[Canvas, int]:
    """A ground as `(side, side, 4)` uint8, opaque, and the row that things stand on."""
    ground = GROUNDS[name]
    canvas = np.full((side, side, 4), 255, np.uint8)
    horizon = ground.horizon + rng.uniform(-0.03, 0.03)
    canvas[..., :3] = _fade(ground.sky, side)[:, None]
    edge = np.full(side, horizon * side)
    if ground.hill:
        bump = np.cos(np.linspace(-np.pi, np.pi, side)) * 0.5 + 0.5
        edge = side * (horizon - ground.hill * bump)
    below = np.arange(side)[:, None] >= edge[None]
    canvas[..., :3] = np.where(
        below[..., None], _fade(ground.floor, side)[:, None], canvas[..., :3]
    )
    if ground.extra:
        ground.extra(canvas, rng)
    lowest = 0.07 if ground.hill < 0.1 else 0.04
    return canvas, min(side, round(float(edge.min()) + (lowest + rng.uniform(0.0, 0.08)) * side))


def _fade(colors: tuple[Color, Color], side: int) -> NDArray[np.uint8]:
    """`(side, 3)`: from the first color to the second, from top to bottom."""
    share = np.linspace(0.0, 1.0, side)[:, None]
    return np.rint((1 - share) * colors[0] + share * colors[1]).astype(np.uint8)
