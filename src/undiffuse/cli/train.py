"""`undiffuse train ...`: train CLIP, the codec or the denoiser."""

from dataclasses import replace
from pathlib import Path

import click

from undiffuse.cli.deprecated import RenamedOption, renamed_command
from undiffuse.cli.export_int8 import export as export_int8
from undiffuse.cli.options import PATH, THREADS
from undiffuse.cli.param_types import OUTPUT_FOLDER, FiniteFloat
from undiffuse.cli.train_average import command as average
from undiffuse.cli.train_codec import command as codec
from undiffuse.cli.train_few_steps import command as few_steps
from undiffuse.cli.train_model import TENSORBOARD
from undiffuse.cli.train_model import command as model
from undiffuse.cli.train_options import (
    COMPILED,
    DATA,
    DEVICE,
    OUT,
    START,
    batch_option,
    follower,
    read_pictures,
    run_stage,
    say,
    steps_option,
)
from undiffuse.errors import UserError


class TrainGroup(click.Group):
    """`train DATA ...` trains a whole model; the other commands train one network."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["model", *args]
        return super().parse_args(ctx, args)


@click.group(cls=TrainGroup, subcommand_metavar="DATA -o MODEL | COMMAND ...")
def command() -> None:
    """Train a model on your pictures: `undiffuse train my-pictures/ -o my-model --minutes 60`.

    This is the same as `train model`; the other commands train a single network. The same command
    resumes an interrupted run.
    """


command.add_command(model)
command.add_command(export_int8)
command.add_command(codec)
command.add_command(few_steps)
command.add_command(average)


@command.command()
@DATA
@OUT
@click.option("--words", type=PATH, help="File from `undiffuse data words`.")
@click.option(
    "--text-steps", type=click.IntRange(0, 10**9), default=0, show_default=True,
    help="Steps in which the text encoder learns from --words, before the first picture.",
)  # fmt: skip
@click.option(
    "--preset", type=click.Choice(["clip", "multilingual", "judge"]), default="clip",
    show_default=True, help="Configuration: the CLIP for drawing, one with a larger vocabulary for "
    "prompts in many languages, or the one that judges the pictures.",
)  # fmt: skip
@steps_option(2300)
@batch_option(512, minimum=32)
@click.option(
    "--composite-share", type=FiniteFloat(0, 0.75), default=0.125, show_default=True,
    cls=RenamedOption, old="--composites", help="Share of composite pictures in a batch.",
)  # fmt: skip
@THREADS
@DEVICE
@COMPILED
@TENSORBOARD
@START
@click.option(
    "--grow", is_flag=True,
    help="Add blocks to the network of --start-weights, up to those of --preset.",
)  # fmt: skip
def clip(
    data: Path,
    out: Path,
    words: Path | None,
    text_steps: int,
    preset: str,
    steps: int,
    batch: int,
    composite_share: float,
    threads: int,
    device: str | None,
    compiled: bool,
    tensorboard: bool,
    start_weights: Path | None,
    grow: bool,
) -> None:
    """Train CLIP's two encoders; writes OUT/clip.safetensors.

    A data set that `undiffuse data prepare --alpha` wrote is trained on with icons in random
    colors, scenes of several things, and on grounds of any color.
    """
    from undiffuse.config import STAGE_PRESETS, ClipConfig, from_dict
    from undiffuse.data.judge_split import judge_split
    from undiffuse.data.teacher_table import read_table
    from undiffuse.runtime.weights import read_weights
    from undiffuse.training.clip import TEXT_ONLY_BATCH
    from undiffuse.training.distributed import start
    from undiffuse.training.stages import (
        TEXT,
        StageOptions,
        clip_stage,
        text_encoder_of,
        text_stage,
        train_rows,
    )
    from undiffuse.training.text_distillation import TextBatches

    _check_clip_options(words, text_steps, start_weights, grow)
    chosen = start(device)
    everything = read_pictures(data)
    if preset == "judge":
        everything = judge_split(everything)
    table = read_table(words) if words else None
    texts = TextBatches(table) if table else None
    options = StageOptions(out, steps, batch, compiled, threads, chosen)
    config, encoder = STAGE_PRESETS[preset]["clip"], None
    if start_weights:
        found = from_dict(ClipConfig, read_weights(start_weights, "clip").meta["config"])
        depths = {"image_depth": config.image_depth, "text_depth": config.text_depth}
        config = replace(found, **depths) if grow else found
    if table and texts and text_steps:
        alone = replace(options, out=out / TEXT, steps=text_steps, batch=TEXT_ONLY_BATCH)
        first = text_stage(train_rows(everything), table, texts, config, alone)
        run_stage(first, tensorboard)
        encoder = text_encoder_of(first)
    stage = clip_stage(
        everything, config, options, composite_share, table, texts, start_weights, encoder
    )
    run_stage(stage, tensorboard)


def _check_clip_options(
    words: Path | None, text_steps: int, start_weights: Path | None, grow: bool
) -> None:
    if text_steps and not words:
        raise UserError("--text-steps needs --words: the file from `undiffuse data words`")
    if grow and not start_weights:
        raise UserError("--grow needs --start-weights: the network to add blocks to")
    if text_steps and start_weights:
        raise UserError("--text-steps and --start-weights exclude each other: give one of them")


@command.command()
@click.argument("weights", type=PATH)
@click.option("-o", "--out", type=OUTPUT_FOLDER, help="Folder for graphs/; default: WEIGHTS.")
def export_onnx(weights: Path, out: Path | None) -> None:
    """Export the weight files in the folder WEIGHTS to ONNX; writes OUT/graphs."""
    from undiffuse.training.onnx_export import export_onnx

    for path in export_onnx(weights, out or weights):
        click.echo(path)


command.add_command(renamed_command("graphs", export_onnx))


@command.command()
@DATA
@OUT
@click.option(
    "--clip", "clip_path", type=PATH, required=True,
    help="CLIP's weights, or the folder of a pretrained CLIP.",
)  # fmt: skip
@click.option("--codec", "codec_path", type=PATH, required=True, help="The codec's weights.")
@click.option("--judge", "judge_path", type=PATH, help="CLIP weights that judge samples.")
@steps_option(30000)
@batch_option(256)
@THREADS
@DEVICE
@COMPILED
@TENSORBOARD
@click.option(
    "--target", type=click.Choice(["x0", "eps", "v", "previous"]), default="x0", show_default=True,
    help="What the network predicts; previous: the picture one step less noisy.",
)  # fmt: skip
@click.option(
    "--learning-rate", type=FiniteFloat(0, 1, min_open=True), default=1e-3, show_default=True,
    cls=RenamedOption, old="--rate", help="Learning rate after warm-up.",
)  # fmt: skip
@click.option(
    "--noise-level-mean", type=FiniteFloat(-3, 3), default=0.4, show_default=True,
    cls=RenamedOption, old="--level-mean",
    help="Mean of the logit of the noise levels; 0 centers them on half noise.",
)  # fmt: skip
@START
@click.option(
    "--text-tokens", type=click.IntRange(1, 64),
    help="Tokens of a text that the network reads beside CLIP's vector. Weights to start from may "
    "lack them; then this is a new run.",
)  # fmt: skip
@click.option(
    "--new-run", is_flag=True,
    help="Fine-tune --start-weights: count steps from 0, instead of continuing their run.",
)  # fmt: skip
def denoiser(
    data: Path,
    out: Path,
    clip_path: Path,
    codec_path: Path,
    judge_path: Path | None,
    steps: int,
    batch: int,
    threads: int,
    device: str | None,
    compiled: bool,
    tensorboard: bool,
    target: str,
    learning_rate: float,
    noise_level_mean: float,
    start_weights: Path | None,
    text_tokens: int | None,
    new_run: bool,
) -> None:
    """Train the denoiser with a frozen CLIP and codec; writes OUT/denoiser.safetensors."""
    from undiffuse.config import STAGE_PRESETS, DenoiserConfig, from_dict
    from undiffuse.networks.denoiser import DenoiserNetwork
    from undiffuse.runtime.weights import read_weights
    from undiffuse.training.distributed import start
    from undiffuse.training.embedder import TextEmbedder, text_input
    from undiffuse.training.latent_cache import FrozenModels
    from undiffuse.training.model_io import load_start_weights
    from undiffuse.training.stages import StageOptions, denoiser_stage, train_rows

    config = STAGE_PRESETS["denoiser"]["denoiser"]
    if start_weights:
        config = from_dict(DenoiserConfig, read_weights(start_weights, "denoiser").meta["config"])
    config = replace(config, target=target)
    chosen = start(device)
    pictures = train_rows(read_pictures(data))
    frozen = FrozenModels.load(clip_path, codec_path, chosen)
    config = replace(config, embed=frozen.embed_texts.dim)
    own_tokens = config.text_tokens
    if text_tokens:
        config = replace(config, **text_input(frozen.embed_texts, text_tokens))
    judge = TextEmbedder.load(judge_path, chosen) if judge_path else None
    if start_weights:  # a file that does not fit is refused before the long work
        load_start_weights(start_weights, "denoiser", DenoiserNetwork(config), frozen.hashes)
    cache = frozen.cache(pictures, out.parent / "cache", say, follower())
    options = StageOptions(out, steps, batch, compiled, threads, chosen)
    stage = denoiser_stage(
        pictures, frozen, cache, config, options, learning_rate, noise_level_mean, judge,
        start_weights, "finetune" if new_run or config.text_tokens != own_tokens else "",
    )  # fmt: skip
    run_stage(stage, tensorboard)
