"""`undiffuse evaluate shapes`: count the drawn scenes that are exactly right, by program."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from undiffuse.cli.image_generator import ModelGenerator
from undiffuse.cli.options import PATH, THREADS
from undiffuse.cli.param_types import OUTPUT_FILE
from undiffuse.imaging.files import write_atomic

if TYPE_CHECKING:
    from undiffuse.evaluation.protocols import Pictures


@click.command("shapes")
@click.option("--model", type=PATH, required=True, help="Model folder trained on `data shapes`.")
@click.option("--count", type=click.IntRange(1, 10**5), default=200, show_default=True,
              help="Scenes of each kind.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
@THREADS
@click.option("-o", "--out", type=OUTPUT_FILE, help="Also write the report to a JSON file.")
@click.option("--sheet", type=OUTPUT_FILE, help="Write 100 drawings with their captions: PNG.")
def command(
    model: Path, count: int, seed: int, threads: int, out: Path | None, sheet: Path | None
) -> None:
    """Draw scenes of shapes and check by program that every object is right.

    The scenes are one object, two objects with a relation, and several equal objects; each with
    pairs of color and shape that the model was trained on, and with held-out ones. "Real" is the
    share of true pictures that pass after the model's codec encoded and decoded them.
    """
    from undiffuse.evaluation.latency import machine_info
    from undiffuse.evaluation.report import Report
    from undiffuse.evaluation.shapes_metrics import evaluate_shapes
    from undiffuse.pipeline import load

    loaded = load(model, threads)
    sheet_of = _SheetRecorder(ModelGenerator(loaded), seed)
    metrics = []
    for metric in evaluate_shapes(sheet_of.draw, count, seed, sheet_of.generator.reconstruct):
        click.echo(f"{metric.name}: {metric.value:.3f} ({metric.note})", err=True)
        metrics.append(metric)
    about = {"model": loaded.denoiser.hash, "settings": {"seed": seed, "count": count},
             "on": machine_info()}  # fmt: skip
    report = Report(metrics, about)
    click.echo(report.to_markdown(), nl=False)
    if out is not None:
        write_atomic(out, report.to_json().encode())
    if sheet is not None:
        write_atomic(sheet, sheet_of.to_png())


class _SheetRecorder:
    """Draws, and keeps the first pictures of each call for a contact sheet."""

    PER_CALL = 17

    def __init__(self, generator: ModelGenerator, seed: int) -> None:
        self.generator, self.seed = generator, seed
        self.captions: list[str] = []
        self.pictures: list[Any] = []

    def draw(self, captions: Sequence[str]) -> "Pictures":
        pictures = self.generator.draw(captions, self.seed)
        self.captions += captions[: self.PER_CALL]
        self.pictures += list(pictures[: self.PER_CALL])
        return pictures

    def to_png(self) -> bytes:
        import numpy as np

        from undiffuse.evaluation.contact_sheet import contact_sheet
        from undiffuse.imaging.png import encode_png

        return encode_png(contact_sheet(np.stack(self.pictures), self.captions))
