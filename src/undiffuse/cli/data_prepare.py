"""`undiffuse data prepare`: decode a data set once, for training runs to read."""

from pathlib import Path

import click

from undiffuse.cli.param_types import OUTPUT_FOLDER


@click.command()
@click.argument("data")
@click.option("-o", "--out", type=OUTPUT_FOLDER, required=True, help="Folder to write.")
@click.option(
    "--size", type=click.IntRange(16, 512), default=64, show_default=True,
    help="Pixels of a side.",
)  # fmt: skip
@click.option("--alpha", is_flag=True, help="Keep transparency (RGBA); otherwise RGB on white.")
@click.option("--style", default="", help="Style name of images that have none.")
def prepare(data: str, out: Path, size: int, alpha: bool, style: str) -> None:
    """Decode and resize the pictures of DATA into one file that training maps into memory.

    DATA is what `undiffuse data check` takes. `undiffuse train clip --data OUT` reads the result.
    """
    from undiffuse.cli.progress_bar import Display, Follower
    from undiffuse.data.prepared import prepare
    from undiffuse.data.sources import open_source

    display = Display()
    pictures = prepare(
        open_source(data), out, size=size, channels=4 if alpha else 3, style=style,
        say=display.say, follow=Follower(display),
    )  # fmt: skip
    display.clear()
    click.echo(f"{len(pictures.records)} pictures", err=True)
    click.echo(out)
