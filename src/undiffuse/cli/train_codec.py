"""`undiffuse train codec`: train the autoencoder between pixels and latents."""

from pathlib import Path

import click

from undiffuse.cli.deprecated import RenamedOption
from undiffuse.cli.options import PATH, THREADS
from undiffuse.cli.param_types import FiniteFloat
from undiffuse.cli.train_model import TENSORBOARD
from undiffuse.cli.train_options import (
    COMPILED,
    DATA,
    DEVICE,
    OUT,
    batch_option,
    follower,
    read_pictures,
    run_stage,
    say,
    steps_option,
)
from undiffuse.config import LARGE_CODECS
from undiffuse.errors import UserError


@click.command(name="codec")
@DATA
@OUT
@steps_option(3600)
@batch_option(128)
@THREADS
@DEVICE
@COMPILED
@TENSORBOARD
@click.option(
    "--start-decoder", type=PATH, cls=RenamedOption, old="--decoder-of",
    help="Codec weights to start from. The encoder stays frozen, so the denoiser stays valid.",
)  # fmt: skip
@click.option(
    "--enlarge", is_flag=True,
    help="With --start-decoder: keep that codec frozen, and train layers behind it that draw RGBA "
    "at 4 times the size. DATA needs pictures of that size.",
)  # fmt: skip
@click.option(
    "--sharpness-weight", type=FiniteFloat(0, 1000), default=0.0, show_default=True,
    cls=RenamedOption, old="--sharp", help="Weight of the loss against soft edges.",
)  # fmt: skip
@click.option(
    "--latents", type=click.Choice(list(LARGE_CODECS)),
    help="Train a codec for RGBA at 256 pixels with latents of this shape. Default: the codec for "
    "RGB at 64 pixels.",
)  # fmt: skip
@click.option(
    "--sampled-by", type=PATH, cls=RenamedOption, old="--drawn-by",
    help="Model folder: train the decoder on latents sampled by its denoiser as well.",
)  # fmt: skip
@click.option(
    "--sampled-count", type=click.IntRange(8, 10**7), default=24576, show_default=True,
    help="Latents to sample.",
)  # fmt: skip
def command(
    data: Path,
    out: Path,
    steps: int,
    batch: int,
    threads: int,
    device: str | None,
    compiled: bool,
    tensorboard: bool,
    start_decoder: Path | None,
    enlarge: bool,
    sharpness_weight: float,
    latents: str | None,
    sampled_by: Path | None,
    sampled_count: int,
) -> None:
    """Train the codec, an autoencoder from pixels to latents; writes OUT/codec.safetensors."""
    from undiffuse.config import STAGE_PRESETS, CodecConfig, from_dict, with_large_decoder
    from undiffuse.runtime.weights import read_weights
    from undiffuse.training.decoder_finetune import sample_latents
    from undiffuse.training.distributed import start
    from undiffuse.training.stages import StageOptions, codec_stage, train_rows

    chosen = start(device)
    if enlarge and not start_decoder:
        raise UserError("--enlarge needs --start-decoder: the codec whose decoder grows")
    if start_decoder:
        if latents:
            raise UserError("--latents and --start-decoder exclude each other: give one of them")
        config = from_dict(CodecConfig, read_weights(start_decoder, "codec").meta["config"])
        config = with_large_decoder(config) if enlarge else config
    else:
        config = LARGE_CODECS[latents] if latents else STAGE_PRESETS["codec"]["codec"]
    everything = read_pictures(data)
    found, wanted = everything.pictures.shape[1:], config.picture_shape
    if found != wanted:
        raise UserError(f"{data} has pictures of shape {found}, and the codec needs {wanted}: "
                        f"`undiffuse data prepare --size {wanted[1]} --alpha` makes them for "
                        "--latents")  # fmt: skip
    sampled = None
    if sampled_by:
        pictures, cache = train_rows(everything), out.parent / "cache"
        sampled = sample_latents(
            pictures, sampled_by, cache, sampled_count, say, chosen, follow=follower()
        )  # fmt: skip
    options = StageOptions(out, steps, batch, compiled, threads, chosen)
    stage = codec_stage(everything, config, options, start_decoder, sharpness_weight, sampled)
    run_stage(stage, tensorboard)
