"""`undiffuse train average`: a denoiser between two others."""

from pathlib import Path

import click

from undiffuse.cli.options import PATH
from undiffuse.cli.param_types import OUTPUT_FILE, FiniteFloat
from undiffuse.errors import UserError


@click.command("average")
@click.argument("one", type=PATH)
@click.argument("other", type=PATH)
@click.option(
    "--share", type=FiniteFloat(0, 1), default=0.5, show_default=True,
    help="Of OTHER; ONE has the rest.",
)  # fmt: skip
@click.option("-o", "--out", type=OUTPUT_FILE, required=True, help="Weight file to write.")
def command(one: Path, other: Path, share: float, out: Path) -> None:
    """Average the weights of two denoisers, OTHER fine-tuned from ONE (arXiv 2109.01903).

    The result often knows what both know: what was learned before is forgotten less.
    """
    from undiffuse.runtime.weights import average_weights, read_weights, write_weights

    if out.exists():
        raise UserError(f"{out} exists: give another name")
    first, second = (read_weights(path, "denoiser") for path in (one, other))
    try:
        tensors = average_weights(first, second, share)
    except ValueError as error:
        raise UserError(f"{one} and {other} can't be averaged: {error}") from error
    meta = second.meta | {"averaged": {"from": first.hash, "share": share}}
    click.echo(write_weights(out, dict(tensors), meta))
