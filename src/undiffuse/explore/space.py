"""CLIP's space as a tool: vectors of sums of words and pictures, what lies near, what it is called.

space = Space(ClipEncoder(folder))
space.words(space.vector("man wearing turban - man"))
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.explore.expression import Term, combined, parse
from undiffuse.runtime.networks import Encoder

Vector = NDArray[np.float32]
PLACEHOLDER = "{}"  # of a template, for the label


@dataclass(frozen=True)
class Named:
    """A word or a label, and the cosine of its vector with what was asked."""

    text: str
    cosine: float


def caption_words() -> list[str]:
    """Every word of the captions that the shipped CLIP was trained on, sorted."""
    return (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()


@dataclass(frozen=True)
class Space:
    """The space of one CLIP. `cache`: where the vectors of the caption words are kept; `say` is
    told of what takes long."""

    encoder: Encoder
    cache: Path | None = None
    say: Callable[[str], None] = lambda line: None

    def vector(self, expression: str) -> Vector:
        """The unit vector `(D,)` of a text, a picture's path, or a sum of them.

        UserError for an expression without sense, or a picture that can't be read.
        """
        if not expression.strip():
            raise UserError("the expression is empty: give words or a picture")
        return combined(parse(expression), self.term)

    def term(self, term: Term) -> Vector:
        """The unit vector `(D,)` of one term, its weight apart."""
        if term.is_picture:
            return self.pictures([Path(term.text)])[0]
        vector: Vector = self.encoder.encode_text([term.text])[0]
        return vector

    def pictures(self, paths: Sequence[Path]) -> Vector:
        """Unit vectors `(N, D)` of picture files. UserError names one that can't be read."""
        return self.encoder.encode_image(np.stack([self.encoder.read(path) for path in paths]))

    def classify(
        self, pictures: Vector, labels: Sequence[str], templates: Sequence[str] = (PLACEHOLDER,)
    ) -> Vector:
        """Cosines `(N, L)` of pictures with labels, each label the mean of its templates' texts
        (Radford et al. 2021, arXiv 2103.00020, section 3.1.4).

        UserError for fewer than two labels, one twice, or a template without {}.
        """
        if len(labels) < 2 or len(set(labels)) < len(labels) or not all(map(str.strip, labels)):
            raise UserError(f"labels {', '.join(labels)!r}: give two or more, all different")
        for template in templates:
            if PLACEHOLDER not in template:
                raise UserError(f"template {template!r} has no {PLACEHOLDER} for the label")
        texts = [t.replace(PLACEHOLDER, label) for label in labels for t in templates]
        vectors = self.encoder.encode_text(texts).reshape(len(labels), len(templates), -1).mean(1)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines: Vector = pictures @ unit.T
        return cosines

    def words(self, vector: Vector, count: int = 10) -> list[Named]:
        """The caption words nearest to a vector, nearest first."""
        words, vectors = self.vocabulary
        cosines = vectors @ vector
        order = np.argsort(-cosines, kind="stable")[:count]
        return [Named(words[row], float(cosines[row])) for row in order]

    @cached_property
    def vocabulary(self) -> tuple[list[str], Vector]:
        """The caption words and their vectors `(W, D)`, encoded once for each CLIP and kept."""
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
                pass  # a broken file of ours: made again below
        self.say(f"encoding {len(words)} words, once for this CLIP")
        vectors = self.encoder.encode_text(words)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, save({"words": vectors}))
        return words, vectors


def usual_cache() -> Path:
    """Where what can be made again is kept: XDG_CACHE_HOME, or .cache in the person's folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "undiffuse"
