"""`undiffuse evaluate words`: what the lexicon and the text encoder make of test words."""

from pathlib import Path

import click

from undiffuse.cli.options import PATH, THREADS
from undiffuse.cli.param_types import OUTPUT_FILE
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic


@click.command("words")
@click.argument("files", metavar="FILE...", type=PATH, nargs=-1, required=True)
@click.option("--model", type=PATH, help="Folder of weights. Default: the shipped model.")
@click.option("--lexicon", type=PATH, help="Another lexicon than the model's.")
@click.option("--kind", "kinds", multiple=True, help="Only this kind of prompt. Repeatable.")
@click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
@THREADS
@click.option("-o", "--out", type=OUTPUT_FILE, help="Also write the report to a JSON file.")
def command(
    files: tuple[Path, ...], model: Path | None, lexicon: Path | None, kinds: tuple[str, ...],
    seed: int, threads: int, out: Path | None,
) -> None:  # fmt: skip
    """Evaluate what words are read as, without drawing.

    FILE is a .json table of words with their right names, or a .jsonl list of prompts.
    """
    from undiffuse.clip.lexicon import FILE, Lexicon
    from undiffuse.clip.reading import Reader
    from undiffuse.evaluation.report import Report
    from undiffuse.evaluation.word_metrics import case_rows, evaluate_words, read_cases
    from undiffuse.pipeline import SHIPPED_WEIGHTS
    from undiffuse.runtime.networks import ClipEncoder

    groups = {
        group: cases
        for path in files
        for group, cases in read_cases(path).items()
        if not kinds or group in kinds
    }
    if not groups:
        raise UserError(f"no FILE has prompts of kind {', '.join(kinds)}: leave out --kind")
    folder = model or SHIPPED_WEIGHTS
    path = lexicon or folder / FILE
    if not path.exists():
        raise UserError(f"there is no lexicon {path}: give one with --lexicon")
    reader, encoder = Reader(Lexicon(path)), ClipEncoder(folder, threads)
    metrics = []
    for metric in evaluate_words(groups, reader, encoder, seed):
        click.echo(f"{metric.name}: {metric.value:.3f}", err=True)
        metrics.append(metric)
    about = {"clip": encoder.hash, "lexicon": str(path), "settings": {"seed": seed}}
    report = Report(metrics, about, {"words": case_rows(groups, reader)} if out else {})
    click.echo(report.to_markdown(), nl=False)
    if out is not None:
        write_atomic(out, report.to_json().encode())
