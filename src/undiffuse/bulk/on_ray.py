"""Bulk jobs on Ray Data: a pool of workers that each load the model once, with one thread each."""

import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from undiffuse.bulk.job import Job, Report, Reports, Runner, Worker, do_part
from undiffuse.errors import UserError
from undiffuse.imaging.storage import StorageFolder

OBJECT_STORE = 100 << 20  # bytes; results go straight to storage and don't pass through Ray
TRIES = 3  # of a part whose worker dies
MAX_BLOCKS = 5000
CONNECT_SECONDS = 10.0
# Nothing is reported to anybody; what goes wrong is raised, and need not be printed by Ray too.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


class Tries:
    """An actor that counts how often each part was begun."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def begin(self, name: str) -> int:
        """The number of this try."""
        self.counts[name] += 1
        return self.counts[name]


class PartWorker:
    """What Ray runs: one part after another, each returned as its report or as an error.

    A UserError is returned, not raised: Ray wraps what is raised in tracebacks.
    """

    def __init__(
        self, make_worker: Callable[[int], Worker], output: StorageFolder, tries: Any
    ) -> None:
        self.make_worker, self.output, self.tries = make_worker, output, tries

    @cached_property
    def worker(self) -> Worker:
        return self.make_worker(1)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        import ray

        name = row["name"]
        try:
            if ray.get(self.tries.begin.remote(name)) > TRIES:
                raise UserError(
                    f"{name} ended its worker {TRIES} times, for lack of memory or by a file that "
                    "can't be decoded; the other parts are kept, and the same command goes on"
                )
            report = do_part(name, json.loads(row["part"]), self.output, self.worker)
        except UserError as error:
            return {"error": str(error), "report": ""}
        return {"error": "", "report": json.dumps(vars(report))}


class Driver:
    """Feeds the parts to a pool of workers, and hands out what they return."""

    def __init__(self, worker: tuple[Any, ...], parts: list[dict[str, str]], size: int) -> None:
        """`worker`: the arguments of `PartWorker` but the last; `size`: workers in the pool."""
        import ray
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        tries = ray.remote(num_cpus=0)(Tries).remote()
        blocks = min(len(parts), MAX_BLOCKS)
        dataset: Any = ray.data.from_items(parts, override_num_blocks=blocks)
        returned = dataset.map(
            PartWorker,
            fn_constructor_args=(*worker, tries),
            compute=ray.data.ActorPoolStrategy(size=min(size, len(parts))),
            num_cpus=1,
        )
        self.rows = iter(returned.iter_rows())

    def next(self) -> dict[str, Any] | None:
        """What was returned next; None at the end."""
        return next(self.rows, None)


def run_on_ray(workers: int | None, address: str | None = None) -> Runner:
    """`workers` processes on the cores of this machine, or on the cluster at `address`.

    workers  None for one on each CPU.
    address  "auto", "HOST:PORT" or "ray://HOST:PORT"; None starts Ray here for the job alone.

    Ray begins a part again when its worker dies, up to `TRIES` times.
    """

    def run(job: Job, output: StorageFolder, numbers: list[int]) -> Reports:
        parts = [{"name": job.name(k), "part": json.dumps(job.parts[k])} for k in numbers]
        with connected(workers, address) as (ray, size):
            driver = ((job.make_worker, output), parts, size)
            if address is not None and address.startswith("ray://"):
                remote = ray.remote(num_cpus=0)(Driver).remote(*driver)  # Ray Data can't run here
                rows = iter(lambda: ray.get(remote.next.remote()), None)
            else:
                rows = iter(Driver(*driver).next, None)
            for row in rows:
                if row["error"]:
                    raise UserError(row["error"])
                yield Report(**json.loads(row["report"]))

    return run


@contextmanager
def connected(workers: int | None, address: str | None) -> Iterator[tuple[Any, int]]:
    """Ray, started or connected to, and the number of workers. Ray is left as it was where the
    process uses it already.

    UserError if it is not installed, can't be reached, or has too few CPUs.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(
            f"Ray workers need {error.name}: pip install 'undiffuse[bulk]', or give "
            "--workers 0 for a plain loop"
        ) from error
    ours = not ray.is_initialized()
    if ours:
        _start(ray, workers, address)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        workers = cpus if workers is None else workers
        if not 0 < workers <= cpus:
            raise UserError(f"Ray has {cpus} CPUs for {workers} workers: give --workers {cpus}")
        yield ray, workers
    finally:
        if ours:
            ray.shutdown()


def _start(ray: Any, workers: int | None, address: str | None) -> None:
    quiet = {"logging_level": "error", "log_to_driver": False}
    try:
        if address is None:
            ray.init(
                "local", num_cpus=workers, include_dashboard=False,
                object_store_memory=OBJECT_STORE, **quiet,
            )  # fmt: skip
        else:
            _check_port(address)
            ray.init(address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, ImportError, OSError) as error:
        where = address or "this machine"
        said = " ".join(str(error).split())[:200]
        raise UserError(f"Ray on {where} can't be reached: {said}") from error


def _check_port(address: str) -> None:
    """OSError unless something answers at HOST:PORT: Ray itself would wait without an end."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
