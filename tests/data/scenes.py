"""Known scenes of shapes, and ways to degrade their pictures."""

from functools import cache
from itertools import product

import numpy as np
from PIL import Image, ImageFilter

from undiffuse.data.shapes import COLORS, SHAPES, SIZES, Scene, SceneObject, draw_scene, scene_at

COUNT = 120
KINDS = list(product(COLORS, SHAPES, SIZES))


@cache
def scenes() -> list[Scene]:
    return [scene_at(index, seed=5) for index in range(COUNT)]


@cache
def pictures() -> list[np.ndarray]:
    return [rgb(scene) for scene in scenes()]


def rgb(scene: Scene) -> np.ndarray:
    return draw_scene(scene)[..., :3]


def blurred(picture: np.ndarray, radius: float = 1.0) -> np.ndarray:
    return np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def noisy(picture: np.ndarray, deviation: float = 12.0) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def faded(picture: np.ndarray) -> np.ndarray:
    return (252 - (255.0 - picture) * 0.9).clip(0, 255).astype(np.uint8)


def halved(picture: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(picture).reduce(2))


def single(color: str = "red", shape: str = "circle", size: str = "large") -> Scene:
    return Scene((SceneObject(color, shape, size, 32.0, 32.0),))


def pair(relation: str = "left of") -> Scene:
    first = SceneObject("red", "circle", "small", 20.0, 32.0)
    return Scene((first, SceneObject("blue", "star", "large", 46.0, 32.0)), relation)
