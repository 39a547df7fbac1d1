"""What the commands which train one network share: options, and how they read pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from undiffuse.cli.deprecated import RenamedOption
from undiffuse.cli.options import PATH
from undiffuse.cli.param_types import OUTPUT_FOLDER
from undiffuse.cli.progress import Watch, train_with_progress
from undiffuse.cli.progress_bar import Display, Follower
from undiffuse.cli.train_model import DEVICE_HELP, DEVICES

if TYPE_CHECKING:
    from undiffuse.data.picture_set import PictureSet
    from undiffuse.training.stages import Stage

DATA = click.option("--data", type=PATH, required=True, help="Folder of tar shards.")
OUT = click.option(
    "-o", "--out", type=OUTPUT_FOLDER, required=True, help="Folder for checkpoint, log and weights."
)
START = click.option(
    "--start-weights", type=PATH, cls=RenamedOption, old="--start",
    help="Weight file to start from when OUT has no checkpoint; its configuration is used.",
)  # fmt: skip
DEVICE = click.option("--device", type=click.Choice(DEVICES), help=DEVICE_HELP)
COMPILED = click.option(
    "--compile/--eager", "compiled", default=True, show_default=True, help="Use torch.compile."
)


def steps_option(default: int) -> Any:
    return click.option(
        "--steps", type=click.IntRange(1, 10**9), default=default, show_default=True,
        help="Training steps.",
    )  # fmt: skip


def batch_option(default: int, minimum: int = 8) -> Any:
    return click.option(
        "--batch", type=click.IntRange(minimum, 2**16), default=default, show_default=True,
        help="Pictures per step.",
    )  # fmt: skip


def say(line: str) -> None:
    from undiffuse.training.distributed import is_main

    if is_main():
        click.echo(line, err=True)


def follower() -> Follower:
    """Shows the progress of work before the first step, in the main process."""
    from undiffuse.training.distributed import is_main

    return Follower(Display(quiet=not is_main()))


def report_bad_sample(where: str, reason: str) -> None:
    say(f"left out: {where}: {reason}")


def read_pictures(data: Path) -> "PictureSet":
    """The data set in a folder of shards, or in one that `undiffuse data prepare` wrote."""
    from undiffuse.data.picture_set import PictureSet
    from undiffuse.data.prepared import is_prepared, open_prepared

    if is_prepared(data):
        return open_prepared(data)
    return PictureSet.read(data, on_bad=report_bad_sample)


def run_stage(stage: "Stage", tensorboard: bool = False) -> None:
    """Train to the end with progress, export the weights and print their hash."""
    if stage.note:
        say(stage.note)
    train_with_progress(
        stage.run, stage.validate, stage.validate_minutes, stage.chance, stage.flops,
        Watch(stage.run.folder.name, tensorboard=tensorboard),
    )  # fmt: skip
    digest = stage.export()
    if digest:  # of several processes, the main one prints
        click.echo(digest)
