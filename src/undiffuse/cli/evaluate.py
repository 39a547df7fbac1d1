"""`undiffuse evaluate ...`: evaluate a model or a CLIP, or draw the sheet of 100 prompts."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import wraps
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import click

from undiffuse.cli.deprecated import RenamedOption
from undiffuse.cli.evaluate_captions import command as captions
from undiffuse.cli.evaluate_codec import command as codec
from undiffuse.cli.evaluate_prompts import checks, languages, prompts
from undiffuse.cli.evaluate_shapes import command as shapes
from undiffuse.cli.evaluate_words import command as words
from undiffuse.cli.export_int8 import compare
from undiffuse.cli.image_generator import ModelGenerator
from undiffuse.cli.options import CANDIDATES, FAST, MODEL, PATH, THREADS, drawing_arguments
from undiffuse.cli.param_types import OUTPUT_FILE
from undiffuse.config import DrawConfig, to_dict
from undiffuse.errors import UserError
from undiffuse.evaluation import STEERING_METHODS
from undiffuse.imaging.files import write_atomic

if TYPE_CHECKING:
    from undiffuse.evaluation.dataset import EvaluationData
    from undiffuse.evaluation.judge import Judge
    from undiffuse.evaluation.statistics import Metric
    from undiffuse.pipeline import DrawOptions, TextToImage


def _count(name: str, least: int, default: int, text: str) -> Callable[..., Any]:
    kind = click.IntRange(least, 10**6)
    return click.option(name, type=kind, default=default, show_default=True, help=text)


DATA = click.option("--data", type=PATH, required=True, help="Folder of the emoji data set.")
SEED = click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
OUT = click.option("-o", "--out", type=OUTPUT_FILE, help="Also write the report to a JSON file.")
JUDGE = click.option("--judge", type=PATH, required=True, help="Folder of a CLIP; not the model's.")
SYNONYMS = Path("datasets/synonyms.json")
FINE_TUNED_ON = click.option(
    "--fine-tuned-on", type=PATH,
    help="Prepared data set that the model was trained on as well. What it trains on is not held "
    "out; what it holds out tells which distance from training pictures is usual.",
)  # fmt: skip


@dataclass(frozen=True)
class JudgeOptions:
    """The options of every command with a judge."""

    data: Path
    judge: Path
    model: Path | None
    seed: int
    threads: int
    out: Path | None
    fine_tuned_on: Path | None

    def load(self, **draw: Any) -> "tuple[TextToImage, Judge, dict[str, Any]]":
        """The model, the judge, and their hashes and settings for the report. `draw`: the options
        that the model draws with.

        Raises UserError if the judge is the model's own CLIP.
        """
        from undiffuse.evaluation.judge import Judge
        from undiffuse.pipeline import load
        from undiffuse.runtime.networks import ClipEncoder

        model = load(self.model, self.threads)
        encoder = ClipEncoder(self.judge, self.threads)
        if encoder.hash == model.clip.hash:
            raise UserError(f"{self.judge} is the model's own CLIP: use another one as the judge")
        data = _read_data(self.data)
        if self.fine_tuned_on is not None:
            data = data.also_trained_on(_prepared_records(self.fine_tuned_on))
        network = model.network(cast("DrawOptions", draw))
        hashes = {"model": network.hash, **network.trained_with}
        about = {**hashes, "judge": encoder.hash, **_describe(data)}
        about["settings"] = {"seed": self.seed, **to_dict(model.defaults), **draw}
        return model, Judge(encoder, data), about


def judged(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of `JudgeOptions`, which `command` gets as its first argument."""

    @DATA
    @JUDGE
    @MODEL
    @SEED
    @THREADS
    @OUT
    @FINE_TUNED_ON
    @wraps(command)
    def run(**options: Any) -> None:
        shared = {field.name: options.pop(field.name) for field in fields(JudgeOptions)}
        command(JudgeOptions(**shared), **options)

    return run


@click.group()
def command() -> None:
    """Evaluate a model or a CLIP, with confidence intervals and the values of real pictures."""


command.add_command(codec)
command.add_command(shapes)
command.add_command(words)
for subcommand in (prompts, languages, checks, captions, compare):
    command.add_command(subcommand)


@command.command()
@judged
@_count("--names", 2, 500, "Names to draw, each without and with a style.")
@click.option(
    "--copies", type=OUTPUT_FILE, help="Write drawings with their nearest neighbors: PNG."
)
@click.option("--clock/--no-clock", default=True, help="Also measure the time of a whole process.")
@FAST
@CANDIDATES
def model(
    options: JudgeOptions, names: int, copies: Path | None, clock: bool, **draw: Any
) -> None:  # fmt: skip
    """Draw some 1,200 pictures and evaluate them."""
    from undiffuse.evaluation import latency, model_metrics

    arguments = [] if options.model is None else ["--model", str(options.model)]
    arguments += drawing_arguments(**draw)
    times = [latency.measure_latency(arguments)] if clock else []
    model, judge, about = options.load(**draw)
    generator = ModelGenerator(model, **draw)
    samples = model_metrics.generate_samples(judge, generator, names, options.seed, _log)
    _log("evaluating")
    metrics = model_metrics.evaluate_samples(judge, samples, generator.reconstruct, options.seed)
    if copies is not None:
        _write_png(copies, model_metrics.copy_sheet(judge, samples))
    about["settings"]["names"] = len(samples.pairs)
    _finish(options.out, [*metrics, *times], about)


@command.command()
@judged
@_count("--count", 4, 100, "Pairs of names to draw.")
@click.option(
    "--method",
    "methods",
    cls=RenamedOption,
    old="--way",
    multiple=True,
    type=click.Choice(STEERING_METHODS),
    help="A way to steer; repeat for several. Default: all.",
)
def steering(options: JudgeOptions, count: int, methods: tuple[str, ...]) -> None:
    """Evaluate every way to steer, with some 5,000 drawings: its effect and its cost."""
    from undiffuse.evaluation.steering_metrics import SteeringEvaluation

    model, judge, about = options.load(fast=False)
    generator = ModelGenerator(model, fast=False)
    draw, interpolate = generator.draw, generator.interpolate
    with TemporaryDirectory() as name:
        evaluation = SteeringEvaluation(judge, draw, interpolate, Path(name), count, options.seed)
        metrics = _log_each(evaluation.run(methods or STEERING_METHODS))
    about["settings"]["count"] = count
    _finish(options.out, metrics, about)


@command.command()
@DATA
@MODEL
@click.option(
    "--synonyms",
    type=PATH,
    default=SYNONYMS,
    show_default=True,
    help="JSON file of words that are in no caption, each with its right names.",
)
@SEED
@THREADS
@OUT
def clip(
    data: Path, model: Path | None, synonyms: Path, seed: int, threads: int, out: Path | None
) -> None:
    """Evaluate a CLIP: held-out pictures, unseen words, picture differences, analogies."""
    from undiffuse.evaluation import analogies, clip_metrics, image_differences
    from undiffuse.pipeline import SHIPPED_WEIGHTS
    from undiffuse.runtime.networks import ClipEncoder

    table = clip_metrics.read_synonyms(synonyms)
    encoder = ClipEncoder(model or SHIPPED_WEIGHTS, threads)
    pictures = _read_data(data)
    words = image_differences.caption_words(pictures)
    readouts = image_differences.read_differences(pictures, encoder, words)
    metrics = _log_each(
        chain(
            clip_metrics.evaluate_retrieval(pictures, encoder, seed),
            clip_metrics.evaluate_synonyms(pictures, encoder, table, seed),
            image_differences.difference_metrics(readouts, len(words), seed),
            analogies.evaluate_analogies(pictures, encoder, seed),
        )
    )
    about = {"clip": encoder.hash, "settings": {"seed": seed}, **_describe(pictures)}
    cases = {"picture differences": [asdict(readout) for readout in readouts]}
    _finish(out, metrics, about, cases)


@command.command()
@judged
@_count("--names", 4, 200, "Held-out pairs to draw for each setting.")
def sweep(options: JudgeOptions, names: int) -> None:
    """Evaluate sampler, steps, shift, guidance and band, changing one setting at a time."""
    from undiffuse.evaluation.sweep import evaluate_settings, settings_table

    model, judge, about = options.load(fast=False)

    def generator(config: DrawConfig) -> ModelGenerator:
        return ModelGenerator(replace(model, defaults=config), fast=False)

    about["settings"]["names"] = names
    found = evaluate_settings(judge, generator, model.defaults, names, options.seed)
    metrics = _log_each(found)
    _finish(options.out, metrics, about, table=settings_table(metrics))


@command.command()
@MODEL
@SEED
@THREADS
@FAST
@CANDIDATES
@click.option("-o", "--out", type=OUTPUT_FILE, required=True, help="PNG file to write.")
def sheet(model: Path | None, seed: int, threads: int, out: Path, **draw: Any) -> None:
    """Draw the 100 fixed prompts on one sheet."""
    from undiffuse.evaluation.contact_sheet import TILE, prompt_sheet
    from undiffuse.pipeline import load

    _write_png(out, prompt_sheet(ModelGenerator(load(model, threads), TILE, **draw), seed))
    click.echo(out)


def _read_data(folder: Path) -> "EvaluationData":
    from undiffuse.evaluation.dataset import EvaluationData

    _log(f"reading {folder}")
    return EvaluationData.read(folder)


def _prepared_records(folder: Path) -> list[dict]:
    from undiffuse.data.prepared import is_prepared, open_prepared

    if not is_prepared(folder):
        raise UserError(f"{folder} is no prepared data set: run `undiffuse data prepare`")
    return open_prepared(folder).records


def _describe(data: "EvaluationData") -> dict[str, Any]:
    from undiffuse.evaluation.latency import machine_info

    pictures = data.pictures
    return {"data": {"pictures": len(pictures.keys), "hash": pictures.digest}, "on": machine_info()}


def _log_each(metrics: "Iterable[Metric]") -> "list[Metric]":
    """The metrics, each printed when it is known."""
    known = []
    for metric in metrics:
        _log(f"{metric.name}: {metric.value:.3f}")
        known.append(metric)
    return known


def _log(line: str) -> None:
    click.echo(line, err=True)


def _write_png(path: Path, pixels: Any) -> None:
    from undiffuse.imaging.png import encode_png

    write_atomic(path, encode_png(pixels))


def _finish(
    out: Path | None,
    metrics: "list[Metric]",
    about: dict[str, Any],
    cases: dict[str, Any] | None = None,
    table: str | None = None,
) -> None:
    """Print the report or the table, and write the report to `out`."""
    from undiffuse.evaluation.report import Report

    report = Report(metrics, about, cases or {})
    click.echo(table or report.to_markdown(), nl=False)
    if out is not None:
        write_atomic(out, report.to_json().encode())
