"""CLIP's space: vectors of sums of words and images, and the words and images near them.

space = Space(ClipEncoder(folder))
space.nearest_words(space.vector("man wearing turban - man"))
"""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.explore.expression import Term, parse_expression, weighted_sum
from undiffuse.runtime.networks import Encoder

Vector = NDArray[np.float32]
PLACEHOLDER = "{}"  # of a template, for the label


@dataclass(frozen=True)
class Neighbor:
    """A word, and the cosine of its vector with the query."""

    text: str
    cosine: float


def caption_words() -> list[str]:
    """Every word in the captions that the shipped CLIP was trained on, sorted."""
    return (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()


@dataclass(frozen=True)
class Space:
    """The space of one CLIP.

    cache   folder to store the vectors of the caption words in; None stores nothing.
    report  is called with a line of text before work that takes long.
    """

    encoder: Encoder
    cache: Path | None = None
    report: Callable[[str], None] = lambda line: None

    def vector(self, expression: str) -> Vector:
        """The unit vector (D,) of a text, an image's path, or a sum of them.

        UserError as `parse_expression`, and for an image that can't be read.
        """
        if not expression.strip():
            raise UserError("the expression is empty: give words or an image")
        return weighted_sum(parse_expression(expression), self.encode_term)

    def encode_term(self, term: Term) -> Vector:
        """The unit vector (D,) of one term, without its weight."""
        if term.is_picture:
            return self.encode_images([Path(term.text)])[0]
        vector: Vector = self.encoder.encode_text([term.text])[0]
        return vector

    def encode_images(self, paths: Sequence[Path]) -> Vector:
        """Unit vectors (N, D) of image files. UserError names one that can't be read."""
        return self.encoder.encode_image(np.stack([self.encoder.read(path) for path in paths]))

    # Radford et al. 2021, arXiv 2103.00020, section 3.1.4: an ensemble of prompt templates
    def classify(
        self, images: Vector, labels: Sequence[str], templates: Sequence[str] = (PLACEHOLDER,)
    ) -> Vector:
        """Cosines (N, L) of image vectors with labels, each label the mean of its templates.

        UserError for fewer than two labels, equal or empty ones, or a template without {}.
        """
        if len(labels) < 2 or len(set(labels)) < len(labels) or not all(map(str.strip, labels)):
            raise UserError(f"labels {', '.join(labels)!r}: give two or more, all different")
        for template in templates:
            if PLACEHOLDER not in template:
                raise UserError(f"template {template!r} has no {PLACEHOLDER} for the label")
        texts = [t.replace(PLACEHOLDER, label) for label in labels for t in templates]
        vectors = self.encoder.encode_text(texts).reshape(len(labels), len(templates), -1).mean(1)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines: Vector = images @ unit.T
        return cosines

    def nearest_words(
        self, vector: Vector, count: int = 10, exclude: Collection[str] = ()
    ) -> list[Neighbor]:
        """The caption words nearest to a unit vector (D,), nearest first, without `exclude`."""
        words, vectors = self.vocabulary
        cosines = vectors @ vector
        order = [row for row in np.argsort(-cosines, kind="stable") if words[row] not in exclude]
        return [Neighbor(words[row], float(cosines[row])) for row in order[:count]]

    @cached_property
    def vocabulary(self) -> tuple[list[str], Vector]:
        """The caption words and their unit vectors (W, D), read from the cache if it has them."""
        from safetensors import SafetensorError
        from safetensors.numpy import load, save

        from undiffuse.imaging.files import write_atomic

        words = caption_words()
        path = self.cache and self.cache / f"words-{self.encoder.hash}.safetensors"
        if path is not None and path.exists():
            try:
                vectors = load(path.read_bytes())["words"]
                if vectors.shape == (len(words), self.encoder.dim) and vectors.dtype == np.float32:
                    return words, vectors
            except (SafetensorError, KeyError, OSError):
                pass  # a broken cache is written again
        self.report(f"encoding {len(words)} words, once for this CLIP")
        vectors = self.encoder.encode_text(words)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, save({"words": vectors}))
        return words, vectors


def default_cache_folder() -> Path:
    """$XDG_CACHE_HOME/undiffuse, or ~/.cache/undiffuse."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "undiffuse"
