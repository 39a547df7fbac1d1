"""Options that several commands share."""

from pathlib import Path

import click

PATH = click.Path(path_type=Path)
MODEL = click.option("--model", type=PATH, help="Folder of weights. Default: the shipped model.")
THREADS = click.option("--threads", type=click.IntRange(1, 256), default=2)
SEED = click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Overwrite existing files.")
FAST = click.option(
    "--fast/--no-fast",
    default=None,
    help="Draw in few steps without guidance, with the model's fast denoiser. Default: if it has "
    "one, unless an option needs the other: --steps, --sampler, --guidance, --freshness, "
    "--negative, --from or --gradient.",
)
CANDIDATES = click.option(
    "--candidates",
    type=click.IntRange(1, 16),
    help="Draw so many times, and keep the drawing that CLIP finds closest to the prompt.",
)


def drawing_arguments(fast: bool | None, candidates: int | None) -> list[str]:
    """The arguments of `FAST` and `CANDIDATES` for a command line."""
    chosen = [] if fast is None else ["--fast" if fast else "--no-fast"]
    return chosen + (["--candidates", str(candidates)] if candidates else [])
