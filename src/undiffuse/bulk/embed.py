"""CLIP vectors of whole data sets: a Parquet file for each part."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.bulk.inputs import Inputs, open_inputs
from undiffuse.bulk.job import Job, Result
from undiffuse.config import IMAGE_SIZE
from undiffuse.data.sources.decode import decode
from undiffuse.data.sources.file_names import has_words
from undiffuse.data.sources.item import Part, clean_text
from undiffuse.errors import UserError
from undiffuse.explore.vectors import KINDS, encode_vectors
from undiffuse.runtime.networks import ClipEncoder, Encoder

if TYPE_CHECKING:
    from PIL import Image

BATCH = 64  # pictures or texts that are encoded at once
PER_PART = 4096  # pictures of a folder
MAX_REASON = 300  # characters

Floats = NDArray[np.float32]
Prepare = Callable[["Image.Image"], NDArray[Any]]


@dataclass(frozen=True)
class ClipModel:
    """Which CLIP: this package's kind in a folder, or a pretrained one."""

    folder: Path
    pretrained: bool = False

    def load(self, threads: int) -> tuple[Encoder, int, Prepare]:
        """The encoder, the pixels of a side that a picture needs (0: all), and what makes a
        picture, in RGB, a row of `encode_image`."""
        if not self.pretrained:
            return ClipEncoder(self.folder, threads), IMAGE_SIZE, _padded
        from undiffuse.pretrained.encoder import PretrainedClip

        encoder = PretrainedClip(self.folder, threads)
        return encoder, 0, encoder.preprocess


def embed_job(address: str, clip: ClipModel, kinds: Iterable[str], per_part: int = PER_PART) -> Job:
    """The job of embedding the pictures and the captions of a data set; `kinds` says which."""
    inputs = open_inputs(address, per_part)
    encoder, _, _ = clip.load(1)
    wanted = sorted(kinds)
    settings = {"model": encoder.hash, "dim": encoder.dim, "kinds": wanted}
    worker = partial(EmbedWorker, address, clip, encoder.hash, wanted, per_part)
    parts = [[k, inputs.parts] for k in range(inputs.parts)]
    return Job("embed", settings, parts, inputs.files, ".parquet", worker)


@dataclass
class EmbedWorker:
    """Embeds a part, [number, number of parts]. Loads the CLIP and lists the data set once."""

    address: str
    clip: ClipModel
    hash: str
    kinds: list[str]
    per_part: int
    threads: int

    @cached_property
    def _loaded(self) -> tuple[Encoder, int, Prepare]:
        loaded = self.clip.load(self.threads)
        if loaded[0].hash != self.hash:
            raise UserError(f"{self.clip.folder} on this machine holds the CLIP {loaded[0].hash}, "
                            f"not {self.hash}: give every machine the same")  # fmt: skip
        return loaded

    @cached_property
    def _inputs(self) -> Inputs:
        return open_inputs(self.address, self.per_part)

    def __call__(self, part: list[int]) -> Result:
        number, parts = part
        if self._inputs.parts != parts:
            raise UserError(f"{self.address} changed while it was read, or another machine finds "
                            "other files there: start again")  # fmt: skip
        encoder = self._loaded[0]
        bad: list[str] = []
        keys: dict[str, list[str]] = {kind: [] for kind in KINDS}
        vectors = {kind: [np.zeros((0, encoder.dim), np.float32)] for kind in KINDS}
        samples = self._samples(Part(number, parts), bad)
        while batch := list(islice(samples, BATCH)):
            if "image" in self.kinds:
                keys["image"] += [key for key, _, _ in batch]
                vectors["image"].append(encoder.encode_image(np.stack([i for _, i, _ in batch])))
            if "text" in self.kinds:
                texts = [(key, caption) for key, _, captions in batch for caption in captions]
                keys["text"] += [key for key, _ in texts]
                vectors["text"].append(encoder.encode_text([caption for _, caption in texts]))
        table = {kind: (keys[kind], np.concatenate(vectors[kind])) for kind in KINDS}
        counts = {kind: len(keys[kind]) for kind in KINDS}
        return Result(encode_vectors(table, self.hash), counts, bad)

    def _samples(self, part: Part, bad: list[str]) -> Iterator[tuple[str, NDArray[Any], list[str]]]:
        """Key, picture as the CLIP takes it, and captions; no picture is kept in its own size."""
        _, side, prepare = self._loaded
        for entry in self._inputs.reader.entries(part):
            try:
                data, words = entry.load()
                picture = prepare(_on_white(decode(data, side)))
            except (ValueError, OSError, MemoryError) as error:
                bad.append(f"{entry.origin}: {error}"[:MAX_REASON])
                continue
            label = clean_text(words.label.replace("_", " ")) if has_words(words.label) else ""
            yield entry.key, picture, words.captions or list(filter(None, [label]))


def _padded(image: "Image.Image") -> NDArray[np.uint8]:
    """As `imaging.read.read_image`: fitted into the square, white around it; (3, S, S)."""
    from PIL import Image, ImageOps

    square = ImageOps.pad(image, (IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.LANCZOS, "white")
    return np.asarray(square).transpose(2, 0, 1)


def _on_white(rgba: NDArray[np.uint8]) -> "Image.Image":
    from PIL import Image

    image = Image.fromarray(rgba)
    if rgba[..., 3].min() == 255:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
