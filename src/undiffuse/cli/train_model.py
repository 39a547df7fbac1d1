"""`undiffuse train DATA -o MODEL`: from a data set to a model folder that draws, in one command."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from undiffuse.cli.param_types import OUTPUT_FOLDER, FiniteFloat
from undiffuse.errors import UserError

if TYPE_CHECKING:
    from undiffuse.training.plan import TimeLimit
    from undiffuse.training.stages import Stage

SINGLE_STEPS = ("clip", "codec", "denoiser", "decoder")


def parse_steps(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> object:
    """`("codec=100", "denoiser=500")` as a dictionary."""
    steps = {}
    for value in values:
        stage, _, number = value.partition("=")
        if stage not in SINGLE_STEPS or not number.isdecimal() or not 0 < int(number) < 10**9:
            raise click.BadParameter(f"{value!r}: give STAGE=N, with STAGE one of "
                                     f"{', '.join(SINGLE_STEPS)}")  # fmt: skip
        steps[stage] = int(number)
    return steps


@click.command("model")
@click.argument("data")
@click.option("-o", "--out", type=OUTPUT_FOLDER, required=True, help="Model folder to write.")
@click.option(
    "--minutes", type=FiniteFloat(0.1, 10**6), help="Time limit; sizes and steps are chosen for it."
)
@click.option(
    "--steps", multiple=True, callback=parse_steps, metavar="STAGE=N",
    help="Steps of a stage (clip, codec, denoiser, decoder) instead of a time limit.",
)  # fmt: skip
@click.option(
    "--from-scratch", "mode", flag_value="scratch",
    help="Train all networks anew. Default for 5,000 images and more.",
)  # fmt: skip
@click.option(
    "--finetune", "mode", flag_value="finetune",
    help="Start from the shipped weights. Default for smaller data sets.",
)  # fmt: skip
@click.option("--lora", "mode", flag_value="lora", help="Fine-tune low-rank updates only.")
@click.option(
    "--preset", type=click.Choice(["tiny", "small", "medium", "large"]),
    help="Size of the networks, with --from-scratch: 32, 64, 128 or 256 pixels.",
)  # fmt: skip
@click.option(
    "--clip", type=click.Path(path_type=Path), help="Folder of a CLIP to use as it is (frozen)."
)
@click.option("--style", help="Style name of images that have none. Default: name of DATA.")
@click.option("--alpha", is_flag=True, help="Train on transparency too (RGBA); from scratch only.")
@click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True)
def command(
    data: str, out: Path, minutes: float | None, steps: dict[str, int], mode: str | None,
    preset: str | None, clip: Path | None, style: str | None, alpha: bool, threads: int,
) -> None:  # fmt: skip
    """Train a model that draws on DATA; writes the folder MODEL.

    DATA is a folder of captioned images, a table, a saved `datasets` data set, or tar shards, as
    `undiffuse data check DATA` reports.
    """
    from undiffuse.training.train_model import TrainOptions, train_model

    if minutes and steps:
        raise UserError("--minutes and --steps exclude each other: give one of them")
    if alpha and mode != "scratch":
        raise UserError("--alpha needs --from-scratch: the shipped weights have no transparency")
    options = TrainOptions(
        data, out, minutes, mode, preset, steps or None, clip, style, 4 if alpha else 3, threads
    )
    click.echo(train_model(options, train_stage, lambda line: click.echo(line, err=True)))


def train_stage(stage: "Stage", limit: "TimeLimit | None") -> None:
    """Train one stage to its end with progress on stderr."""
    from undiffuse.cli.progress import train_with_progress

    if limit:
        stage.run.steps = 10**9
    train_with_progress(
        stage.run, stage.validate, stage.validate_minutes, stage.chance, stage.flops, limit
    )
