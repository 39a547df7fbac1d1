"""Encoders and an image generator with known answers, on the real pictures of the test data."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from undiffuse.evaluation.dataset import EvaluationData, is_plain
from undiffuse.evaluation.memorization import downsample
from undiffuse.evaluation.protocols import Pictures, Vectors

SAMPLE = Path(__file__).parents[1] / "data" / "emoji"


@cache
def sample() -> EvaluationData:
    return EvaluationData.read(SAMPLE)


def unit(rows: np.ndarray) -> Vectors:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def random_direction(*parts: str) -> np.ndarray:
    seed = hashlib.sha256("|".join(parts).encode()).digest()
    return unit(np.random.default_rng(list(seed)).standard_normal(512))


class KnowingEncoder:
    """The vector of a known picture is the direction of its name and a part of its style's. The
    vector of a text is its own direction. Other pictures are projected at random.
    """

    def __init__(self, data: EvaluationData) -> None:
        self.known = {
            picture.tobytes(): random_direction(record["name"])
            + 0.5 * random_direction("style", record["family"])
            for picture, record in zip(data.pictures.pictures, data.pictures.records, strict=True)
        }
        self.projection = np.random.default_rng(0).standard_normal((768, 512)) / 16

    def encode_image(self, pictures: Pictures) -> Vectors:
        assert pictures.dtype == np.uint8
        other = (downsample(pictures) - 0.5) @ self.projection
        return unit(
            np.stack([self.known.get(p.tobytes(), o) for p, o in zip(pictures, other, strict=True)])
        )

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        return np.stack([random_direction(text) for text in texts])


class ConstantEncoder:
    """Has one vector for everything, which must never count as a hit."""

    def encode_image(self, pictures: Pictures) -> Vectors:
        return np.tile(random_direction("all"), (len(pictures), 1))

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        return np.tile(random_direction("all"), (len(texts), 1))


class RealImageGenerator:
    """Returns the real pictures; without a style those of the held-out pairs."""

    def __init__(self, data: EvaluationData) -> None:
        self.by_name: dict[str, Pictures] = {}
        self.by_pair: dict[tuple[str, str], Pictures] = {}
        pictures = data.pictures
        for picture, record in zip(pictures.pictures, pictures.records, strict=True):
            if is_plain(record):
                self.by_pair[record["name"], record["family"]] = picture
                if record["split"] == "held-out cell":
                    self.by_name[record["name"]] = picture
        self.other = blank(1)[0]

    def __call__(self, prompts: Sequence[str], styles: Sequence[str], seed: int) -> Pictures:
        return np.stack(
            [
                self.by_pair[prompt, style] if style else self.by_name.get(prompt, self.other)
                for prompt, style in zip(prompts, styles, strict=True)
            ]
        )


def blank(count: int, value: int = 255) -> Pictures:
    return np.full((count, 3, 64, 64), value, np.uint8)


def disc(color: Sequence[int], radius: float = 20.0, ground: int = 255) -> Pictures:
    """`(1, 3, 64, 64)`: a disc in the middle with hard edges."""
    down, across = np.mgrid[:64, :64] - 31.5
    inside = np.hypot(down, across) <= radius
    picture = blank(1, ground)
    for channel, value in enumerate(color):
        picture[0, channel][inside] = value
    return picture


def blurred(pictures: Pictures, times: int = 1) -> Pictures:
    x = pictures.astype(np.float32)
    for _ in range(times):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
        x = (
            padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2]
            + padded[..., 1:-1, 2:] + 2 * x
        ) / 6  # fmt: skip
    return np.rint(x).astype(np.uint8)
