"""`undiffuse evaluate prompts`, `languages` and `checks`: what people type, drawn and checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from undiffuse.cli.image_generator import ModelGenerator
from undiffuse.cli.options import CANDIDATES, FAST, MODEL, PATH, THREADS
from undiffuse.cli.param_types import OUTPUT_FILE
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

if TYPE_CHECKING:
    from undiffuse.evaluation.statistics import Metric
    from undiffuse.pipeline import DrawOptions, TextToImage
    from undiffuse.runtime.networks import ClipEncoder

JUDGE = click.option("--judge", type=PATH, required=True, help="Folder of a CLIP; not the model's.")
SEED = click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
OUT = click.option("-o", "--out", type=OUTPUT_FILE, help="Also write the report to a JSON file.")
LITERAL = click.option("--literal", is_flag=True, help="Draw without the lexicon.")
LANGUAGES = Path("datasets/ten_languages.json")
SHEET = 300  # drawings on the sheet at most


def load_pair(
    model: Path | None, judge: Path, threads: int, **draw: Any
) -> "tuple[TextToImage, ClipEncoder, dict[str, Any]]":
    """The model, the judge's CLIP, and their hashes. `draw`: the options that the model draws with.
    UserError if the judge is the model's CLIP.
    """
    from undiffuse.pipeline import load
    from undiffuse.runtime.networks import ClipEncoder

    loaded, encoder = load(model, threads), ClipEncoder(judge, threads)
    if encoder.hash == loaded.clip.hash:
        raise UserError(f"{judge} is the model's own CLIP: use another one as the judge")
    network = loaded.network(cast("DrawOptions", draw))
    return loaded, encoder, {"model": network.hash, "judge": encoder.hash}


def known_names(model: "TextToImage") -> list[str]:
    """The names among which the judge chooses: those of the model's lexicon, or of the shipped."""
    from undiffuse.clip.lexicon import FILE, Lexicon
    from undiffuse.pipeline import SHIPPED_WEIGHTS

    lexicon = model.reader.lexicon if model.reader else Lexicon(SHIPPED_WEIGHTS / FILE)
    return list(lexicon.names)


def finish(
    metrics: "list[Metric]", about: dict[str, Any], out: Path | None, cases: dict[str, Any]
) -> None:
    """Print the report, and write it with its cases to `out`."""
    from undiffuse.evaluation.report import Report

    click.echo(Report(metrics, about).to_markdown(), nl=False)
    if out is not None:
        write_atomic(out, Report(metrics, about, cases).to_json().encode())


@click.command("prompts")
@click.argument("file", type=PATH)
@MODEL
@JUDGE
@click.option("--count", type=click.IntRange(1, 100), default=2, show_default=True,
              help="Drawings of each prompt.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 10**6), help="Only the first prompts of each kind.")
@click.option("--compose/--no-compose", default=None, help="As for draw.")
@LITERAL
@FAST
@CANDIDATES
@SEED
@THREADS
@OUT
@click.option("--sheet", type=OUTPUT_FILE, help="Write the drawings, wrong ones marked: PNG.")
def prompts(
    file: Path, model: Path | None, judge: Path, count: int, limit: int | None,
    compose: bool | None, literal: bool, seed: int, threads: int, out: Path | None,
    sheet: Path | None, **draw: Any,
) -> None:  # fmt: skip
    """Draw the prompts in FILE and say which drawings are right, by a judge and by program.

    FILE is a .jsonl list, such as datasets/everyday_prompts.jsonl.
    """
    from undiffuse.evaluation.prompt_metrics import PromptJudge, evaluate_prompts, read_prompts

    listed = read_prompts(file)
    if limit is not None:
        kinds = [prompt.kind for prompt in listed]
        listed = [p for k, p in enumerate(listed) if kinds[:k].count(p.kind) < limit]
    loaded, encoder, about = load_pair(model, judge, threads, **draw)
    concepts = [name for one in listed for thing in one.things for name in thing.concepts]
    names = {*known_names(loaded), *concepts}
    generator = ModelGenerator(loaded, **draw)
    metrics, verdicts, drawn = evaluate_prompts(
        listed, PromptJudge(encoder, sorted(names)),
        lambda texts, k: generator.draw(texts, k, literal=literal, compose=compose), count, seed,
    )  # fmt: skip
    about["settings"] = {"seed": seed, "count": count, "compose": compose, "literal": literal,
                         "names": len(names), **draw}  # fmt: skip
    rows = [
        {"kind": verdict.prompt.kind, "prompt": verdict.prompt.prompt, "seed": seed + k,
         "right": verdict.passed, **verdict.checks}
        for k, row in enumerate(verdicts) for verdict in row
    ]  # fmt: skip
    if sheet is not None:
        write_sheet(sheet, drawn[0], verdicts[0])
    finish(metrics, about, out, {"drawings": rows})


def write_sheet(path: Path, pictures: Any, verdicts: Any) -> None:
    """The first drawings with their prompts; a wrong one says which check failed."""
    from undiffuse.evaluation.contact_sheet import contact_sheet
    from undiffuse.imaging.png import encode_png

    labels = [
        verdict.prompt.prompt if verdict.passed
        else "wrong " + ", ".join(name for name, right in verdict.checks.items() if not right)
        + ": " + verdict.prompt.prompt
        for verdict in verdicts[:SHEET]
    ]  # fmt: skip
    write_atomic(path, encode_png(contact_sheet(pictures[:SHEET], labels, 15)))


@click.command("languages")
@click.argument("file", type=PATH, default=LANGUAGES)
@MODEL
@JUDGE
@click.option("--limit", type=click.IntRange(1, 10**6), help="Only the first names of each.")
@LITERAL
@FAST
@CANDIDATES
@SEED
@THREADS
@OUT
def languages(
    file: Path, model: Path | None, judge: Path, limit: int | None, literal: bool, seed: int,
    threads: int, out: Path | None, **draw: Any,
) -> None:  # fmt: skip
    """Draw plain names in several languages, and state each figure as a share of English's.

    FILE is {"language": {"word": ["right English name", ...]}}. English is the first right name of
    each word.
    """
    from undiffuse.evaluation.language_metrics import evaluate_languages
    from undiffuse.evaluation.prompt_metrics import PromptJudge
    from undiffuse.evaluation.word_metrics import read_cases

    groups = {name: cases[:limit] for name, cases in read_cases(file).items()}
    if not all(cases and all(case.things[0] for case in cases) for cases in groups.values()):
        raise UserError(f"{file} has a language without words, or a word without a right name")
    loaded, encoder, about = load_pair(model, judge, threads, **draw)
    right = {name for cases in groups.values() for case in cases for name in case.things[0]}
    names = {*known_names(loaded), *right}
    generator = ModelGenerator(loaded, **draw)
    metrics = evaluate_languages(
        groups, PromptJudge(encoder, sorted(names)),
        lambda texts, k: generator.draw(texts, k, literal=literal), seed,
    )  # fmt: skip
    about["settings"] = {"seed": seed, "literal": literal, "names": len(names), **draw}
    finish(metrics, about, out, {})


@click.command("checks")
@click.argument("data", type=PATH)
@JUDGE
@click.option("--count", type=click.IntRange(1, 10**5), default=300, show_default=True,
              help="Scenes to judge.")  # fmt: skip
@click.option("--style", default="", help="Only pictures of this style.  [default: all]")
@click.option("--composed", is_flag=True, help="Scenes as drawings are composed: every relation "
              "and ground.")  # fmt: skip
@SEED
@THREADS
@OUT
def checks(
    data: Path, judge: Path, count: int, style: str, composed: bool, seed: int, threads: int,
    out: Path | None,
) -> None:  # fmt: skip
    """Measure the checks of `evaluate prompts` on scenes of real pictures.

    DATA is a folder that `undiffuse data prepare --alpha` wrote. A program makes scenes of its
    training pictures, so that what they show is known. What the judge finds in them is the most
    that drawings can reach.
    """
    from undiffuse.data.prepared import is_prepared, open_prepared
    from undiffuse.data.scenes import SceneMaker
    from undiffuse.evaluation.prompt_metrics import PromptJudge
    from undiffuse.evaluation.scene_truth import (
        composed_cases,
        evaluate_checks,
        training_things,
        validation_cases,
    )
    from undiffuse.runtime.networks import ClipEncoder

    pictures = open_prepared(data) if is_prepared(data) else None
    if pictures is None or pictures.pictures.shape[1] != 4:
        raise UserError(f"{data} is no prepared data set with transparency: run "
                        "`undiffuse data prepare --alpha`")  # fmt: skip
    things = training_things(pictures, style)
    if not things:
        raise UserError(f"{data} has no pictures of style {style!r} that scenes can be made of")
    encoder = ClipEncoder(judge, threads)
    names = sorted({thing.name for thing in things})
    if composed:
        scenes = composed_cases(things, count, seed)
    else:
        scenes = validation_cases(SceneMaker(things), count, seed)
    metrics = list(evaluate_checks(PromptJudge(encoder, names), scenes, seed))
    settings = {"seed": seed, "count": count, "style": style, "composed": composed,
                "names": len(names)}  # fmt: skip
    finish(metrics, {"judge": encoder.hash, "settings": settings}, out, {})
