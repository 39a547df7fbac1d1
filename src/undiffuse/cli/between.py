"""`undiffuse between ONE OTHER`: interpolate between two prompts."""

from pathlib import Path

import click

from undiffuse.cli.options import MODEL, OVERWRITE, SEED, THREADS
from undiffuse.cli.output_paths import check_output_path
from undiffuse.cli.param_types import OUTPUT_FILE

SMALL = 128  # pixels of a side


@click.command()
@click.argument("one")
@click.argument("other")
@click.option("-n", "count", type=click.IntRange(2, 256), default=8)
@SEED
@click.option("--style", help="As for draw.")
@click.option("--scale", type=click.IntRange(1, 16),
              help="Enlarge pixels. Default: 2 for pictures under 128 pixels, else 1.")  # fmt: skip
@click.option(
    "-o",
    "--out",
    type=OUTPUT_FILE,
    required=True,
    help="A row of pictures (.png) or an animation (.gif, .apng, .webp).",
)
@OVERWRITE
@MODEL
@THREADS
def command(
    one: str,
    other: str,
    count: int,
    seed: int,
    style: str | None,
    scale: int | None,
    out: Path,
    overwrite: bool,
    model: Path | None,
    threads: int,
) -> None:
    """Draw COUNT pictures from ONE to OTHER by spherical interpolation, all from the same noise.

    ONE and OTHER may be text, an image's path, or a sum of them.
    """
    from PIL import Image

    from undiffuse.imaging.animation import check_suffix, encode_animation
    from undiffuse.imaging.files import write_atomic
    from undiffuse.imaging.png import on_white, upscale
    from undiffuse.pipeline import load
    from undiffuse.pipeline.picture import save_grid

    suffix = check_suffix(out)
    check_output_path(out, overwrite=overwrite)
    pictures = load(model, threads).between(one, other, count, seed, style=style)
    scale = scale or (2 if len(pictures[0].pixels) < SMALL else 1)
    if suffix == ".png":
        save_grid(pictures, out, scale, columns=count)
    else:
        # On white: in a GIF, the frames before would show through transparent pixels.
        shown = [upscale(on_white(picture.pixels), scale) for picture in pictures]
        frames = [Image.fromarray(pixels) for pixels in shown]
        write_atomic(out, encode_animation(frames, suffix))
    click.echo(out)
