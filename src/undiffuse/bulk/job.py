"""Bulk jobs: every part is done at least once and stands in the result exactly once.

The output folder holds

    part-000000.parquet ...  the results, each written whole under a name made of the part's number
    _parts/part-000000.json  a report on each, written after it: the part is finished
    _job.json                what is done, so that another job can't mix its results in
    _manifest.json           written last: every part with its size, hash and counts

A command that is started again skips the finished parts. A part that is done twice, because a
worker died or two commands ran at once, is written over by the same bytes.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from undiffuse.errors import UserError
from undiffuse.explore.vectors import JOB, MANIFEST
from undiffuse.imaging.storage import StorageFolder

FORMAT = 1
REPORTS = "_parts"
FEW_BAD = 20  # bad samples that are never too many
_NAMED = 20  # bad samples of a part that its report names
_MAX_REPORT, _MAX_JOB = 1 << 20, 1 << 20  # bytes


class Result(NamedTuple):
    """What a worker made of a part: a file, counts of what is in it, and what was left out."""

    data: bytes
    rows: dict[str, int]
    bad: list[str]  # which, and why


Worker = Callable[[Any], Result]


@dataclass(frozen=True)
class Job:
    """What is to be done.

    command      "embed" or "draw".
    settings     what the results depend on beside the parts, JSON; the hash of the model among it.
    parts        what each part is, JSON; a worker is called with one of them.
    inputs       names and sizes of the input files, or the parts themselves: another input is
                 another job.
    suffix       of the files that are written: ".parquet" or ".tar".
    make_worker  a function of the number of threads; called once in each process. Can be pickled.
    """

    command: str
    settings: dict[str, Any]
    parts: list[Any]
    inputs: list[Any]
    suffix: str
    make_worker: Callable[[int], Worker]

    @property
    def identity(self) -> dict[str, Any]:
        """What `_job.json` holds."""
        text = json.dumps([self.inputs, len(self.parts)], sort_keys=True)
        return {"format": FORMAT, "command": self.command, "settings": self.settings,
                "inputs": hashlib.sha256(text.encode()).hexdigest()[:16]}  # fmt: skip

    def name(self, number: int) -> str:
        """The name of a part's file."""
        return f"part-{number:06d}{self.suffix}"


@dataclass(frozen=True)
class Report:
    """A finished part."""

    name: str
    bytes: int
    sha256: str
    rows: dict[str, int]
    bad: int
    bad_named: list[str]  # the first ones: which, and why


Reports = Iterator[Report]
# Does some of a job's parts, in any order: (job, output, numbers of parts).
Runner = Callable[[Job, StorageFolder, list[int]], Reports]
# Shows reports as they come: (reports, number of parts, reports of those finished before).
Progress = Callable[[Reports, int, Iterable[Report]], Reports]


class BadSamples:
    """Counts what is left out. UserError once it is too much."""

    def __init__(self, max_share: float) -> None:
        self.max_share, self.bad, self.good = max_share, 0, 0

    def add(self, report: Report) -> None:
        """Count a finished part."""
        self.bad += report.bad
        self.good += sum(report.rows.values())
        if self.bad > max(FEW_BAD, self.max_share * (self.bad + self.good)):
            raise UserError(
                f"{self.bad} of {self.bad + self.good} samples can't be used: mend them, or give "
                f"a larger --max-bad; {'; '.join(report.bad_named)[:300]}"
            )


def do_part(name: str, part: Any, output: StorageFolder, worker: Worker) -> Report:
    """Do a part and write its file, then its report."""
    result = worker(part)
    output.write(name, result.data)
    report = Report(
        name, len(result.data), hashlib.sha256(result.data).hexdigest(),
        result.rows, len(result.bad), result.bad[:_NAMED],
    )  # fmt: skip
    output.write(_report_name(name), _json(vars(report)))
    return report


def run_in_process(threads: int) -> Runner:
    """A plain loop over the parts, in this process."""

    def run(job: Job, output: StorageFolder, numbers: list[int]) -> Reports:
        worker = job.make_worker(threads)
        for number in numbers:
            yield do_part(job.name(number), job.parts[number], output, worker)

    return run


def run_job(
    job: Job,
    output: StorageFolder,
    runner: Runner,
    *,
    overwrite: bool = False,
    max_bad_share: float = 0.1,
    progress: Progress = lambda reports, *_: reports,
) -> dict[str, Any]:
    """Do what is left of a job; returns the manifest.

    overwrite      remove the results of another job first.
    max_bad_share  the share of samples that may be left out; the first 20 always may.
    progress       passes the reports on as they come.
    UserError if the folder holds something else, too many samples are bad, or a worker fails.
    """
    claim(job, output, overwrite=overwrite)
    done = finished(job, output)
    bad = BadSamples(max_bad_share)
    for report in done.values():
        bad.add(report)
    left = [k for k in range(len(job.parts)) if job.name(k) not in done]
    reports = runner(job, output, left) if left else iter(())
    for report in progress(reports, len(job.parts), list(done.values())):
        done[report.name] = report
        bad.add(report)
    return _complete(job, output, done)


def claim(job: Job, output: StorageFolder, *, overwrite: bool) -> None:
    """Make the output folder this job's. UserError if it holds other results or other files."""
    found = output.sizes()
    if JOB in found:
        try:
            before = dict(json.loads(output.read(JOB, _MAX_JOB)))
        except (TypeError, ValueError):
            before = {}
        if before == json.loads(_json(job.identity)):
            return
        if not overwrite:
            raise UserError(
                f"{output.address} holds the results of another job ({_difference(before, job)}): "
                "give another folder, or --overwrite"
            )
        _clear(output, found)
    elif any(not name.startswith(".") for name in found):
        raise UserError(f"{output.address} holds other files: give a new or an empty folder")
    output.write(JOB, _json(job.identity))


def _difference(before: Mapping[str, Any], job: Job) -> str:
    """Which settings differ between two jobs, in words."""

    def flat(identity: Mapping[str, Any]) -> dict[str, Any]:
        settings = identity.get("settings")
        return {**identity, **(settings if isinstance(settings, dict) else {}), "settings": None}

    then, now = flat(before), flat(job.identity)
    names = [n for n in sorted(then.keys() | now.keys()) if then.get(n) != now.get(n)]
    return "; ".join(f"{n}: {then.get(n)} there, {now.get(n)} now" for n in names)


def _clear(output: StorageFolder, found: Iterable[str]) -> None:
    """Remove a job's files, the reports first: interrupted, it leaves only parts to do again."""
    own = [name for name in found if name.startswith(("part-", "_index-", MANIFEST))]
    below = [f"{REPORTS}/{name}" for name in output.sizes(REPORTS)]
    for name in (*below, *own):
        output.remove(name)


def finished(job: Job, output: StorageFolder) -> dict[str, Report]:
    """The reports of the parts that are there and whole, by name."""
    sizes = output.sizes()
    wanted = {job.name(k) for k in range(len(job.parts))}
    reports = {}
    for file, text in output.read_all(REPORTS, _MAX_REPORT).items():
        name = file.removesuffix(".json") + job.suffix
        if name not in wanted or name not in sizes:
            continue
        try:
            report = Report(**json.loads(text))
        except (TypeError, ValueError):
            continue  # a broken report: the part is done again
        if (report.name, report.bytes) == (name, sizes[name]):
            reports[name] = report
    return reports


def _complete(job: Job, output: StorageFolder, done: Mapping[str, Report]) -> dict[str, Any]:
    """Check that every part is there, and write the manifest."""
    sizes = output.sizes()
    reports = [done[job.name(k)] for k in range(len(job.parts))]
    for report in reports:
        if sizes.get(report.name) != report.bytes:
            raise UserError(f"{output.where(report.name)} has gone or was changed: run this again")
    rows: dict[str, int] = {}
    for report in reports:
        for kind, count in report.rows.items():
            rows[kind] = rows.get(kind, 0) + count
    parts = [{"name": r.name, "bytes": r.bytes, "sha256": r.sha256, "rows": r.rows, "bad": r.bad}
             for r in reports]  # fmt: skip
    named = [reason for report in reports for reason in report.bad_named][:_NAMED]
    manifest = {**job.identity, "rows": rows, "bad": sum(r.bad for r in reports),
                "bad_named": named, "parts": parts}  # fmt: skip
    output.write(MANIFEST, _json(manifest))
    for name in sizes:
        if name.startswith(".undiffuse-"):  # of a process that was killed while it wrote
            output.remove(name)
    return manifest


def _report_name(name: str) -> str:
    return f"{REPORTS}/{name.partition('.')[0]}.json"


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode()
