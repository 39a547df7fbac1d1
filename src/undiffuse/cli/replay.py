"""`undiffuse replay PICTURE.png`: draw a picture again and compare the pixels."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from undiffuse.cli.options import MODEL, PATH, THREADS
from undiffuse.errors import UserError


@click.command()
@click.argument("picture", type=PATH)
@MODEL
@THREADS
def command(picture: Path, model: Path | None, threads: int) -> None:
    """Draw PICTURE again from the record in it, and compare the pixels.

    The exit status is 0 if they are the same, 1 if they differ, and 2 for an error.
    """
    from undiffuse.imaging.output import Output
    from undiffuse.imaging.png import downscale, read_png
    from undiffuse.pipeline.record import parse_record, record_changes

    pixels, record = read_png(picture)
    config, options = parse_record(record, picture)
    output = Output.from_record(record, picture)

    from undiffuse.pipeline import load

    drawing = load(model, threads)
    size = drawing.codec.config.image_size
    if output is not None and output.size is not None:
        size = output.size
    before = downscale(pixels, picture, size)
    after = replace(drawing, defaults=config).generate(**options)[0]
    drawn = after.pixels if output is None else output.render(after.pixels)
    if drawn.shape != before.shape:
        raise UserError(
            f"{picture} has {before.shape[-1]} channels, and is drawn with {drawn.shape[-1]}: "
            "it was changed, or drawn by another model"
        )
    different = int((drawn != before).any(axis=-1).sum())
    if different:
        click.echo(f"different: {different} of {before.shape[0] * before.shape[1]} pixels")
    else:
        click.echo("the same, pixel for pixel")
    for line in record_changes(record, after.record):
        click.echo(line)
    sys.exit(1 if different else 0)
