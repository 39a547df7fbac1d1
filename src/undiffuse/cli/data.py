"""`undiffuse data ...`: build data sets."""

import json
from pathlib import Path

import click

from undiffuse.cli.data_check import check
from undiffuse.cli.data_prepare import prepare
from undiffuse.cli.data_scenes import scenes
from undiffuse.cli.options import PATH
from undiffuse.cli.param_types import OUTPUT_FILE, OUTPUT_FOLDER
from undiffuse.cli.progress_bar import track
from undiffuse.imaging.files import write_atomic

OUT = click.option("-o", "--out", type=OUTPUT_FOLDER, required=True, help="Folder to write to.")
DATA = click.argument("data", type=PATH)
DICTIONARY = Path("/usr/share/dict/american-english-small")
LARGE_DICTIONARY = Path("/usr/share/dict/american-english")


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
    report = recipe.build(
        out, folder, offline=packages is not None, workers=workers, log=_log, track=track
    )
    counts = {"drawn": report.drawn, "absent": report.absent, "broken": report.broken}
    write_atomic(out / "report.json", json.dumps(counts).encode())
    write_atomic(out / "words.txt", ("\n".join(report.words) + "\n").encode())
    click.echo(out)


@command.command()
@OUT
@click.option(
    "--packages",
    type=PATH,
    help="Folder with the npm and Debian packages. Default: fetch them with npm and apt-get.",
)
@click.option("--side", type=click.IntRange(16, 512), default=256, show_default=True,
              help="Pixels of a side.")  # fmt: skip
@click.option(
    "--withhold",
    type=PATH,
    multiple=True,
    help="JSON file whose keys are test words, which no text may contain. Repeatable.",
)
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True)
def pictures(
    out: Path, packages: Path | None, side: int, withhold: tuple[Path, ...], workers: int
) -> None:
    """Build emoji, icons, clip art and people with transparency, drawn from vectors.

    A run that was interrupted continues with the set that it had not finished.
    """
    from undiffuse.data import pictures as recipe

    withheld = [word for path in withhold for word in recipe.read_test_words(path)]
    report = recipe.build(
        out, packages or out / "packages", offline=packages is not None, workers=workers,
        side=side, test_words=withheld, log=_log,
    )  # fmt: skip
    write_atomic(out / "report.json", json.dumps(report.as_json(), indent=1).encode())
    write_atomic(out / "licenses.md", report.license_table().encode())
    click.echo(out)


@command.command()
@OUT
@click.option("--count", type=click.IntRange(1, 10**7), default=10000, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
def shapes(out: Path, count: int, seed: int) -> None:
    """Draw scenes of shapes, whose captions a program can check in generated pictures."""
    from undiffuse.data.shapes import shapes_samples
    from undiffuse.data.shards import write_shards

    samples = track(shapes_samples(count, seed), count, "scenes", "drawing")
    write_shards(samples, out, prefix=f"shapes-{seed}")
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
@click.option(
    "--withhold",
    type=PATH,
    multiple=True,
    help="JSON file whose keys are test words, which no text may contain. Repeatable.",
)
@click.option(
    "--packages",
    type=PATH,
    help="Folder with the tarballs of the npm packages. Default: fetch them with npm.",
)
@click.option(
    "--captions",
    type=click.IntRange(0, 10**6),
    default=20000,
    show_default=True,
    help="Captions to make of the names.",
)
def words(
    data: Path, out: Path, dictionary: Path, tests: Path | None, withhold: tuple[Path, ...],
    packages: Path | None, captions: int,
) -> None:  # fmt: skip
    """Embed texts with two sentence encoders, to train CLIP's text encoder with.

    The texts are common words, the names in DATA, their definitions, captions, and names and
    keywords in other languages. DATA is the folder that `undiffuse data emoji` wrote. An
    interrupted run goes on where it stopped.
    """
    from undiffuse.data import word_vectors as recipe
    from undiffuse.data.shards import find_shards, read_shards
    from undiffuse.evaluation.clip_metrics import read_synonyms

    withheld = [word for path in withhold for word in read_synonyms(path)]
    records = [sample.record for sample in read_shards(find_shards(data))]
    held_out = recipe.build(
        records, out, dictionary=dictionary, withheld=withheld, packages=packages,
        captions=captions, log=_log,
    )  # fmt: skip
    if tests is not None:
        write_atomic(tests, (json.dumps(held_out, indent=1) + "\n").encode())
        click.echo(tests)
    click.echo(out)


@command.command()
@DATA
@click.option("-o", "--out", type=OUTPUT_FILE, required=True, help="lexicon.safetensors to write.")
@click.option("--vectors", type=PATH, help="File from `undiffuse data words`, to rank names with.")
@click.option(
    "--dictionary",
    type=PATH,
    default=LARGE_DICTIONARY,
    show_default=True,
    help="Text file of correct English words, one per line (Debian's wamerican).",
)
@click.option(
    "--common",
    type=PATH,
    default=DICTIONARY,
    show_default=True,
    help="Text file of common words, one per line (Debian's wamerican-small).",
)
@click.option(
    "--packages",
    type=PATH,
    help="Folder with the tarballs of the npm packages. Default: fetch them with npm.",
)
def lexicon(
    data: Path, out: Path, vectors: Path | None, dictionary: Path, common: Path,
    packages: Path | None,
) -> None:  # fmt: skip
    """Build the table with which prompts are read: words -> names that can be drawn.

    DATA is the folder of the pictures that the model was trained on. Put the file beside the
    model's weights.
    """
    from undiffuse.data import lexicon as recipe
    from undiffuse.data.shards import find_shards, read_shards
    from undiffuse.data.teacher_table import read_table

    similar = read_table(vectors).nearest_names() if vectors else {}
    records = [sample.record for sample in read_shards(find_shards(data))]
    recipe.build(
        records, out, dictionary=dictionary, common=common, similar=similar, packages=packages,
        log=_log,
    )  # fmt: skip
    click.echo(out)


command.add_command(check)
command.add_command(prepare)
command.add_command(scenes)
