"""`undiffuse replay PICTURE.png`: draw a picture again and compare the pixels."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from undiffuse.cli.options import MODEL, PATH, THREADS


@click.command()
@click.argument("picture", type=PATH)
@MODEL
@THREADS
def command(picture: Path, model: Path | None, threads: int) -> None:
    """Draw PICTURE again from the record in it, and compare the pixels.

    The exit status is 0 if they are the same, 1 if they differ, and 2 for an error.
    """
    from undiffuse.imaging.png import downscale, read_png
    from undiffuse.pipeline.record import parse_record, record_changes

    pixels, record = read_png(picture)
    config, options = parse_record(record, picture)

    from undiffuse.pipeline import load

    drawing = load(model, threads)
    before = downscale(pixels, picture, drawing.codec.config.image_size)
    after = replace(drawing, defaults=config).generate(**options)[0]
    different = int((after.pixels != before).any(axis=-1).sum())
    if different:
        click.echo(f"different: {different} of {before.shape[0] * before.shape[1]} pixels")
    else:
        click.echo("the same, pixel for pixel")
    for line in record_changes(record, after.record):
        click.echo(line)
    sys.exit(1 if different else 0)
