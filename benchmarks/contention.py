"""Training and the lab with one of the cores taken by another process.

python benchmarks/contention.py -o contention --rounds 5 --seconds 10      about 20 minutes

Measured are steps a second of the denoiser (batch 64) and of a network of the lab, each with
OMP_WAIT_POLICY=ACTIVE, =PASSIVE and as the command line sets it ("default": PASSIVE, and
GOMP_SPINCOUNT=2000), and with 1 and 2 threads: alone, and beside a process that
computes on core 0 without pause. Every measurement is a process of its own; all take turns, and
every second round goes backwards. Writes OUT.json and OUT.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from statistics import median
from typing import NamedTuple

from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.runtime.machine import processor

WORKS, THREADS = ("denoiser", "lab"), (1, 2)
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
POLICIES = {
    "ACTIVE": {"OMP_WAIT_POLICY": "ACTIVE"},
    "PASSIVE": PASSIVE,
    "default": {**PASSIVE, "GOMP_SPINCOUNT": "2000"},
}
BUSY = "import os; os.sched_setaffinity(0, {0})\nwhile True: pass"
WARMUP, BATCH, PICTURES = 3, 64, 512  # steps, and sizes of the denoiser's data


class Setting(NamedTuple):
    """What is measured: the work, the policy of waiting, and the number of threads."""

    work: str
    policy: str
    threads: int


class _Enough(Exception):
    """The measured time is over."""


class Clock:
    """Steps a second after `WARMUP` steps; raises `_Enough` after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self.start, self.last = seconds, 0, 0.0, 0.0

    def step(self) -> None:
        self.last = now = time.perf_counter()
        self.steps += 1
        if self.steps == WARMUP:
            self.start = now
        elif self.steps > WARMUP and now - self.start > self.seconds:
            raise _Enough

    @property
    def speed(self) -> float:
        return (self.steps - WARMUP) / (self.last - self.start)


def denoiser_steps(clock: Clock) -> None:
    """Train the shipped denoiser's architecture, eagerly, on random latents."""
    import numpy as np
    import torch

    import undiffuse
    from undiffuse.config import DenoiserConfig
    from undiffuse.data.picture_set import PictureSet
    from undiffuse.training.latent_cache import FrozenModels, LatentCache
    from undiffuse.training.loop import train
    from undiffuse.training.stages import StageOptions, denoiser_stage

    fields = {"tone": "", "family": "", "group": ""}
    records = [{**fields, "concept": str(row)} for row in range(PICTURES)]
    pictures = PictureSet(np.zeros((PICTURES, 3, 8, 8), np.uint8), records, [])
    config = DenoiserConfig()
    latents = torch.randn(1, PICTURES, config.channels, config.side, config.side).half()
    captions = torch.nn.functional.normalize(torch.randn(PICTURES, 1, config.embed), dim=-1)
    cache = LatentCache(captions.half(), captions[:, 0].half(), x0=latents)
    weights = Path(undiffuse.__file__).with_name("weights")
    frozen = FrozenModels.load(weights / "clip.safetensors", weights / "codec.safetensors")
    with tempfile.TemporaryDirectory() as folder:
        threads = torch.get_num_threads()
        options = StageOptions(Path(folder), 10**9, BATCH, compiled=False, threads=threads)
        stage = denoiser_stage(pictures, frozen, cache, config, options)
        for _ in train(stage.run):
            clock.step()


def lab_steps(clock: Clock) -> None:
    """Train a network of the lab's comparison of targets, at its quick size."""
    import torch
    from torch.nn.functional import normalize

    from undiffuse.config import EMBED_DIM
    from undiffuse.lab.budget import QUICK
    from undiffuse.lab.experiment import Experiment
    from undiffuse.lab.toy_data import CLASSES, make_pictures

    def progress(steps: int, name: str) -> None:
        if steps:
            clock.step()

    pictures = make_pictures(PICTURES, 0)
    vectors = normalize(torch.randn(PICTURES + len(CLASSES), EMBED_DIM), dim=-1)
    prompts, images = vectors[: len(CLASSES)], vectors[len(CLASSES) :]
    while True:  # it has few steps
        experiment = Experiment(QUICK, 0, progress, pictures, pictures, prompts, images)
        experiment.train_denoiser("x0")


def measure_here(setting: Setting, seconds: float) -> float:
    """Steps a second in this process."""
    import torch

    torch.set_num_threads(setting.threads)
    clock = Clock(seconds)
    with suppress(_Enough):
        (denoiser_steps if setting.work == "denoiser" else lab_steps)(clock)
    return clock.speed


def measure(setting: Setting, seconds: float) -> float:
    """Steps a second in a process whose environment has the policy."""
    environment = {**os.environ, **POLICIES[setting.policy]}
    environment["OMP_NUM_THREADS"] = str(setting.threads)
    command = [sys.executable, __file__, "--child", json.dumps(setting), "--seconds", str(seconds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed"])[-1]
        raise UserError(f"{setting.work} ended: {last}")
    return float(done.stdout)


@contextmanager
def busy_core() -> Iterator[None]:
    """A process that computes on core 0, at normal priority, until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


Speeds = dict[tuple[Setting, bool], list[float]]  # beside a busy core or not -> steps a second


def rows(speeds: Speeds) -> list[dict]:
    """Medians of each setting, the share that is left beside a busy core, and for each of these the
    speed with PASSIVE as a share of that with ACTIVE.
    """
    found = []
    for setting in sorted({setting for setting, _ in speeds}):
        alone, busy = (median(speeds[setting, taken]) for taken in (False, True))
        active = setting._replace(policy="ACTIVE")
        found.append({
            **setting._asdict(), "alone": alone, "busy": busy, "left": busy / alone,
            "alone_of_active": alone / median(speeds[active, False]),
            "busy_of_active": busy / median(speeds[active, True]),
        })  # fmt: skip
    return found


def table(found: Sequence[dict]) -> str:
    """The rows in markdown."""
    lines = [
        "| work | waiting | threads | steps/s alone | beside a busy core | share left "
        "| alone, of ACTIVE | busy, of ACTIVE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['work']} | {one['policy']} | {one['threads']} | {one['alone']:.3g} "
        f"| {one['busy']:.3g} | {one['left']:.0%} | {one['alone_of_active']:.0%} "
        f"| {one['busy_of_active']:.0%} |"
        for one in found
    ]
    return "\n".join(lines) + "\n"


def run(out: Path, rounds: int, seconds: float, works: Sequence[str]) -> None:
    """All settings, `rounds` times, alone and beside a busy core in turn."""
    settings = [Setting(*one) for one in product(works, POLICIES, THREADS)]
    speeds: Speeds = defaultdict(list)
    for number in range(rounds):
        for setting in settings[:: 1 - 2 * (number % 2)]:
            speeds[setting, False].append(measure(setting, seconds))
            with busy_core():
                speeds[setting, True].append(measure(setting, seconds))
            alone, busy = speeds[setting, False][-1], speeds[setting, True][-1]
            said = f"{setting.work}, {setting.policy}, {setting.threads} threads"
            print(f"round {number + 1} of {rounds}: {said}: {alone:.3g} steps/s alone, "
                  f"{busy:.3g} beside a busy core", file=sys.stderr, flush=True)  # fmt: skip
        found = rows(speeds)
        content = {"processor": processor(), "cores": os.cpu_count(), "rounds": number + 1,
                   "seconds": seconds, "rows": found}  # fmt: skip
        text = json.dumps(content, indent=1) + "\n"
        write_atomic(out.with_name(out.name + ".json"), text.encode())
        write_atomic(out.with_name(out.name + ".md"), table(found).encode())
    print(table(found))


def main() -> None:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=__doc__)  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, help="without an ending")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--work", choices=WORKS, action="append", help="default: both")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        if given.child:
            print(measure_here(Setting(*json.loads(given.child)), given.seconds))
        elif not given.out or given.rounds < 1 or given.seconds <= 0:
            raise UserError("give -o OUT, and --rounds and --seconds above 0")
        else:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            run(given.out, given.rounds, given.seconds, given.work or WORKS)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
