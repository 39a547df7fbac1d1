"""`undiffuse draw PROMPT`, or `undiffuse PROMPT`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from undiffuse.config import STYLES, DrawConfig
from undiffuse.errors import UserError

if TYPE_CHECKING:
    from undiffuse.pipeline import Look

USUAL = DrawConfig()
MODEL = click.option(
    "--model", type=click.Path(path_type=Path), help="Folder of weights; the package's own if none."
)
THREADS = click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="PROMPT")
@click.option("-n", "count", type=click.IntRange(1, 1000), default=1, help="Pictures to draw.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@click.option("--steps", type=click.IntRange(1, 1000), default=USUAL.steps, show_default=True)
@click.option(
    "--sampler",
    default=USUAL.sampler,
    show_default=True,
    help="blend (the lesson's own), ddpm, ddim, euler, heun, dpmpp_2m or previous.",
)
@click.option(
    "--guidance",
    type=float,
    default=USUAL.guidance,
    show_default=True,
    help="How hard the prompt steers; 1 is off.",
)
@click.option(
    "--style",
    help=f'{", ".join(STYLES)}, or "" for none; {USUAL.style} for a prompt that names none.',
)
@click.option(
    "--style-strength",
    type=float,
    help="How much more of the style the last steps get than the first; if not given, "
    f"{USUAL.style_strength:g} for a style that is asked for, and 0 for the usual one.",
)
@click.option("--negative", help="What to steer away from: words, or a sum.")
@click.option(
    "--like",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A picture whose vector steers too, or alone with an empty PROMPT.",
)
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    help="A picture to begin with; --strength says how much of it noise replaces.",
)
@click.option("--strength", type=float, help="In (0, 1]; 0.7 if not given, 1 with a mask.")
@click.option(
    "--mask",
    type=click.Path(path_type=Path),
    help="Of --from: white is drawn anew, black is kept to the byte.",
)
@click.option(
    "--gradient",
    type=float,
    help="How far CLIP's own gradient moves the picture at each step; needs the extra [train].",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="A .png file, or a folder. Several pictures are numbered: NAME-1.png and so on. If not "
    "given, a free name made of the prompt; a name that is given must be free.",
)
@click.option("--overwrite", is_flag=True, help="Write over files that are there.")
@click.option(
    "--scale",
    type=click.IntRange(1, 16),
    default=4,
    show_default=True,
    help="Pixels of the file for each pixel drawn (64x64), as squares: nothing is added or lost, "
    "and replay compares what was drawn.",
)
@click.option("--grid", is_flag=True, help="Write all pictures into one more file too.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    help="Write the steps of the first picture: a sheet (.png) or moving (.gif, .apng, .webp).",
)
@MODEL
@THREADS
def command(words: tuple[str, ...], **options: Any) -> None:
    """Draw PROMPT; print each file's path. An empty PROMPT ("") draws some picture or other.

    PROMPT may be a sum of words and pictures: "man + 0.8 hat - beard", "cat + hat.png". Signs stand
    between spaces; weights have a point or a star; double quotes keep a sign as it is.
    """
    draw(" ".join(words), **options)


def draw(
    prompt: str,
    count: int,
    out: Path | None,
    overwrite: bool,
    scale: int,
    grid: bool,
    trace: Path | None,
    model: Path | None,
    threads: int,
    **settings: Any,
) -> None:
    """Draw, with every place to write to tried before anything is loaded."""
    from undiffuse.cli.output_paths import check_place, picture_paths

    paths = picture_paths(prompt, count, out, grid=grid, overwrite=overwrite)
    kept = None
    if trace is not None:
        from undiffuse.pipeline.trace import Trace

        kept = Trace(trace)
        check_place(trace, overwrite=overwrite)
        if trace.absolute() in {path.absolute() for path in paths}:
            raise UserError(f"{trace} is the picture's own name: give the trace another")

    from undiffuse.pipeline import load

    looks = load(model, threads).steps(prompt, count, **settings)
    for look in progress(looks):
        if kept is not None:
            kept.add(look)
    pictures = look.pictures()
    for note in pictures[0].notes:
        click.echo(f"undiffuse: {note}", err=True)
    for picture, path in zip(pictures, paths, strict=False):
        picture.save(path, scale)
        click.echo(path)
    if grid:
        from undiffuse.imaging import files, png

        all_pixels = png.image_grid([png.upscale(p.pixels, scale) for p in pictures])
        record = {"grid": [picture.record for picture in pictures]}
        files.write_atomic(paths[-1], png.encode_png(all_pixels, record))
        click.echo(paths[-1])
    if kept is not None:
        kept.save()
        click.echo(trace)


def progress(looks: "Iterator[Look]") -> "Iterator[Look]":
    """The steps, with a bar on stderr as they pass, where a person may be looking."""
    first = next(looks)
    bar = None
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(total=first.step.steps, unit="step", desc="drawing", file=sys.stderr)
        bar.update()
    yield first
    for look in looks:
        if bar is not None:
            bar.update()
        yield look
    if bar is not None:
        bar.close()
