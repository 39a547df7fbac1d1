"""A pretrained CLIP, OpenAI's or open_clip's, as an encoder for search, classify, space and map."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undiffuse.clip.tokenizer import Tokens
from undiffuse.diffusion.arrays import check_array
from undiffuse.errors import UserError
from undiffuse.imaging.read import open_image
from undiffuse.pretrained.config import build_network
from undiffuse.pretrained.files import find_clip, hash_files
from undiffuse.pretrained.preprocess import Floats, read_preprocess
from undiffuse.pretrained.tokenizer import read_tokenizer
from undiffuse.pretrained.weights import load_weights

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 32  # rows that are encoded at once


class PretrainedClip:
    """Converts texts and images to unit vectors `(B, dim)`.

    `network` is transformers' CLIPModel, `hash` a hash of all files. A row differs by at most 1e-5
    with the other rows of its batch. `image_features` and `text_features` are differentiable, for
    example to train a linear probe on frozen features:

        clip = PretrainedClip(Path("clip-vit-base-patch32"))
        clip.network.requires_grad_(False)
        probe = torch.nn.Linear(clip.dim, classes)
        optimizer = torch.optim.AdamW(probe.parameters(), lr=1e-2)
        for pixels, labels in batches:  # (B, 3, side, side), from `read` or `preprocess`
            loss = F.cross_entropy(probe(clip.image_features(pixels)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """`threads`: number of torch's threads, for the whole process; None keeps it.

        UserError for a folder without a CLIP that can be read. No file is ever downloaded.
        """
        config_path, weights_path = find_clip(folder)
        self.network = build_network(config_path)
        config: Any = self.network.config
        self.dim: int = config.projection_dim
        side = config.vision_config.image_size
        self.preprocess, preprocess_path = read_preprocess(folder, config_path, side)
        self.tokenizer, tokenizer_paths = read_tokenizer(folder, config.text_config)
        load_weights(self.network, weights_path)
        self.network.eval()
        if threads:
            import torch

            torch.set_num_threads(threads)
        paths = (weights_path, config_path, preprocess_path, *tokenizer_paths)
        self.paths = tuple(dict.fromkeys(paths))  # open_clip's has one path twice
        self.hash = hash_files(self.paths)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """The encoder's input for texts; `cut` is the end of each text that did not fit."""
        return self.tokenizer(texts)

    def encode_text(self, texts: Sequence[str]) -> Floats:
        """Unit vectors `(B, dim)`. Texts are truncated to the context: see `tokens(texts).cut`."""
        tokens = self.tokens(texts)
        # Attention is causal, so padding can be left out.
        ids = tokens.ids[:, : max(tokens.lengths, default=0)]
        return self._in_batches(self.text_features, ids)

    def encode_image(self, pictures: NDArray[Any]) -> Floats:
        """Unit vectors `(B, dim)` of `(B, 3, H, W)`: bytes of any size, or floats from `read`.

        UserError for any other array."""
        return self._in_batches(self.image_features, self._pixels(pictures))

    def image_features(self, pixels: "Tensor") -> "Tensor":
        """Features `(B, dim)`, not normalized, of preprocessed images `(B, 3, side, side)`."""
        pooled = self.network.vision_model(pixel_values=pixels).pooler_output
        return self.network.visual_projection(pooled)

    def text_features(self, ids: "Tensor") -> "Tensor":
        """Features `(B, dim)`, not normalized, of ids `(B, N)`, N up to the context."""
        pooled = self.network.text_model(input_ids=ids).pooler_output
        return self.network.text_projection(pooled)

    def read(self, path: Path) -> Floats:
        """A preprocessed image file, `(3, side, side)`. UserError if it can't be read."""
        return self.preprocess(open_image(path))

    def _in_batches(self, encode: Callable[["Tensor"], "Tensor"], inputs: NDArray[Any]) -> Floats:
        import torch
        from torch.nn.functional import normalize

        vectors = np.zeros((len(inputs), self.dim), np.float32)
        with torch.inference_mode():
            for start in range(0, len(inputs), BATCH):
                batch = torch.from_numpy(inputs[start : start + BATCH]).to(self.network.device)
                vectors[start : start + BATCH] = normalize(encode(batch), dim=-1).cpu().numpy()
        return vectors

    def _pixels(self, pictures: NDArray[Any]) -> Floats:
        side, shape = self.preprocess.side, np.shape(pictures)
        if len(shape) != 4 or shape[1] != 3 or 0 in shape[2:]:
            raise UserError(f"pictures have shape {shape}: give (B, 3, H, W)")
        if pictures.dtype == np.uint8:
            pixels = np.zeros((len(pictures), 3, side, side), np.float32)
            for row, picture in enumerate(pictures.transpose(0, 2, 3, 1)):
                pixels[row] = self.preprocess(Image.fromarray(np.ascontiguousarray(picture)))
            return pixels
        check_array("pictures", pictures)
        if shape[2:] != (side, side):
            raise UserError(f"pictures are {shape[2]}x{shape[3]}: give floats as {side}x{side}")
        return np.ascontiguousarray(pictures, np.float32)
