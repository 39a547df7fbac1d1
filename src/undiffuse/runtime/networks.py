"""The networks without torch: CLIP's encoders, the codec and the denoiser in ONNX Runtime.

Each reads KIND.safetensors and graphs/NAME.onnx from a model's folder. A row of a result depends
on its own row of the input alone, to the byte; see `Session`.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from undiffuse.clip.tokenizer import END, END_OF_WORD, START, Tokenizer, Tokens, bytes_to_unicode
from undiffuse.config import (
    EMBED_DIM,
    IMAGE_SIZE,
    IMPLIED,
    STYLES,
    ClipConfig,
    CodecConfig,
    Config,
    DenoiserConfig,
    from_dict,
)
from undiffuse.diffusion import SCHEDULES, TARGETS, as_denoiser, lookup
from undiffuse.diffusion.arrays import Array, Times, check_array, check_cond
from undiffuse.errors import UserError
from undiffuse.imaging.png import straight_bytes
from undiffuse.imaging.read import read_image
from undiffuse.runtime.session import Session, weight_file
from undiffuse.runtime.weights import Weights, read_weights

Floats = NDArray[np.float32]
MAX_FEW_STEPS = 100


class Encoder(Protocol):
    """The CLIP interface of search, classify, space and map, for our CLIP and pretrained ones."""

    hash: str  # of its files
    dim: int  # of its vectors

    def encode_text(self, texts: Sequence[str]) -> Floats:
        """Unit vectors (B, dim)."""
        ...

    def encode_image(self, pictures: NDArray[Any]) -> Floats:
        """Unit vectors (B, dim) of images, stacked as `read` returns them."""
        ...

    def read(self, path: Path) -> NDArray[Any]:
        """An image file as input of `encode_image`. UserError if it can't be read."""
        ...


class ClipEncoder:
    """CLIP's two encoders. `hash` identifies the weights.

    The image encoder is read when it is first used: drawing needs the text encoder only.
    """

    dim = EMBED_DIM

    def __init__(self, folder: Path, threads: int = 2) -> None:
        """UserError for files that are missing, broken or do not fit each other."""
        self._folder, self._threads = folder, threads
        path = weight_file(folder, "clip")
        weights = read_weights(path, "clip", "text.")
        self.hash, self.config = weights.hash, _config(ClipConfig, weights, path)
        self.tokenizer = _tokenizer(weights, self.config, path)
        self._text = Session(folder, "clip_text", weights, threads)

    @cached_property
    def _cond(self) -> Session:
        weights = _read_part(self._folder, "clip", "text.", self.hash)
        return Session(self._folder, "clip_cond", weights, self._threads)

    @cached_property
    def _image(self) -> Session:
        weights = _read_part(self._folder, "clip", "image.", self.hash)
        return Session(self._folder, "clip_image", weights, self._threads, by_row=True)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """The tokens of texts. `cut` holds the part of each text that is beyond the context."""
        return self.tokenizer(texts)

    def encode_text(self, texts: Sequence[str]) -> Floats:
        """Unit vectors (B, 512). Ignores text beyond the context: `tokens(texts).cut`."""
        if not texts:
            return np.zeros((0, EMBED_DIM), np.float32)
        tokens = self.tokens(texts)
        # Tokens are padded to the whole context: sums over another length round differently.
        return self._text(ids=tokens.ids, lengths=tokens.lengths)

    def encode_states(self, texts: Sequence[str], count: int) -> Floats:
        """What a denoiser reads of the first `count` tokens of texts, (B, count * text_width);
        zeros behind the end of a text. An empty text has no tokens.
        """
        states = np.zeros((len(texts), count * self.config.text_width), np.float32)
        rows = [row for row, text in enumerate(texts) if text]
        if rows:
            tokens = self.tokens([texts[row] for row in rows])
            cond = self._cond(ids=tokens.ids, lengths=tokens.lengths)
            states[rows] = cond[:, self.dim : self.dim + states.shape[1]]
        return states

    def encode_image(self, pictures: NDArray[Any]) -> Floats:
        """Unit vectors (B, 512) of images (B, 3, H, W): bytes of any size, or 64x64 floats in
        [-1, 1]. UserError for another array."""
        pixels = to_pixels(pictures, IMAGE_SIZE)
        return self._image(pictures=pixels) if len(pixels) else np.zeros((0, EMBED_DIM), np.float32)

    def read(self, path: Path) -> NDArray[np.uint8]:
        """An image file as bytes (3, 64, 64). UserError if it can't be read."""
        return read_image(path).transpose(2, 0, 1)


class CodecRuntime:
    """Pixels to latents and back. `hash` identifies the weights, `encoder` the latents.

    The encoder is read when it is first used.
    """

    def __init__(self, folder: Path, threads: int = 2) -> None:
        """UserError for files that are missing, broken or do not fit each other."""
        self._folder, self._threads = folder, threads
        path = weight_file(folder, "codec")
        weights = read_weights(path, "codec", "decoder.")
        self.hash, self.config = weights.hash, _config(CodecConfig, weights, path)
        self.encoder = weights.encoder
        self._decode = self._half("codec_decode", weights)

    def _half(self, name: str, weights: Weights) -> Session:
        return Session(self._folder, name, weights, self._threads, by_row=True)

    @cached_property
    def _encode(self) -> Session:
        return self._half("codec_encode", _read_part(self._folder, "codec", "encoder.", self.hash))

    def encode(self, pixels: NDArray[Any]) -> Floats:
        """Latents (B, C, S, S) of images: bytes (B, 3 or C, H, W), or floats of the codec's size in
        [-1, 1], premultiplied by alpha.
        """
        size, shape = self.config.image_size, np.shape(pixels)
        if len(shape) == 4 and shape[2:] == (self.config.encoder_picture[0],) * 2:
            times = size // shape[2]  # exact, because the encoder averages over these pixels
            pixels = pixels.repeat(times, axis=2).repeat(times, axis=3)
        return self._encode(pixels=to_pixels(pixels, size, self.config.image_channels))

    def decode(self, latents: Floats) -> Floats:
        """Pixels (B, 3, 64, 64), approximately in [-1, 1], of latents (B, C, S, S)."""
        _check_shape("latents", latents, self.config)
        return self._decode(latents=latents)

    def decode_bytes(self, latents: Floats) -> NDArray[np.uint8]:
        """The same as bytes (B, H, W, 3), or (B, H, W, 4) with straight alpha."""
        _check_shape("latents", latents, self.config)
        return self._decode.run(straight_bytes, latents=latents)


class DenoiserRuntime:
    """`denoiser(x_t, t, cond) -> x0`, whatever the network itself predicts.

    `hash` identifies the weights. `trained_with` holds the hashes of the CLIP and of the codec's
    encoder that it was trained with. `styles` are those that it knows; `default_style` is None
    where the file does not say. `few_steps` is the number of steps that a distilled network takes,
    without guidance; 0 for others.
    """

    def __init__(self, folder: Path, threads: int = 2, file: str = "denoiser") -> None:
        """UserError for files that are missing, broken or do not fit each other."""
        path = weight_file(folder, file)
        weights = read_weights(path, "denoiser")
        self.hash, self.config = weights.hash, _config(DenoiserConfig, weights, path)
        self.clip_name: str | None = weights.meta.get("clip_name")  # of a pretrained CLIP
        self.trained_with = {kind: weights.meta.get(kind) for kind in ("clip", "codec")}
        self.styles = tuple(map(str, weights.meta.get("styles", STYLES)))
        self.default_style: str | None = weights.meta.get("style")
        self.few_steps = _few_steps(weights, path)
        self.schedule = lookup(SCHEDULES, self.config.schedule, "schedule")
        lookup(TARGETS, self.config.target, "target")
        self._session = Session(folder, "denoiser", weights, threads)
        self.chain: int = weights.meta.get("chain", 0)  # of a network that predicts 'previous'
        self._denoiser = as_denoiser(
            self.config.target, self.schedule, self._predict, chain=self.chain
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of x0."""
        return self.config.channels, self.config.side, self.config.side

    def __call__(self, x_t: Floats, t: Times, cond: Floats | None) -> Floats:
        """x0 (B, C, S, S) of x_t, for t a float or (B,) and cond (B, 512) or None.

        UserError for arrays that do not fit.
        """
        _check_shape("x_t", x_t, self.config)
        x0: Floats = self._denoiser(x_t, t, cond)
        return x0

    def _predict(self, x_t: Array, t: Times, cond: Array | None) -> Array:
        count = len(x_t)
        if cond is None:
            cond = np.zeros((count, self.config.cond_size), np.float32)
        check_cond("cond", cond, x_t, rows=(count,))
        levels = np.broadcast_to(np.asarray(t, np.float32), (count,))
        return self._session(x_t=x_t, t=levels, cond=np.asarray(cond, np.float32))


def _tokenizer(weights: Weights, config: ClipConfig, path: Path) -> Tokenizer:
    """The tokenizer in CLIP's file. UserError unless it has all bytes, and each id a vector."""
    tokenizer = Tokenizer.from_json(str(weights.meta.get("tokenizer")), config.context)
    letters = [letter + end for letter in bytes_to_unicode().values() for end in ("", END_OF_WORD)]
    known = tokenizer.vocabulary
    if not {START, END, *letters} <= known.keys() or not (
        min(known.values()) >= 0 and max(known.values()) < config.vocabulary
    ):
        raise UserError(f"{path} is broken: its tokenizer doesn't fit its encoder")
    return tokenizer


def to_pixels(pictures: NDArray[Any], size: int = IMAGE_SIZE, channels: int = 3) -> Floats:
    """Bytes (B, C, H, W), or floats (B, C, size, size) in [-1, 1], as float32 of `size`.

    C is 3, or `channels`; RGB gets an opaque alpha channel where `channels` is 4.
    """
    shape = np.shape(pictures)
    if len(shape) != 4 or shape[1] not in (3, channels) or 0 in shape[2:]:
        raise UserError(f"pictures have shape {shape}: give (B, {channels}, H, W)")
    if pictures.dtype == np.uint8:
        if shape[2:] != (size, size):
            pictures = np.stack([_resized(picture, size) for picture in pictures])
        pixels = pictures.astype(np.float32) / np.float32(127.5) - np.float32(1)
    else:
        check_array("pictures", pictures)
        if shape[2:] != (size, size):
            raise UserError(f"pictures are {shape[2]}x{shape[3]}: give floats as {size}x{size}")
        pixels = pictures.astype(np.float32)
    if shape[1] == channels:
        return pixels
    return np.concatenate([pixels, np.ones_like(pixels[:, :1])], axis=1)


def _resized(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS)).transpose(2, 0, 1)


def _check_shape(argument: str, x: Array, config: CodecConfig | DenoiserConfig) -> None:
    wanted = (config.channels, config.side, config.side)
    check_array(argument, x)
    if x.dtype != np.float32 or x.shape[1:] != wanted or not len(x):
        raise UserError(f"{argument} is {x.dtype} {x.shape}: give float32 (B, *{wanted})")


def _config(kind: type[Config], weights: Weights, path: Path) -> Config:
    """The configuration in a weight file. UserError unless it has every setting, of its type."""
    config = from_dict(kind, weights.meta["config"])
    for name, usual in vars(kind()).items():
        value = getattr(config, name)
        if name not in weights.meta["config"].keys() | IMPLIED.keys() or (
            not isinstance(value, type(usual)) and not isinstance(usual, float | tuple)
        ):
            raise UserError(f"{path} is broken: its configuration has {name}={value!r}")
    return config


def _few_steps(weights: Weights, path: Path) -> int:
    found = weights.meta.get("few_steps", 0)
    if not isinstance(found, int) or not 0 <= found <= MAX_FEW_STEPS:
        raise UserError(f"{path} is broken: its metadata has few_steps={found!r}")
    return found


def _read_part(folder: Path, kind: str, part: str, known: str) -> Weights:
    """Another part of a weight file. UserError if the file has changed."""
    path = weight_file(folder, kind)
    weights = read_weights(path, kind, part)
    if weights.hash != known:
        raise UserError(f"{path} was changed while it was in use: load the model again")
    return weights
