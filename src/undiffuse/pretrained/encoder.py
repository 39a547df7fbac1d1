"""A pretrained CLIP, OpenAI's or open_clip's, as search, classify, space and map use one: in torch,
from a folder on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.clip.tokenizer import Tokens
from undiffuse.diffusion.arrays import check_array
from undiffuse.errors import UserError
from undiffuse.imaging.read import open_image
from undiffuse.pretrained.files import find_files

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]
BATCH = 32  # rows that are encoded at once


class PretrainedClip:
    """Words and pictures to unit vectors `(B, dim)`; `network` is the torch module itself.

    `hash` is of all its files. A row differs by at most 1e-5 with what else is in the batch.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """`threads`: of torch, for the whole process; as they are if not given.

        UserError for a folder without a CLIP that can be read, or where torch is missing.
        """
        try:
            import torch

            from undiffuse.pretrained.network import load_files
        except ModuleNotFoundError as error:
            said = f"{folder} needs {error.name} to run"
            raise UserError(f"{said}: pip install 'undiffuse[train]'") from error
        if threads:
            torch.set_num_threads(threads)
        files = find_files(folder)
        self.config, self.tokenizer = files.config, files.tokenizer
        self.preprocess, self.dim = files.preprocess, files.config.dim
        self.network = load_files(files)
        self.hash = files.hash()

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """What the encoder reads of texts; `cut` is what it doesn't, "" for a text that fits."""
        return self.tokenizer(texts)

    def encode_text(self, texts: Sequence[str]) -> Floats:
        """Unit vectors `(B, dim)`. What is beyond the context is left out: `tokens(texts).cut`."""
        import torch

        tokens = self.tokens(texts)
        rows = []
        for start in range(0, len(texts), BATCH):
            part = slice(start, start + BATCH)
            # What follows the end is never seen: the longest text says how much is needed.
            ids = tokens.ids[part, : tokens.lengths[part].max()]
            with torch.inference_mode():
                rows.append(_unit(self.network.encode_text(torch.from_numpy(ids))))
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def encode_image(self, pictures: NDArray[Any]) -> Floats:
        """Unit vectors `(B, dim)` of `(B, 3, H, W)`: bytes of any size, or floats as `read` gives
        them. UserError for any other array."""
        import torch

        seen = self._seen(pictures)
        rows = []
        for start in range(0, len(seen), BATCH):
            with torch.inference_mode():
                part = torch.from_numpy(seen[start : start + BATCH])
                rows.append(_unit(self.network.encode_image(part)))
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def read(self, path: Path) -> Floats:
        """A picture file as the network sees it, `(3, side, side)`. UserError if it can't be."""
        return self.preprocess(open_image(path))

    def _seen(self, pictures: NDArray[Any]) -> Floats:
        side, shape = self.config.side, np.shape(pictures)
        if len(shape) != 4 or shape[1] != 3 or 0 in shape[2:]:
            raise UserError(f"pictures have shape {shape}: give (B, 3, H, W)")
        if pictures.dtype == np.uint8:
            from PIL import Image

            upright = np.ascontiguousarray(pictures.transpose(0, 2, 3, 1))
            seen = [self.preprocess(Image.fromarray(picture)) for picture in upright]
            return np.stack(seen) if seen else np.zeros((0, 3, side, side), np.float32)
        check_array("pictures", pictures)
        if shape[2:] != (side, side):
            raise UserError(f"pictures are {shape[2]}x{shape[3]}: give floats as {side}x{side}")
        return np.ascontiguousarray(pictures, np.float32)


def _unit(features: "Tensor") -> Floats:
    unit: Floats = (features / features.norm(dim=-1, keepdim=True).clamp_min(1e-12)).numpy()
    return unit
