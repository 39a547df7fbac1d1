"""Configuration: a frozen dataclass for each network and for drawing, and the presets."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from undiffuse.errors import UserError

IMAGE_SIZE = 64  # height and width in pixels
EMBED_DIM = 512  # dimensions of CLIP's embedding space


@dataclass(frozen=True)
class ClipConfig:
    """CLIP's two encoders. `tower`: the image encoder, a "transformer" over 16 tokens or "conv"."""

    tower: str = "transformer"
    image_width: int = 256
    image_depth: int = 4
    image_heads: int = 4
    vocabulary: int = 12288
    token_width: int = 96  # token embeddings have this width; a matrix projects them to text_width
    text_width: int = 256
    text_depth: int = 3
    text_heads: int = 4
    context: int = 32  # maximum number of tokens, including start and end
    seed: int = 0


@dataclass(frozen=True)
class CodecConfig:
    """The autoencoder. `patch` x `patch` pixels become one position; `widths`: the channels there
    and after each halving but the last. The result has `encoder_side` positions a side, and is
    resampled if `side` differs from that.
    """

    channels: int = 64
    side: int = 4
    widths: tuple[int, ...] = (48, 96, 176)
    latent_noise: float = 0.2  # maximum noise level added to the latents in training
    flat: float = 0.16  # tone of the bilateral filter that follows the decoder; 0 is off
    seed: int = 0
    image_size: int = IMAGE_SIZE
    image_channels: int = 3  # 4: RGB premultiplied by alpha, and alpha
    patch: int = 2
    input_size: int = 0  # the encoder sees pictures averaged to this size; 0: of image_size
    input_channels: int = 0  # 3: the encoder sees RGBA on white; 0: all of image_channels
    # Channels of a decoder that works at a quarter of image_size and below, from the finest
    # positions to the coarsest. Empty: a decoder that mirrors the encoder.
    decoder_widths: tuple[int, ...] = ()

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """The shape of a picture, `(C, S, S)`."""
        return self.image_channels, self.image_size, self.image_size

    @property
    def encoder_picture(self) -> tuple[int, int]:
        """Pixels of a side and channels of what the encoder sees."""
        return self.input_size or self.image_size, self.input_channels or self.image_channels

    @property
    def encoder_side(self) -> int:
        """Positions a side after the last halving."""
        return self.encoder_picture[0] // self.patch // 2 ** len(self.widths)


@dataclass(frozen=True)
class DenoiserConfig:
    """The denoising network: shape of the latents, size, prediction target and schedule."""

    channels: int = 64
    side: int = 4
    width: int = 288
    depth: int = 8
    heads: int = 6
    context: int = 4  # tokens projected from the CLIP vector
    target: str = "x0"
    schedule: str = "linear"
    seed: int = 0
    embed: int = EMBED_DIM  # dimensions of the CLIP vector
    text_tokens: int = 0  # states of the text's tokens that are read beside the CLIP vector
    text_channels: int = 256  # of each: the text_width of CLIP
    text_depth: int = 0  # blocks over the tokens of the text, before the picture attends to them

    @property
    def cond_size(self) -> int:
        """Columns of `cond`: the CLIP vector, and behind it the states of the text's tokens."""
        return self.embed + self.text_tokens * self.text_channels


STYLES = ("noto", "twemoji", "fluent", "flat", "emojione", "blob")  # of the shipped model


@dataclass(frozen=True)
class DrawConfig:
    """Default settings for drawing.

    Chosen by `undiffuse evaluate sweep` on the model trained for 2.67 hours: on 120 held-out
    (concept, style) pairs the judge has 71% top-1 and 89% top-5 accuracy, the highest of all
    settings tried (docs/log).
    """

    sampler: str = "dpmpp_2m"
    steps: int = 20
    guidance: float = 4.0
    band_low: float = 0.0  # guidance is on at noise levels from band_low to band_high
    band_high: float = 1.0
    shift: float = 1.5  # above 1, more of the steps are at high noise levels
    style: str = "twemoji"  # added to a prompt that names no style; "" adds none
    # At noise levels below style_below, what a requested style adds to the vector is multiplied by
    # 1 + style_strength. The style is decided late; at higher levels this costs content.
    style_strength: float = 1.5
    style_below: float = 0.6
    fast_style_below: float = 0.7  # of a denoiser of few steps: two of four steps are below it
    color_strength: float = 1.0  # the same for the color that a phrase says of a noun
    freshness: float | None = None  # share of new noise at each step; None: as the sampler has it

    def in_few_steps(self, steps: int) -> "DrawConfig":
        """These settings for a denoiser that was distilled to few steps without guidance."""
        below = self.fast_style_below
        return replace(self, sampler="euler", steps=steps, guidance=1.0, style_below=below)


def large_codec(channels: int, side: int) -> CodecConfig:
    """A codec for RGBA at 256 pixels that encodes from 128, with `side` x `side` x `channels`
    latents; `side` is 4, 6 or 8.
    """
    widths, coarse = ((96, 160, 256), (256,)) if side == 4 else ((96, 192), ())
    return CodecConfig(
        channels=channels, side=side, widths=widths, flat=0.0, image_size=256, image_channels=4,
        patch=4, input_size=128, decoder_widths=(40, 72, 128, 192, *coarse),
    )  # fmt: skip


def with_large_decoder(codec: CodecConfig) -> CodecConfig:
    """The same codec with further layers behind its decoder, to RGBA at 4 times the size."""
    return replace(
        codec, flat=0.0, image_size=4 * codec.image_size, image_channels=4,
        input_size=codec.image_size, input_channels=codec.image_channels,
        decoder_widths=(48,),
    )  # fmt: skip


# Name -> a codec of `train codec --latents`.
LARGE_CODECS = {
    "4x4x64": large_codec(64, 4), "6x6x40": large_codec(40, 6), "8x8x16": large_codec(16, 8),
}  # fmt: skip

STAGE_PRESETS: dict[str, dict[str, Any]] = {
    "clip": {"clip": ClipConfig()},
    "codec": {"codec": CodecConfig()},
    "denoiser": {"denoiser": DenoiserConfig()},
    # For prompts in many languages: `--words`, and `--text-steps` before the first picture.
    "multilingual": {"clip": ClipConfig(vocabulary=24000, text_depth=4)},
    # The judge evaluates the other CLIP's pictures, so its architecture and seed differ.
    "judge": {
        "clip": ClipConfig(
            tower="conv",
            image_depth=15,
            text_depth=6,
            seed=1,
        )
    },
}

Config = TypeVar("Config")
# Settings that version 0.1 did not have, with the values that its files imply. They are not
# written at these values, so that files and graphs of that version stay valid.
IMPLIED = {
    "image_size": IMAGE_SIZE, "image_channels": 3, "patch": 2, "embed": EMBED_DIM,
    "text_tokens": 0, "text_channels": 256, "text_depth": 0, "input_size": 0, "input_channels": 0,
    "decoder_widths": [],
}  # fmt: skip


def to_dict(config: Any) -> dict[str, Any]:
    """The configuration as JSON data, for a weight file's metadata."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return {name: value for name, value in plain.items() if IMPLIED.get(name) != value}


def from_dict(kind: type[Config], values: dict[str, Any]) -> Config:
    """The configuration from `to_dict`'s data. Raises UserError for an unknown setting."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(f"{kind.__name__} has no setting {name!r}: update undiffuse to read it")
    return kind(**values)
