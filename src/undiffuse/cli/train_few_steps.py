"""`undiffuse train few-steps`: distil a denoiser into one that draws in few steps."""

from pathlib import Path

import click

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
from undiffuse.errors import UserError


@click.command("few-steps")
@DATA
@OUT
@click.option("--model", type=PATH, required=True, help="Folder of the model to distil.")
@click.option(
    "--few", type=click.IntRange(1, 10), default=4, show_default=True,
    help="Steps of the new denoiser; a divisor of 20.",
)  # fmt: skip
@click.option(
    "--trajectories", type=click.IntRange(512, 10**7), default=24576, show_default=True,
    help="Samples of the model to learn from; 256 of them are held out.",
)  # fmt: skip
@click.option(
    "--start-weights", type=PATH,
    help="Denoiser to start from when OUT has no checkpoint, such as one distilled before. "
    "Default: that of MODEL.",
)  # fmt: skip
@click.option("--judge", "judge_path", type=PATH, help="CLIP weights that judge samples.")
@steps_option(6000)
@batch_option(256)
@click.option(
    "--learning-rate", type=FiniteFloat(0, 1, min_open=True), default=5e-4, show_default=True,
    help="Learning rate after warm-up.",
)  # fmt: skip
@THREADS
@DEVICE
@COMPILED
@TENSORBOARD
def command(
    data: Path,
    out: Path,
    model: Path,
    few: int,
    trajectories: int,
    start_weights: Path | None,
    judge_path: Path | None,
    steps: int,
    batch: int,
    learning_rate: float,
    threads: int,
    device: str | None,
    compiled: bool,
    tensorboard: bool,
) -> None:
    """Distil a model into one that draws in few steps without guidance.

    Samples MODEL for the captions of DATA, and trains a copy of its denoiser to take several of its
    steps at once. OUT is a model's folder too, with the CLIP, codec and lexicon of MODEL: draw with
    `--model OUT`.
    """
    from undiffuse.runtime.session import weight_file
    from undiffuse.training.distributed import is_main, start
    from undiffuse.training.embedder import TextEmbedder, find_clip_of
    from undiffuse.training.few_steps import complete_model, few_steps_stage
    from undiffuse.training.latent_cache import FrozenModels
    from undiffuse.training.model_io import load_module
    from undiffuse.training.stages import StageOptions, train_rows
    from undiffuse.training.trajectories import sample_trajectories

    chosen = start(device)
    pictures = train_rows(read_pictures(data))
    frozen = FrozenModels.load(find_clip_of(model), weight_file(model, "codec"), chosen)
    teacher = weight_file(model, "denoiser")
    network, weights = load_module(teacher, "denoiser", chosen)
    if weights.meta.get("few_steps"):
        raise UserError(f"{model} draws in few steps already: give the model it was made of")
    judge = TextEmbedder.load(judge_path, chosen) if judge_path else None
    say(f"sampling {trajectories} pictures of {model}")
    sampled = sample_trajectories(
        pictures, frozen, network, weights.hash, few, trajectories, out.parent / "cache",
        follower(), compiled,
    )  # fmt: skip
    options = StageOptions(out, steps, batch, compiled, threads, chosen)
    stage = few_steps_stage(
        pictures, frozen, sampled, teacher, options, learning_rate, judge, start_weights
    )
    run_stage(stage, tensorboard)
    if is_main():
        complete_model(model, out)
