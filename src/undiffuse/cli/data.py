"""`undiffuse data ...`: build data sets."""

import json
from pathlib import Path

import click

from undiffuse.cli.data_check import check
from undiffuse.cli.options import PATH
from undiffuse.cli.param_types import OUTPUT_FILE, OUTPUT_FOLDER
from undiffuse.imaging.files import write_atomic

OUT = click.option("-o", "--out", type=OUTPUT_FOLDER, required=True, help="Folder to write to.")
DATA = click.argument("data", type=PATH)
DICTIONARY = Path("/usr/share/dict/american-english-small")


@click.group()
def command() -> None:
    """Build data sets."""


def _log(line: str) -> None:
    click.echo(line, err=True)


@command.command()
@OUT
@click.option(
    "--packages",
    type=PATH,
    help="Folder with the tarballs of the npm packages. Default: fetch them with npm.",
)
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True)
def emoji(out: Path, packages: Path | None, workers: int) -> None:
    """Build seven open emoji sets at 64x64 with Unicode's names, and composites of them."""
    from undiffuse.data import emoji as recipe

    folder = packages or out / "packages"
    report = recipe.build(out, folder, offline=packages is not None, workers=workers, log=_log)
    counts = {"drawn": report.drawn, "absent": report.absent, "broken": report.broken}
    write_atomic(out / "report.json", json.dumps(counts).encode())
    write_atomic(out / "words.txt", ("\n".join(report.words) + "\n").encode())
    click.echo(out)


@command.command()
@OUT
@click.option("--count", type=click.IntRange(1, 10**7), default=10000, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
def shapes(out: Path, count: int, seed: int) -> None:
    """Draw scenes of shapes, whose captions a program can check in generated pictures."""
    from undiffuse.data.shapes import shapes_samples
    from undiffuse.data.shards import write_shards

    write_shards(shapes_samples(count, seed), out, prefix=f"shapes-{seed}")
    click.echo(out)


@command.command()
@DATA
@click.option("-o", "--out", type=OUTPUT_FILE, required=True, help=".safetensors file to write.")
@click.option(
    "--dictionary",
    type=PATH,
    default=DICTIONARY,
    show_default=True,
    help="Text file of common words, one per line (Debian's wamerican-small).",
)
@click.option("--tests", type=OUTPUT_FILE, help="JSON file to write the held-out synonyms to.")
def words(data: Path, out: Path, dictionary: Path, tests: Path | None) -> None:
    """Embed common words with a sentence encoder, to train CLIP's text encoder with.

    DATA is the folder that `undiffuse data emoji` wrote.
    """
    from undiffuse.data import word_vectors as recipe
    from undiffuse.data.shards import find_shards, read_shards

    records = [sample.record for sample in read_shards(find_shards(data))]
    held_out = recipe.build(records, out, dictionary=dictionary, log=_log)
    if tests is not None:
        write_atomic(tests, (json.dumps(held_out, indent=1) + "\n").encode())
        click.echo(tests)
    click.echo(out)


command.add_command(check)
