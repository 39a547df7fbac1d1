"""`undiffuse data check`: what is in a data set, and what is wrong with it."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from undiffuse.cli.param_types import OUTPUT_FILE
from undiffuse.cli.progress_bar import Progress
from undiffuse.errors import UserError

if TYPE_CHECKING:
    from undiffuse.data.sources import Item, Source
    from undiffuse.data.sources.check import Check


@click.command()
@click.argument("data")
@click.option("-o", "--out", type=OUTPUT_FILE, help="PNG file for a contact sheet.")
@click.option("--overwrite", is_flag=True, help="Replace the contact sheet if there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--size", type=click.IntRange(8, 1024), default=64, show_default=True,
    help="Pixels of a side that a model would be trained at.",
)  # fmt: skip
@click.option(
    "--fit", type=click.Choice(["pad", "crop"]), default="pad", show_default=True,
    help="How a picture that is not square becomes so.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 10**9), help="Read this many samples at most.")
def check(
    data: str, out: Path | None, overwrite: bool, as_json: bool, size: int,
    fit: Literal["pad", "crop"], limit: int | None,
) -> None:  # fmt: skip
    """Report what is in DATA: sizes, captions, labels, duplicates, broken files.

    DATA is a folder, a table, a zip or tar archive, or an address of shards.
    """
    from undiffuse.cli.output_paths import check_output_path
    from undiffuse.data.sources import open_source
    from undiffuse.data.sources.check import Check

    if out is not None:
        if out.suffix.lower() != ".png":
            raise UserError(f"{out}: give a name that ends in .png")
        check_output_path(out, overwrite=overwrite)
    source = open_source(data, max_bad_share=1.0)
    context, count_tokens = _tokenizer()
    checked = Check(size, fit, context, count_tokens)
    for item in islice(_with_progress(source), limit):
        checked.add(item)
    found = {"format": source.format, "description": source.describe(),
             **checked.report(source.bad, source.bad_count)}  # fmt: skip
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(report_lines(found)))
    if out is not None:
        _write_sheet(out, checked)
        click.echo(out, err=as_json)


def _tokenizer() -> tuple[int, Any]:
    """The shipped model's context, and a function that counts a caption's tokens."""
    from undiffuse.clip.tokenizer import Tokenizer
    from undiffuse.pipeline import SHIPPED_WEIGHTS
    from undiffuse.runtime.weights import read_weights

    meta = read_weights(SHIPPED_WEIGHTS / "clip.safetensors", "clip", "none of the tensors").meta
    tokenizer = Tokenizer.from_json(meta["tokenizer"], meta["config"]["context"])
    return tokenizer.context, lambda text: len(tokenizer.encode(text)) + 2  # start and end


def _with_progress(source: "Source") -> Iterator["Item"]:
    """The items, with progress on stderr."""
    with Progress(1, "", "reading") as progress:
        for item in source:
            yield item
            counts = f"{source.seen:,} samples, {source.bad_count:,} broken, {source.progress:.0%}"
            progress.show(counts, source.progress)


def _write_sheet(path: Path, checked: "Check") -> None:
    import numpy as np

    from undiffuse.data.sources.fit import flatten
    from undiffuse.evaluation.contact_sheet import contact_sheet
    from undiffuse.imaging.files import write_atomic
    from undiffuse.imaging.png import encode_png

    _, labels, squares = zip(*checked.sheet, strict=True)
    pixels = flatten(np.stack(squares), (255, 255, 255))[..., :3].transpose(0, 3, 1, 2)
    write_atomic(path, encode_png(contact_sheet(pixels, labels)))


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """The report as a person reads it. What may need attention starts with "!"."""
    width, height = report["width"], report["height"]
    yield report["description"]
    yield f"  pictures: {report['pictures']:,}, {report['transparent']:,} with transparency"
    yield (
        f"  width {width['min']} to {width['max']}, median {width['median']}; "
        f"height {height['min']} to {height['max']}, median {height['median']}"
    )
    yield _fit_line(report["fit"])
    yield from _caption_lines(report["captions"])
    for kind in ("labels", "styles", "splits"):
        if report[kind]:
            first = [f"{name} {count:,}" for name, count in [*report[kind].items()][:20]]
            more = len(report[kind]) - len(first)
            yield f"  {kind}: {', '.join(first)}" + (f" and {more:,} more" if more else "")
    yield from _duplicate_lines(report["duplicates"])
    broken = report["broken"]
    yield f"{_mark(broken['count'])} broken: {broken['count']:,}"
    yield from (f"    {origin}: {reason}" for origin, reason in broken["first"])
    if broken["count"] > len(broken["first"]):
        yield f"    and {broken['count'] - len(broken['first']):,} more"


def _mark(count: int) -> str:
    return "!" if count else " "


def _fit_line(fits: dict[str, Any]) -> str:
    parts = [f"{fits[kind]:,} {kind}" for kind in ("reduced", "enlarged", "padded", "cropped")
             if fits.get(kind)]  # fmt: skip
    line = f"  at {fits['size']}x{fits['size']} with --fit {fits['mode']}: "
    line += ", ".join(parts) or "all as they are"
    if fits["most_lost"]:
        line += f", {fits['most_lost']:.0%} at most is cut off ({fits['most_lost_of']})"
    return line


def _caption_lines(captions: dict[str, Any]) -> Iterator[str]:
    yield f"  captions: {captions['count']:,}"
    without = captions["pictures_without"]
    yield f"{_mark(without)} pictures without a caption: {without:,}"
    yield from (f"    {key}" for key in captions["first_without"][:5])
    long = captions["too_long"]
    yield f"{_mark(long)} captions above {captions['context']} tokens, which are cut: {long:,}"
    for text, tokens in captions["first_too_long"][:5]:
        yield f"    {tokens} tokens: {text:.60}"
    yield f"  captions of several pictures: {captions['shared']:,}"
    yield from (f"    {count:,}: {text:.60}" for text, count in captions["most_shared"][:5])


def _duplicate_lines(found: dict[str, Any]) -> Iterator[str]:
    extra, near = found["exact_extra"], found["near_groups"]
    yield f"{_mark(extra)} exact duplicates: {extra:,} in {found['exact_groups']:,} groups"
    yield from (f"    {', '.join(group[:5])}" for group in found["first_exact"][:5])
    yield f"{_mark(near)} near duplicates: {near:,} groups"
    yield from (f"    {', '.join(group[:5])}" for group in found["first_near"][:5])
    across = found["groups_across_splits"]
    if across:
        yield f"! groups of duplicates in training and in validation: {across:,}"
