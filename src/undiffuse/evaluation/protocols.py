"""The interfaces that evaluation needs, and the types of pictures and vectors."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]  # (B, 3, H, W)
Vectors = NDArray[np.float32]  # (B, 512), rows of unit length
Scores = NDArray[np.float64]  # (B,), one per item


class Encoder(Protocol):
    """A CLIP: the judge, or the model's own CLIP when that is evaluated."""

    def encode_image(self, pictures: Pictures) -> Vectors: ...

    def encode_text(self, texts: Sequence[str]) -> Vectors: ...


class ImageGenerator(Protocol):
    """Draws one picture per prompt, the same as `undiffuse PROMPT --style STYLE --seed SEED`.

    The style "" is the model's default.
    """

    def __call__(self, prompts: Sequence[str], styles: Sequence[str], seed: int) -> Pictures: ...


def encode_batches(encode: Callable[[Any], Vectors], items: Any, batch: int = 256) -> Vectors:
    """`encode` in batches, so that tens of thousands of pictures or texts fit in memory."""
    return np.concatenate([encode(items[i : i + batch]) for i in range(0, len(items), batch)])
