"""What evaluation asks of a model, and the types of pictures and vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]  # (B, 3, 64, 64)
Vectors = NDArray[np.float32]  # (B, 512), rows of unit length
Scores = NDArray[np.float64]  # (B,), one per item


class Encoder(Protocol):
    """A CLIP: the judge, or the one that steers when it is itself examined."""

    def encode_image(self, pictures: Pictures) -> Vectors: ...

    def encode_text(self, texts: Sequence[str]) -> Vectors: ...


class Painter(Protocol):
    """Draws one picture per prompt, each as `undiffuse PROMPT --style STYLE --seed SEED` would.

    The style "" is the model's default.
    """

    def __call__(self, prompts: Sequence[str], styles: Sequence[str], seed: int) -> Pictures: ...


def encode_pictures(encoder: Encoder, pictures: Pictures, batch: int = 256) -> Vectors:
    """`encode_image` in parts, so that tens of thousands of pictures fit in memory."""
    parts = [pictures[i : i + batch] for i in range(0, len(pictures), batch)]
    return np.concatenate([encoder.encode_image(part) for part in parts])


def encode_texts(encoder: Encoder, texts: Sequence[str], batch: int = 256) -> Vectors:
    """`encode_text` in parts."""
    parts = [texts[i : i + batch] for i in range(0, len(texts), batch)]
    return np.concatenate([encoder.encode_text(part) for part in parts])
