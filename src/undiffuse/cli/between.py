"""`undiffuse between ONE OTHER`: the way from one prompt to another, as a strip or moving."""

from pathlib import Path

import click

from undiffuse.cli.draw import MODEL, THREADS
from undiffuse.errors import UserError


@click.command()
@click.argument("one")
@click.argument("other")
@click.option("-n", "count", type=click.IntRange(2, 256), default=8, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@click.option("--style", help="As for draw.")
@click.option("--scale", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A strip (.png), or a moving picture (.gif, .apng, .webp).",
)
@click.option("--overwrite", is_flag=True, help="Write over a file that is there.")
@MODEL
@THREADS
def command(
    one: str,
    other: str,
    count: int,
    seed: int,
    style: str | None,
    scale: int,
    out: Path,
    overwrite: bool,
    model: Path | None,
    threads: int,
) -> None:
    """Draw COUNT pictures from ONE to OTHER, along the sphere, all from the same noise.

    Both may be words, the path of a picture, or a sum of them.
    """
    from PIL import Image

    from undiffuse.cli.output_paths import check_place
    from undiffuse.imaging import files, png
    from undiffuse.pipeline import load
    from undiffuse.pipeline.trace import MOVES, moving

    suffix = out.suffix.lower()
    if suffix != ".png" and suffix not in MOVES:
        raise UserError(f"{out}: give a name that ends in .png, {', '.join(MOVES)}")
    check_place(out, overwrite=overwrite)
    pictures = load(model, threads).between(one, other, count, seed, style=style)
    large = [png.upscale(picture.pixels, scale) for picture in pictures]
    if suffix == ".png":
        record = {"grid": [picture.record for picture in pictures]}
        files.write_atomic(out, png.encode_png(png.image_grid(large, columns=count), record))
    else:
        files.write_atomic(out, moving([Image.fromarray(one) for one in large], MOVES[suffix]))
    click.echo(out)
