"""Bulk commands: whole data sets on the cores of one machine or on a Ray cluster."""

import os
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from undiffuse.errors import UserError

if TYPE_CHECKING:
    from undiffuse.bulk.job import Job, Report, Reports

Command = TypeVar("Command", bound=Callable[..., Any])


def bulk_options(command: Command) -> Command:
    """The options of a bulk command; pass them to `run_bulk`."""
    options = (
        click.option(
            "--workers", type=click.IntRange(0, 100_000),
            help="Worker processes on Ray, each with one thread; 0 for a plain loop. If not given, "
            "one for each CPU where Ray is installed and there are as many parts.",
        ),
        click.option(
            "--address",
            help='A Ray cluster to work on: "auto", HOST:PORT or ray://HOST:PORT.',
        ),
        click.option(
            "--per-part", type=click.IntRange(1, 1_000_000),
            help="Samples in a part, where parts are not given by shards.",
        ),
        click.option(
            "--max-bad", type=click.FloatRange(0.0, 1.0),
            help="The share of samples that may be left out as bad; 0.1 if not given.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def prompts_options(command: Command) -> Command:
    """`--prompts` and what goes with it, for `undiffuse draw`; see `take_prompts`."""
    command = bulk_options(command)
    command = click.option(
        "--format", "file_format", type=click.Choice(["webdataset", "parquet"]),
        help="What --prompts writes; webdataset if not given.",
    )(command)  # fmt: skip
    return click.option(
        "--prompts", metavar="FILE",
        help="Draw every prompt of a file instead, into shards in the folder or at the address -o. "
        "A line each, or a table (CSV, JSON Lines, Parquet) with a column prompt and, if wanted, "
        "seed, n and style.",
    )(command)  # fmt: skip


# Options of one prompt.
SINGLE = ("grid", "trace_path", "as_json", "first_index", "clip", "size", "background")


def take_prompts(words: tuple[str, ...], options: dict[str, Any]) -> bool:
    """Draw the file that `--prompts` names; false if none was given. Takes the options that are
    meant for it out of `options`."""
    names = ("prompts", "file_format", "workers", "address", "per_part", "max_bad")
    bulk = {name: options.pop(name) for name in names}
    if bulk["prompts"] is None:
        given = [name for name in names if bulk[name] is not None]
        if given:
            raise UserError(f"--{given[0].replace('_', '-')} goes with --prompts FILE alone")
        return False
    single = [bool(options.pop(name)) for name in SINGLE]
    if words or any(single):
        others = "--first-index, --grid, --trace, --json, --clip, --size, --background"
        raise UserError(f"--prompts draws a whole file: leave out PROMPT, {others}")
    draw_prompts(**bulk, **options)
    return True


def draw_prompts(
    prompts: str,
    out: str | Path | None,
    *,
    overwrite: bool,
    count: int,
    model: Path | None,
    threads: int,
    per_part: int | None,
    file_format: str | None,
    workers: int | None,
    address: str | None,
    max_bad: float | None,
    **options: Any,
) -> None:
    """Draw the prompts of a file. `options`: `seed`, `scale`, and those of a drawing."""
    from undiffuse.bulk.draw import PER_PART, draw_job
    from undiffuse.imaging.storage import absolute_address

    if out is None:
        raise UserError("--prompts draws into a folder of shards: give one by -o")
    job = draw_job(
        absolute_address(prompts), model and model.absolute(), n=count,
        file_format=file_format or "webdataset", per_part=per_part or PER_PART,
        threads=threads, **options,
    )  # fmt: skip
    run_bulk(
        job, out, overwrite=overwrite, threads=threads, workers=workers, address=address,
        max_bad=max_bad,
    )  # fmt: skip


def run_bulk(
    job: "Job",
    out: str | Path,
    *,
    overwrite: bool,
    threads: int,
    workers: int | None,
    address: str | None,
    max_bad: float | None,
) -> None:
    """Run a job with the progress on stderr, and say what is in the result."""
    from undiffuse.bulk.job import run_in_process, run_job
    from undiffuse.bulk.on_ray import run_on_ray
    from undiffuse.imaging.storage import StorageFolder, absolute_address

    if workers == 0 and address is not None:
        raise UserError(f"--address {address} needs workers, and --workers is 0: give one of them")
    if workers is None and address is None:
        workers = _usual_workers(len(job.parts))
    runner = run_in_process(threads) if workers == 0 else run_on_ray(workers, address)
    where = f"on {workers or 'all'} Ray workers" if workers != 0 else "in this process"
    click.echo(f"{len(job.parts)} parts {where}", err=True)
    manifest = run_job(
        job, StorageFolder(absolute_address(out)), runner, overwrite=overwrite,
        max_bad_share=0.1 if max_bad is None else max_bad, progress=show_progress,
    )  # fmt: skip
    for reason in manifest["bad_named"]:
        click.echo(f"left out: {reason}", err=True)
    if manifest["bad"]:
        click.echo(f"{manifest['bad']} samples were left out", err=True)
    counts = ", ".join(f"{count} {kind}s" for kind, count in manifest["rows"].items())
    click.echo(f"{out}: complete, {len(manifest['parts'])} parts, {counts}")


def _usual_workers(parts: int) -> int:
    """One for each CPU where that is worth the ten seconds that Ray takes to start; else none."""
    cpus = os.cpu_count() or 1
    return cpus if cpus > 1 and parts >= cpus and find_spec("ray") else 0


def show_progress(reports: "Reports", parts: int, before: "Iterable[Report]") -> "Iterator[Report]":
    """The reports, with the progress on stderr."""
    from undiffuse.cli.progress_bar import Progress

    done, rows = len(list(before)), 0
    if done:
        click.echo(f"{done} of {parts} parts are finished already", err=True)
    with Progress(parts, "parts", "working", done) as progress:
        for report in reports:
            yield report
            rows += sum(report.rows.values())
            progress.update(note=f"{rows / max(progress.seconds, 1e-9):.0f} rows/s")
