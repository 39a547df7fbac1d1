"""`undiffuse data ...`: build data sets."""

import json
from pathlib import Path

import click

OUT = click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder to write to."
)
DATA = click.argument("data", type=click.Path(path_type=Path))


@click.group()
def command() -> None:
    """Build data sets."""


def _say(line: str) -> None:
    click.echo(line, err=True)


@command.command()
@OUT
@click.option(
    "--packages",
    type=click.Path(path_type=Path),
    help="Folder where the npm packages already lie; nothing is fetched.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
def emoji(out: Path, packages: Path | None, workers: int) -> None:
    """Seven open emoji families at 64x64 with Unicode's names, and composites made of them."""
    from undiffuse.data import emoji as recipe

    folder = packages or out / "packages"
    report = recipe.build(out, folder, offline=packages is not None, workers=workers, say=_say)
    for line in report.lines():
        _say(line)
    (out / "report.json").write_text(
        json.dumps({"drawn": report.drawn, "absent": report.absent, "broken": report.broken})
    )
    (out / "words.txt").write_text("\n".join(report.words) + "\n")
    click.echo(out)


@command.command()
@DATA
@OUT
@click.option("--count", type=click.IntRange(1), default=250, show_default=True)
def sample(data: Path, out: Path, count: int) -> None:
    """About COUNT pictures of the emoji set, whole concepts, with composites: for tests.

    DATA is the folder that `undiffuse data emoji` wrote.
    """
    from undiffuse.data.shards import find_shards, read_shards, write_shards
    from undiffuse.data.test_subset import choose, with_composites

    chosen = choose(list(read_shards(find_shards(data))), count)
    for prefix, samples in with_composites(chosen):
        write_shards(samples, out, prefix=prefix)
        _say(f"{prefix}: {len(samples)} pictures")
    click.echo(out)


@command.command()
@OUT
@click.option("--count", type=click.IntRange(1), default=10000, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
def shapes(out: Path, count: int, seed: int) -> None:
    """Drawn shapes, of which a program can check what the caption asks for."""
    from undiffuse.data.shapes import shapes_samples
    from undiffuse.data.shards import write_shards

    write_shards(shapes_samples(count, seed), out, prefix=f"shapes-{seed}")
    click.echo(out)


@command.command()
@DATA
@OUT
@click.option(
    "--dictionary",
    type=click.Path(path_type=Path),
    default=Path("/usr/share/dict/american-english-small"),
    show_default=True,
    help="Common words, one a line (Debian's wamerican-small).",
)
@click.option("--tests", type=click.Path(path_type=Path), help="Where to write the test words.")
def words(data: Path, out: Path, dictionary: Path, tests: Path | None) -> None:
    """Common words with a sentence encoder's vectors, to train CLIP's text tower with.

    DATA is the folder that `undiffuse data emoji` wrote.
    """
    from undiffuse.data import word_vectors as recipe
    from undiffuse.data.shards import find_shards, read_shards

    records = [sample.record for sample in read_shards(find_shards(data))]
    held_out = recipe.build(records, out, dictionary=dictionary, say=_say)
    if tests is not None:
        tests.write_text(json.dumps(held_out, indent=1) + "\n")
        click.echo(tests)
    click.echo(out)
