"""`undiffuse data scenes`: a data set with scenes of several things."""

from pathlib import Path

import click

from undiffuse.cli.options import PATH
from undiffuse.cli.param_types import OUTPUT_FOLDER
from undiffuse.errors import UserError


@click.command()
@click.argument("data", type=PATH)
@click.option("-o", "--out", type=OUTPUT_FOLDER, required=True, help="Folder to write.")
@click.option(
    "--count", type=click.IntRange(1, 10**7), default=30000, show_default=True,
    help="Scenes and icons in color to make.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
@click.option(
    "--style", "styles", multiple=True, help="Keep only pictures of this style. Repeatable."
)
@click.option(
    "--kind", "kinds", multiple=True,
    help="Make only composites of emoji of this kind: recoloured, wearing, beside, two, ground. "
    "Repeatable.",
)  # fmt: skip
@click.option(
    "--held-out-pairs", is_flag=True,
    help="Also make the pairs of words that evaluation asks for, such as a color and a noun: for "
    "the judge, not for a model.",
)  # fmt: skip
def scenes(
    data: Path, out: Path, count: int, seed: int, styles: tuple[str, ...], kinds: tuple[str, ...],
    held_out_pairs: bool,
) -> None:  # fmt: skip
    """Add scenes to a data set: several things, colors, places, sizes and surroundings.

    DATA is a folder that `undiffuse data prepare --alpha` wrote. `undiffuse train denoiser --data
    OUT` reads the result.
    """
    from undiffuse.cli.progress_bar import Display, Follower
    from undiffuse.data.composites import is_held_out_pair
    from undiffuse.data.prepared import is_prepared, open_prepared
    from undiffuse.data.scene_set import add_scenes, of_styles

    if not is_prepared(data):
        raise UserError(f"{data} is no prepared data set: run `undiffuse data prepare --alpha`")
    display = Display()
    pictures = open_prepared(data)
    if styles:
        pictures = of_styles(pictures, styles)
    held_out = (lambda *pair: False) if held_out_pairs else is_held_out_pair
    made = add_scenes(pictures, out, count, seed, str(data), Follower(display), kinds, held_out)
    display.clear()
    click.echo(f"{len(made.records)} pictures", err=True)
    click.echo(out)
