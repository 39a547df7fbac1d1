"""`undiffuse train DATA -o MODEL`: from a data set to a model folder that draws, in one command."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from undiffuse.cli.options import PATH
from undiffuse.cli.param_types import OUTPUT_FOLDER, FiniteFloat
from undiffuse.cli.progress_bar import Display, Follower
from undiffuse.errors import UserError

if TYPE_CHECKING:
    from undiffuse.training.stages import Stage
    from undiffuse.training.train_model import StageContext

SINGLE_STEPS = ("clip", "codec", "denoiser", "decoder")
DEVICES = ("cuda", "mps", "cpu")
DEVICE_HELP = "Where to train. Default: cuda, else mps, else cpu."


def check_tensorboard(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """UserError, before the long work, if TensorBoard is asked for and not installed."""
    if value:
        from undiffuse.training.metrics import require_tensorboard

        require_tensorboard()
    return value


TENSORBOARD = click.option(
    "--tensorboard", is_flag=True, callback=check_tensorboard,
    help="Also write TensorBoard's event files, beside the checkpoints.",
)  # fmt: skip


class BatchSize(click.ParamType):
    """A number of pictures, or "auto"."""

    name = "size"
    numbers = click.IntRange(8, 2**16)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "N|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return value if value == "auto" else self.numbers.convert(value, param, ctx)


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
@click.option(
    "--batch", type=BatchSize(),
    help="Images per step; auto: found by trying. Default: auto on cuda, else by stage.",
)  # fmt: skip
@click.option(
    "--prompts", type=PATH,
    help="File of prompts, one per line, to draw during training. Default: eight captions of DATA.",
)  # fmt: skip
@TENSORBOARD
@click.option("--device", type=click.Choice(DEVICES), help=DEVICE_HELP)
@click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True)
def command(
    data: str, out: Path, minutes: float | None, steps: dict[str, int], mode: str | None,
    preset: str | None, clip: Path | None, style: str | None, alpha: bool,
    batch: int | Literal["auto"] | None, prompts: Path | None, tensorboard: bool,
    device: str | None, threads: int,
) -> None:  # fmt: skip
    """Train a model that draws on DATA; writes the folder MODEL.

    DATA is a folder of captioned images, a table, a saved `datasets` data set, or tar shards, as
    `undiffuse data check DATA` reports. MODEL/report.html shows how training went.
    """
    started = time.monotonic()  # importing torch takes seconds
    from undiffuse.cli.progress import Watch, train_with_progress
    from undiffuse.training.distributed import is_main, start
    from undiffuse.training.train_model import TrainOptions, train_model

    if minutes and steps:
        raise UserError("--minutes and --steps exclude each other: give one of them")
    if alpha and mode != "scratch":
        raise UserError("--alpha needs --from-scratch: the shipped weights have no transparency")
    options = TrainOptions(
        data, out, minutes, mode, preset, steps or None, clip, style, 4 if alpha else 3, threads,
        start(device), batch, prompts,
    )  # fmt: skip
    display = Display(quiet=not is_main())

    def train_stage(stage: "Stage", context: "StageContext") -> None:
        watch = Watch(context.label, context.limit, context.run_left, context.tick, tensorboard)
        train_with_progress(
            stage.run, stage.validate, stage.validate_minutes, stage.chance, stage.flops, watch,
            display,
        )  # fmt: skip

    folder = train_model(options, train_stage, display.say, Follower(display), started)
    if is_main():
        click.echo(folder)
