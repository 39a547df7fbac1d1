"""Bulk embedding: two workers on Ray against the plain loop with two threads, on the same shards.

python benchmarks/bulk.py --pictures 8000 --repeats 5

The two take turns, so that other work on the machine slows both. Printed of each turn: pictures a
second while parts are being done, without the start of the workers, and the ratio of the two.
"""

import argparse
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image

import undiffuse
from undiffuse.bulk.embed import ClipModel, embed_job
from undiffuse.bulk.job import Report, Runner, run_in_process, run_job
from undiffuse.bulk.on_ray import connected, run_on_ray
from undiffuse.data.shards import Sample, find_shards, read_shards, write_shards
from undiffuse.imaging.storage import StorageFolder

SIDE, PER_SHARD, CORES = 128, 250, 2
SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "emoji"
CLIP = ClipModel(Path(undiffuse.__file__).with_name("weights"))


def pictures(count: int) -> Iterator[Sample]:
    """128x128, no two alike: the sample's emoji on grounds of their own, with a caption."""
    samples = list(read_shards(find_shards(SAMPLE)))
    rng = np.random.default_rng(0)
    for number in range(count):
        sample = samples[number % len(samples)]
        ground = Image.new("RGBA", (SIDE, SIDE), (*map(int, rng.integers(0, 256, 3)), 255))
        ground.alpha_composite(Image.fromarray(sample.picture).resize((SIDE, SIDE)))
        record = {"caption": f"{sample.record.get('name', 'thing')} {number}"}
        yield Sample(f"{number:07}", np.asarray(ground), record)


class Measure(NamedTuple):
    """Pictures a second from the first `CORES` finished parts on, and the seconds before that."""

    speed: float
    start: float


def measure(shards: Path, runner: Runner) -> Measure:
    """Embed the shards."""
    times: list[tuple[float, int]] = []

    def stamp(reports: Iterator[Report], parts: int, before: Iterable[Report]) -> Iterator[Report]:
        for report in reports:
            times.append((time.perf_counter(), report.rows["image"]))
            yield report

    job = embed_job(str(shards), CLIP, ("image", "text"))
    start = time.perf_counter()
    with TemporaryDirectory() as output:
        run_job(job, StorageFolder(output), runner, progress=stamp)
    first, last = times[CORES - 1][0], times[-1][0]
    return Measure(sum(count for _, count in times[CORES:]) / (last - first), first - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=8000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        shards = Path(name)
        write_shards(pictures(given.pictures), shards, prefix="data", per_shard=PER_SHARD)
        start = time.perf_counter()
        with connected(CORES, None):
            print(f"Ray started in {time.perf_counter() - start:.1f} s", flush=True)
            ratios = []
            for turn in range(given.repeats):
                runners = {"plain": run_in_process(CORES), "ray": run_on_ray(CORES)}
                order = list(runners)[:: 1 - 2 * (turn % 2)]
                speeds = {kind: measure(shards, runners[kind]) for kind in order}
                ratios.append(speeds["ray"].speed / speeds["plain"].speed)
                said = ", ".join(
                    f"{kind} {m.speed:.0f}/s after {m.start:.1f} s"
                    for kind, m in sorted(speeds.items())
                )
                print(f"turn {turn + 1}: {said}, ratio {ratios[-1]:.2f}", flush=True)
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f}-{max(ratios):.2f}")


if __name__ == "__main__":
    main()
