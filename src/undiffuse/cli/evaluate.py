"""`undiffuse evaluate ...`: judge a model, examine a CLIP, draw the sheet of 100 prompts."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial, wraps
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from undiffuse.cli.draw import MODEL, THREADS
from undiffuse.cli.image_generator import ModelPainter, draw_with, through_codec, way_by
from undiffuse.errors import UserError
from undiffuse.evaluation import WAYS

if TYPE_CHECKING:
    from undiffuse.config import DrawConfig
    from undiffuse.evaluation.judge import Judge
    from undiffuse.evaluation.report import Report
    from undiffuse.evaluation.statistics import Figure
    from undiffuse.pipeline import TextToImage

DATA = click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="The emoji set's folder."
)
SEED = click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
REPORT = click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Write the report here too, as JSON."
)


JUDGE = click.option(
    "--judge",
    "judge_folder",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the CLIP that judges; never the one that steers.",
)


@dataclass(frozen=True)
class Chosen:
    """The options that every command with a judge has."""

    data: Path
    judge: Path
    model: Path | None
    threads: int
    out: Path | None

    def load(self) -> "tuple[TextToImage, Judge, dict[str, Any]]":
        """What draws, what judges, and their hashes for the report."""
        from undiffuse.evaluation.dataset import Material
        from undiffuse.evaluation.judge import Judge
        from undiffuse.pipeline import load
        from undiffuse.runtime.networks import ClipEncoder

        drawn_by = load(self.model, self.threads)
        encoder = ClipEncoder(self.judge, self.threads)
        if encoder.hash == drawn_by.clip.hash:
            raise UserError(f"{self.judge} is the CLIP that steers this model: judge with another")
        _say(f"reading {self.data}")
        judge = Judge(encoder, Material.read(self.data))
        hashes = {"model": drawn_by.denoiser.hash, **drawn_by.denoiser.made_for}
        about = {**hashes, "judge": encoder.hash, **_about(judge.material)}
        return drawn_by, judge, about


def judged(command: Callable[..., None]) -> Callable[..., None]:
    """Those options and --seed; `command` is given the options first."""

    @DATA
    @JUDGE
    @MODEL
    @SEED
    @THREADS
    @REPORT
    @wraps(command)
    def run(
        data: Path, judge_folder: Path, model: Path | None, threads: int, out: Path | None,
        **options: Any,
    ) -> None:  # fmt: skip
        command(Chosen(data, judge_folder, model, threads, out), **options)

    return run


@click.group()
def command() -> None:
    """Judge a model by figures with intervals, beside what real pictures reach."""


@command.command()
@judged
@click.option("--names", type=click.IntRange(2), default=500, show_default=True)
@click.option(
    "--copies", type=click.Path(path_type=Path), help="Write the nearest neighbours: PNG."
)
@click.option("--clock/--no-clock", default=True, help="Time whole processes too.")
def model(chosen: Chosen, seed: int, names: int, copies: Path | None, clock: bool) -> None:
    """Draw some 1,200 pictures and judge them; print the table."""
    from undiffuse.evaluation.latency import latency_figure
    from undiffuse.evaluation.model_metrics import codec_figure, copy_sheet, draw_all, model_figures
    from undiffuse.evaluation.report import Report

    _check_places(chosen.out, copies)
    options = [] if chosen.model is None else ["--model", str(chosen.model)]
    timed = [latency_figure(options)] if clock else []
    drawn_by, judge, about = chosen.load()
    work = draw_all(judge, ModelPainter(drawn_by), names, seed, _say)
    _say("judging")
    rebuilt = codec_figure(work, partial(through_codec, drawn_by), seed)
    figures = [*model_figures(judge, work, seed), rebuilt, *timed]
    settings = {"seed": seed, "names": len(work.cells), **_plain(drawn_by.defaults)}
    if copies is not None:
        _write_png(copies, copy_sheet(judge, work))
    _finish(Report(figures, {**about, "settings": settings}), chosen.out)


@command.command()
@judged
@click.option("--count", type=click.IntRange(4), default=100, show_default=True)
@click.option("--way", "ways", multiple=True, type=click.Choice(WAYS), help="All, if not given.")
def steering(chosen: Chosen, seed: int, count: int, ways: tuple[str, ...]) -> None:
    """Every way to steer, by some 5,000 drawings: does it act, and what is lost?"""
    from tempfile import TemporaryDirectory

    from undiffuse.evaluation.report import Report
    from undiffuse.evaluation.steering_metrics import Bench, steering_figures

    _check_places(chosen.out)
    drawn_by, judge, about = chosen.load()
    with TemporaryDirectory() as folder:
        draw, way = partial(draw_with, drawn_by), partial(way_by, drawn_by)
        bench = Bench(judge, draw, way, Path(folder), count)
        figures = _said(steering_figures(bench, seed, ways or WAYS))
    settings = {"seed": seed, "count": count, **_plain(drawn_by.defaults)}
    _finish(Report(figures, {**about, "settings": settings}), chosen.out)


@command.command()
@DATA
@MODEL
@click.option(
    "--synonyms",
    type=click.Path(path_type=Path),
    default=Path("datasets/synonyms.json"),
    show_default=True,
    help="Words in no caption, each with the names that are right.",
)
@SEED
@THREADS
@REPORT
def clip(
    data: Path, model: Path | None, synonyms: Path, seed: int, threads: int, out: Path | None
) -> None:
    """What a CLIP knows: held-out pictures, new words, differences, analogies."""
    from undiffuse.evaluation.analogies import analogy_figures
    from undiffuse.evaluation.clip_metrics import read_synonyms, retrieval_figures, synonym_figures
    from undiffuse.evaluation.dataset import Material
    from undiffuse.evaluation.image_differences import (
        caption_words,
        difference_figures,
        read_differences,
    )
    from undiffuse.evaluation.report import Report
    from undiffuse.pipeline import SHIPPED
    from undiffuse.runtime.networks import ClipEncoder

    _check_places(out)
    asked = read_synonyms(synonyms)
    encoder = ClipEncoder(model or SHIPPED, threads)
    _say(f"reading {data}")
    material = Material.read(data)
    words = caption_words(material)
    readings = read_differences(material, encoder, words)
    figures = _said(
        chain(
            retrieval_figures(material, encoder, seed),
            synonym_figures(material, encoder, asked, seed),
            difference_figures(readings, len(words), seed),
            analogy_figures(material, encoder, seed),
        )
    )
    about = {"clip": encoder.hash, "settings": {"seed": seed}, **_about(material)}
    cases = {"picture differences": [asdict(reading) for reading in readings]}
    _finish(Report(figures, about, cases), out)


@command.command()
@judged
@click.option("--names", type=click.IntRange(4), default=200, show_default=True)
def sweep(chosen: Chosen, seed: int, names: int) -> None:
    """Sampler, steps, shift, guidance and band, one changed at a time: a table."""
    from undiffuse.evaluation.report import Report
    from undiffuse.evaluation.sweep import sweep_figures, table

    _check_places(chosen.out)
    drawn_by, judge, about = chosen.load()
    usual = drawn_by.defaults

    def painter(config: "DrawConfig") -> ModelPainter:
        return ModelPainter(replace(drawn_by, defaults=config))

    figures = _said(sweep_figures(judge, painter, usual, names, seed))
    settings = {"seed": seed, "names": names, **_plain(usual)}
    _finish(Report(figures, {**about, "settings": settings}), chosen.out, table(figures))


@command.command()
@MODEL
@SEED
@THREADS
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A .png file.")
def sheet(model: Path | None, seed: int, threads: int, out: Path) -> None:
    """Draw the 100 fixed prompts on one sheet, to be looked at."""
    from undiffuse.evaluation.contact_sheet import prompt_sheet
    from undiffuse.pipeline import load

    _check_places(out)
    _write_png(out, prompt_sheet(ModelPainter(load(model, threads)), seed))
    click.echo(out)


def _said(figures: "Iterable[Figure]") -> "list[Figure]":
    """All of them, each told as it is known."""
    known = []
    for figure in figures:
        _say(f"{figure.name}: {figure.value:.3f}")
        known.append(figure)
    return known


def _about(material: Any) -> dict[str, Any]:
    from undiffuse.evaluation.latency import machine

    pictures = material.pictures
    return {"data": {"pictures": len(pictures.keys), "hash": pictures.digest}, "on": machine()}


def _plain(config: Any) -> dict[str, Any]:
    from undiffuse.config import to_dict

    return to_dict(config)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _check_places(*paths: Path | None) -> None:
    from undiffuse.imaging.files import check_writable

    for path in paths:
        if path is not None:
            check_writable(path)


def _write_png(path: Path, pixels: Any) -> None:
    from undiffuse.imaging.files import write_atomic
    from undiffuse.imaging.png import encode_png

    write_atomic(path, encode_png(pixels))


def _finish(report: "Report", out: Path | None, table: str | None = None) -> None:
    from undiffuse.imaging.files import write_atomic

    click.echo(table or report.to_markdown(), nl=False)
    if out is not None:
        write_atomic(out, report.to_json().encode())
