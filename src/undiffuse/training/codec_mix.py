"""What the codec for large pictures learns beside the pictures as they are: scenes and tints."""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.scene_things import thing_of
from undiffuse.data.scenes import SceneMaker
from undiffuse.training.distributed import part

SCENE_SHARE = 0.125  # of the encoded pictures of a batch
TINTED_SHARE = 0.5  # of the pictures that are drawn in one color
NO_TINT = -1.0


class LargeMix:
    """Scenes of `data.scenes`, made in the processor's memory, and random colors.

    Pictures without transparency are neither composed nor tinted.
    """

    def __init__(self, pictures: PictureSet) -> None:
        records, array = pictures.records, pictures.pictures
        clear = array.shape[1] == 4
        self.tintable = np.array([clear and bool(r.get("tintable")) for r in records], bool)
        # Views of a memory-mapped array: what a scene needs is read then.
        things = [
            thing for row, record in enumerate(records)
            if clear and (thing := thing_of(array[row].transpose(1, 2, 0), record)) is not None
        ]  # fmt: skip
        self.maker = SceneMaker(things) if things else None
        self.shape = array.shape[1:]

    def scene_count(self, count: int) -> int:
        """How many of `count` pictures are scenes."""
        return int(count * SCENE_SHARE) if self.maker else 0

    def sample(self, rows: np.ndarray, scenes: int, step: int, rng: Generator) -> dict[str, Tensor]:
        """ "tints" `(B, 3, 1, 1)` in [0, 1] or `NO_TINT` of the pictures `rows`, and "scenes"
        `(scenes, C, S, S)` uint8; this process's parts of both.
        """
        tinted = self.tintable[rows] & (rng.random(len(rows)) < TINTED_SHARE)
        tints = np.where(tinted[:, None], rng.random((len(rows), 3)), NO_TINT)
        seed = int(rng.integers(2**62))
        made = np.empty((len(part(range(scenes))), *self.shape), np.uint8)
        for place, index in enumerate(part(range(scenes))):
            assert self.maker is not None
            made[place] = self.maker.scene(seed, step, index).picture.transpose(2, 0, 1)
        return {
            "tints": torch.from_numpy(part(tints.astype(np.float32))[..., None, None]),
            "scenes": torch.from_numpy(made),
        }


def tint(pixels: Tensor, tints: Tensor) -> Tensor:
    """Premultiplied RGBA in [-1, 1], in the given colors where they are not `NO_TINT`."""
    if pixels.shape[1] != 4:
        return pixels
    colored = (pixels[:, 3:] + 1) * tints - 1
    color = torch.where(tints < 0, pixels[:, :3], colored)
    return torch.cat([color, pixels[:, 3:]], 1)
