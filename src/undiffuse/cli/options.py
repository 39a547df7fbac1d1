"""Options that several commands share."""

from pathlib import Path

import click

PATH = click.Path(path_type=Path)
MODEL = click.option("--model", type=PATH, help="Folder of weights. Default: the shipped model.")
THREADS = click.option("--threads", type=click.IntRange(1, 256), default=2)
SEED = click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Overwrite existing files.")
