"""`undiffuse draw PROMPT`, or `undiffuse PROMPT`."""

import json
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from undiffuse.cli.bulk import prompts_options, take_prompts
from undiffuse.cli.options import CANDIDATES, FAST, MODEL, OVERWRITE, PATH, SEED, THREADS
from undiffuse.cli.output_paths import check_output_path, picture_paths
from undiffuse.cli.param_types import same_file_key
from undiffuse.cli.progress_bar import format_duration
from undiffuse.config import STYLES, DrawConfig
from undiffuse.errors import UserError
from undiffuse.imaging.output import SIZES, Output

if TYPE_CHECKING:
    from undiffuse.pipeline import Preview

DEFAULTS = DrawConfig()
DEFAULT_SIZE = 256
LONG = 30  # seconds of drawing from which an estimate is printed
REPORT_EVERY = 60  # seconds between two lines of progress where stderr is no terminal


@click.command()
@click.argument("words", nargs=-1, metavar="PROMPT")
@click.option("-n", "count", type=click.IntRange(1, 1000), default=1, help="Pictures to draw.")
@SEED
@click.option(
    "--first-index",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    help="Index of the first picture: -n 4 draws the indices 0 to 3.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 1000),
    help=f"Denoising steps. Default: {DEFAULTS.steps}; fewer with --fast.",
)
@click.option(
    "--sampler",
    help="blend (the film's loop), ddpm, ddim, euler, heun, dpmpp_2m or previous. Default: "
    f"{DEFAULTS.sampler}; euler with --fast.",
)
@click.option(
    "--guidance",
    type=float,
    help=f"Scale of classifier-free guidance; 1 is off. Default: {DEFAULTS.guidance:g}; 1 with "
    "--fast.",
)
@click.option(
    "--freshness",
    type=float,
    help="Share of the noise that is new at each step, in [0, 1]. Default: 1 for blend, 0 for ddim "
    "(its eta); other samplers have none.",
)
@click.option(
    "--style",
    help=f'{", ".join(STYLES)}, or "" for none. Default: {DEFAULTS.style}, unless PROMPT names a '
    "style.",
)
@click.option(
    "--style-strength",
    type=float,
    help="How much more of the style the last steps get. Default: "
    f"{DEFAULTS.style_strength:g} for a style that is requested, 0 otherwise.",
)
@click.option(
    "--color-strength",
    type=float,
    help='How much more of the color in "a blue banana" the last steps get. Default: '
    f"{DEFAULTS.color_strength:g}, 0 with --literal.",
)
@click.option("--negative", help="Text or sum to steer away from.")
@click.option(
    "--compose/--no-compose",
    default=None,
    help='Draw the things of PROMPT apart, "two cats on a sofa", and compose them; draw above all '
    'what it names before it says more, "a cat that sleeps". Default: if the model can, but not '
    "with --literal or --from.",
)
@FAST
@CANDIDATES
@click.option(
    "--literal",
    is_flag=True,
    help="Take PROMPT as it is. Otherwise words that the model does not know are read as the "
    "nearest that it knows: other spellings, synonyms, other languages.",
)
@click.option(
    "--like",
    type=PATH,
    multiple=True,
    help="Image whose CLIP vector is added to that of PROMPT, which may be empty. Repeatable.",
)
@click.option("--from", "start", type=PATH, help="Image to start from; see --strength and --mask.")
@click.option(
    "--strength",
    type=float,
    help="Share of --from that noise replaces, in (0, 1]. Default: 0.7, or 1 with --mask.",
)
@click.option(
    "--mask",
    type=PATH,
    help="Image for inpainting: white parts of --from are drawn, black parts keep their bytes.",
)
@click.option(
    "--gradient",
    type=float,
    help="Scale of the gradient of the CLIP similarity at each step; needs the extra [train].",
)
@click.option(
    "-o",
    "--out",
    type=PATH,
    help="A .png, .webp or .svg file, or an existing folder; .svg needs the extra [svg]. Several "
    "pictures are numbered NAME-1.png, NAME-2.png and so on. Refuses to overwrite an existing file "
    "unless --overwrite is set. Default: an unused name made from PROMPT.",
)
@OVERWRITE
@click.option(
    "--size",
    help=f"Pixels a side: {', '.join(map(str, SIZES))}. Reduced by area, enlarged by Lanczos; "
    f"default: {DEFAULT_SIZE}.",
)
@click.option(
    "--scale",
    type=click.IntRange(1, 16),
    help="Instead of --size: each pixel as a square of this many pixels a side.",
)
@click.option(
    "--background", help="transparent, white or a color such as #ff8800. Default: as it is drawn."
)
@click.option("--grid", is_flag=True, help="Also write one file with all pictures.")
@click.option(
    "--trace",
    "trace_path",
    type=PATH,
    help="Write the steps of the first picture: a sheet (.png) or an animation (.gif, .apng, "
    ".webp).",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a line of JSON for each file: path, kind, prompt, the prompt as read, seed, index, "
    "notes and record.",
)
@prompts_options
@MODEL
@click.option(
    "--clip",
    type=PATH,
    help="Folder of the pretrained CLIP that the model was trained with, if MODEL has no copy.",
)
@THREADS
def command(words: tuple[str, ...], **options: Any) -> None:
    """Draw PROMPT and print the path of each file. An empty PROMPT ("") draws a random picture.

    PROMPT may be a sum of texts and images: "man + 0.8 hat - beard", "cat + hat.png",
    '2*"rock - paper" + hand'. With --prompts FILE, every prompt of a file is drawn instead.
    """
    if take_prompts(words, options):
        return
    if not words:
        raise click.UsageError("Missing argument 'PROMPT'.")
    draw(" ".join(words), **options)


def draw(
    prompt: str,
    count: int,
    out: Path | None,
    overwrite: bool,
    scale: int | None,
    size: str | None,
    background: str | None,
    grid: bool,
    trace_path: Path | None,
    as_json: bool,
    model: Path | None,
    threads: int,
    clip: Path | None = None,
    **options: Any,
) -> None:
    """Draw the pictures of one prompt and write the files that the options ask for."""
    output = parse_output(size, scale, background)
    paths = picture_paths(prompt, count, out, grid=grid, overwrite=overwrite)
    trace = None
    if trace_path is not None:
        from undiffuse.pipeline.trace import Trace

        trace = Trace(trace_path)
        check_output_path(trace_path, overwrite=overwrite)
        if same_file_key(trace_path) in map(same_file_key, paths):
            raise UserError(f"--trace {trace_path} is the picture's name too: give another name")

    from undiffuse.pipeline import load

    loaded = load(model, threads, clip)
    # The file's format is imported while the networks run, which leave a core to other threads.
    Thread(target=import_module, args=("PIL.PngImagePlugin",), daemon=True).start()
    for preview in show_progress(loaded.steps(prompt, count, **options)):
        if trace is not None:
            trace.add(preview)

    def report(path: Path, kind: str, **fields: Any) -> None:
        line = json.dumps({"path": str(path), "kind": kind, **fields})
        click.echo(line if as_json else path)

    pictures = preview.pictures()
    for note in pictures[0].notes:
        click.echo(f"undiffuse: {note}", err=True)
    for picture, path in zip(pictures, paths, strict=False):
        picture.save(path, scale or 1, size=output.size, background=output.background)
        named = {name: picture.record[name] for name in ("prompt", "seed", "index")}
        named["read"] = picture.record.get("read", named["prompt"])
        report(path, "picture", **named, notes=picture.notes,
               record=picture.record | output.record())  # fmt: skip
    if grid:
        from undiffuse.pipeline.picture import save_grid

        save_grid(pictures, paths[-1], scale or 1, output=output)
        report(paths[-1], "grid")
    if trace is not None:
        trace.save()
        report(trace.path, "trace")


def parse_output(size: str | None, scale: int | None, background: str | None) -> Output:
    """The output that the options ask for. UserError for a bad one, or for two sizes."""
    if size is not None and scale is not None:
        raise UserError(f"--size {size} and --scale {scale} exclude each other: give one of them")
    if size is not None and size not in map(str, SIZES):
        raise UserError(f"--size {size:.40} is unknown: choose {', '.join(map(str, SIZES))}")
    pixels = int(size) if size else None if scale else DEFAULT_SIZE
    return Output(pixels, background)


def show_progress(previews: "Iterator[Preview]") -> "Iterator[Preview]":
    """The steps, with progress on stderr: a bar on a terminal, elsewhere a line a minute. A long
    drawing begins with an estimate of its time."""
    started = reported = time.monotonic()
    bar = None
    for preview in previews:
        step, now = preview.step, time.monotonic()
        left = (now - started) / step.index * (step.steps - step.index)
        if step.index == 1:
            if left > LONG:
                click.echo(f"undiffuse: this takes about {format_duration(left)}", err=True)
            if sys.stderr.isatty():
                from tqdm import tqdm

                bar = tqdm(total=step.steps, unit="step", desc="drawing", file=sys.stderr)
        if bar is not None:
            bar.update()
        elif now - reported >= REPORT_EVERY and step.index < step.steps:
            line = f"step {step.index} of {step.steps}, about {format_duration(left)} left"
            click.echo(f"undiffuse: {line}", err=True)
            reported = now
        yield preview
    if bar is not None:
        bar.close()
