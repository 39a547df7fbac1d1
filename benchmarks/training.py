"""Training beside peers, in one run on one machine: speed, memory, FLOPs, or time to a score.

python benchmarks/training.py --peers-env ENV -o speed-64            speed at 64 pixels
python benchmarks/training.py --peers-env ENV -o speed-128 --size 128
python benchmarks/training.py --peers-env ENV -o score --until-score 0.5 --minutes 60

Each system trains in a process of its own. They take turns in short windows, so that other work on
the machine slows all alike. The peers have an environment of their own, which is made in ENV: it
has no torchvision (see `stub_torchvision`). Writes OUT.json and OUT.md after each round.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from training_process import Worker, make_environment
from training_report import OURS, Measurement, Spec, parse_specs, speed_table
from training_worker import Job
from undiffuse.data.prepared import prepare
from undiffuse.data.sources import open_source
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.runtime.machine import processor, set_waiting

DATA = Path(__file__).parents[1] / "data" / "emoji"
SIZES = (32, 64, 128, 256)
SPEED = "denoiser,denoiser@128,codec,clip,ddp,unet2d,dit,pixart"
SCORE = "undiffuse,pixart,unet-cond"
WARMUP_STEPS = {True: 20, False: 1}  # compiled or not; CLIP compiles once more at step 15


def arguments() -> argparse.Namespace:
    """The command line. UserError for values out of range."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=__doc__)  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, help="without an ending")
    parser.add_argument("--peers-env", type=Path, help="virtual environment of the peers")
    parser.add_argument("--data", default=str(DATA), help="a data set that undiffuse reads")
    parser.add_argument("--size", type=int, choices=SIZES, default=64, help="pixels a side")
    parser.add_argument("--systems", help=f"default: {SPEED}; with --until-score {SCORE}")
    parser.add_argument("--batch", type=int, default=16, help="of all systems that name none")
    parser.add_argument("--pictures", type=int, default=2048, help="0 for all; speed alone")
    parser.add_argument("--rounds", type=int, default=5, help="windows of each system")
    parser.add_argument("--window", type=float, default=20.0, help="seconds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--until-score", type=float, help="R-precision@5, from 0 to 1")
    parser.add_argument("--minutes", type=float, default=60.0, help="of each system, with a score")
    parser.add_argument("--every", type=float, default=5.0, help="minutes between snapshots")
    parser.add_argument("--names", type=int, default=100, help="drawn at each snapshot")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-training"))
    parser.add_argument("--tiny", action="store_true", help="tiny peers, to try the program")
    given = parser.parse_args()
    for name in ("batch", "rounds", "window", "threads", "minutes", "every", "names"):
        if getattr(given, name) <= 0:
            raise UserError(f"--{name} {getattr(given, name):g}: give a value above 0")
    if given.pictures < 0:
        raise UserError(f"--pictures {given.pictures}: give 0 for all, or a number above it")
    if given.until_score is not None and not 0 < given.until_score <= 1:
        raise UserError(f"--until-score {given.until_score:g}: give a share from 0 to 1")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    return given


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def choose_pictures(given: argparse.Namespace, limit: int) -> Path:
    """The data set, prepared once at the size; rows.npy: up to `limit` rows to train on, evenly."""
    folder: Path = given.work / f"pictures-{given.size}"
    pictures = prepare(open_source(given.data), folder, size=given.size, channels=3, say=say)
    rows = pictures.rows(lambda record: record["split"] == "train")
    if len(rows) < given.batch:
        raise UserError(f"{given.data} has {len(rows)} training pictures: lower --batch")
    if limit and limit < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, limit).astype(int)]
    np.save(folder / "rows.npy", rows)
    return folder


@contextmanager
def workers(
    specs: list[Spec], given: argparse.Namespace, pictures: Path, vectors: str = ""
) -> Iterator[dict[Spec, Worker]]:
    """A started process of each system; all end with the block."""
    from undiffuse.training.precision import dtype_name

    peers = [spec for spec in specs if spec.name not in OURS]
    if peers and not given.peers_env:
        raise UserError(f"{peers[0].name} needs --peers-env: a folder for its environment")
    python = make_environment(given.peers_env, say) if peers else Path(sys.executable)
    seconds = 60 * given.minutes if given.until_score else 0.0
    with ExitStack() as stack:
        found = {}
        for spec in specs:
            folder = (given.work / str(spec)).resolve()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            job = Job(
                spec.name, given.size, spec.batch, spec.compiled, given.threads,
                str(pictures.resolve()), vectors, str(folder), dtype_name(), seconds, given.tiny,
            )  # fmt: skip
            say(f"starting {spec}")
            interpreter = python if spec in peers else Path(sys.executable)
            found[spec] = stack.enter_context(Worker(interpreter, job, folder / "log.txt"))
        yield found


def write(out: Path, content: dict, table: str) -> None:
    """OUT.json and OUT.md."""
    text = json.dumps(content, indent=1) + "\n"
    write_atomic(out.with_name(out.name + ".json"), text.encode())
    write_atomic(out.with_name(out.name + ".md"), table.encode())


def about(given: argparse.Namespace) -> dict:
    """Settings and machine, for the results."""
    from undiffuse.training.precision import dtype_name

    settings = {name: value for name, value in vars(given).items() if name not in ("work", "out")}
    settings["peers_env"] = bool(given.peers_env)
    wait = {name: os.environ.get(name, "") for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    return {"settings": settings, "processor": processor(), "cores": os.cpu_count(),
            "dtype": dtype_name(), **wait}  # fmt: skip


def measure_speed(given: argparse.Namespace) -> None:
    """All systems in turn, `rounds` times a window each."""
    import torch

    from undiffuse.training.throughput import peak_flops

    torch.set_num_threads(given.threads)
    specs = parse_specs(given.systems or SPEED, given.batch)
    pictures = choose_pictures(given, given.pictures)
    results: list[Measurement] = []
    with workers(specs, given, pictures) as processes:
        for spec, worker in processes.items():
            warmed = worker.train(0.0, WARMUP_STEPS[spec.compiled])
            begun = worker.about
            results.append(Measurement(
                spec, begun["parameters"], begun["flops"], begun["notes"],
                begun["seconds"] + warmed["seconds"],
            ))  # fmt: skip
            say(f"{spec}: ready after {results[-1].warmup_seconds:.0f} s")
        peak = 0.0
        for number in range(given.rounds):
            peak = max(peak, peak_flops())
            for result in results:
                done = processes[result.spec].train(given.window, 1)
                result.windows.append((done["pictures"], done["seconds"]))
                say(f"round {number + 1} of {given.rounds}: {result.spec} "
                    f"{done['pictures'] / done['seconds']:.3g} pictures/s")  # fmt: skip
                result.peak_memory = processes[result.spec].peak_memory()
            rows = [result.to_dict(peak) for result in results]
            content = {**about(given), "peak_flops": peak, "systems": rows}
            write(given.out, content, speed_table(rows))
    print(speed_table(rows))
    print(f"machine's peak: {peak / 1e9:.0f} GFLOP/s in {content['dtype']}")


def main() -> None:
    set_waiting()
    try:
        given = arguments()
        if given.until_score:
            from training_score import measure_scores

            measure_scores(given, parse_specs(given.systems or SCORE, given.batch))
        else:
            measure_speed(given)
    except UserError as error:
        say(f"Error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        say("\nstopped; the results of the rounds before are written")
        sys.exit(130)


if __name__ == "__main__":
    main()
