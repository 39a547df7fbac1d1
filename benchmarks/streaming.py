"""The share of a training step that waits for data: prepared pictures, and WebDataset shards.

python benchmarks/streaming.py -o streaming --rounds 5 --window 15      about 9 minutes

`undiffuse train` decodes a data set once and then reads it through memory mapping. Measured are
that way, for each network, and the codec's training with pictures decoded from shards while it
trains: in the training loop, and by a thread that is up to `AHEAD` batches ahead. All take turns in
windows; the share is the median of the windows. Writes OUT.json and OUT.md.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.random import Generator

from training import DATA, choose_pictures
from training_ours import CLIP, read_pictures
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.prepared import encode_channels
from undiffuse.data.sources import fit, open_source
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.runtime.machine import processor
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.loop import Run, train
from undiffuse.training.plan import PRESETS
from undiffuse.training.stages import StageOptions, clip_stage, codec_stage, denoiser_stage

SIZE, SHUFFLE, AHEAD = 64, 1000, 4  # pixels, samples in the shuffle buffer, batches
BATCHES = {"clip": 256, "codec": 64, "denoiser": 128}  # of `undiffuse train DATA`
Sample = Callable[[int, Generator], Any]


@dataclass
class Case:
    """A training, what of its time was spent waiting, and (waited, seconds, steps) by window."""

    name: str
    run: Run
    waited: float = 0.0
    windows: list[tuple[float, float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run.sample = self._timed(self.run.sample)
        self.run.save_minutes = 1e9
        self.steps = train(self.run)

    def _timed(self, sample: Sample) -> Sample:
        def timed(step: int, rng: Generator) -> Any:
            start = time.perf_counter()
            batch = sample(step, rng)
            self.waited += time.perf_counter() - start
            return batch

        return timed

    def window(self, seconds: float) -> None:
        """Train for so many seconds, and at least a step."""
        start, before, steps = time.perf_counter(), self.waited, 0
        while not steps or time.perf_counter() - start < seconds:
            next(self.steps)
            steps += 1
        self.windows.append((self.waited - before, time.perf_counter() - start, steps))

    def to_dict(self) -> dict[str, Any]:
        """The figures, for JSON."""
        shares = [waited / seconds for waited, seconds, _ in self.windows]
        each = [seconds / steps for _, seconds, steps in self.windows]
        return {
            "case": self.name, "batch": self.run.batch, "share_waiting": median(shares),
            "lowest": min(shares), "highest": max(shares), "seconds_per_step": median(each),
        }  # fmt: skip


def stream(data: str, batch: int) -> Iterator[torch.Tensor]:
    """Batches `(B, 3, S, S)` uint8 from the shards, in another order each time through."""
    epoch = 0
    while True:
        found = []
        for item in open_source(data, side=SIZE, shuffle=SHUFFLE, seed=epoch):
            found.append(encode_channels(fit(item.image, SIZE), 3))
            if len(found) == batch:
                yield torch.from_numpy(np.stack(found))
                found = []
        epoch += 1


def ahead(batches: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The same batches, made by a thread."""
    waiting: Queue[torch.Tensor | Exception] = Queue(AHEAD)

    def fill() -> None:
        try:
            for batch in batches:
                waiting.put(batch)
        except Exception as error:
            waiting.put(error)

    Thread(target=fill, daemon=True).start()
    while True:
        found = waiting.get()
        if isinstance(found, Exception):
            raise found
        yield found


def streamed(run: Run, batches: Iterator[torch.Tensor]) -> Run:
    """The codec's run with the pictures of `batches` in place of those in memory."""
    sample = run.sample

    def replaced(step: int, rng: Generator) -> Any:
        return sample(step, rng) | {"pictures": next(batches)}

    run.sample = replaced
    return run


def cases(given: argparse.Namespace, pictures: PictureSet, folder: Path) -> Iterator[Case]:
    """Every training that is measured."""
    preset = PRESETS["small"]

    def options(name: str, kind: str) -> StageOptions:
        return StageOptions(folder / name, 10**9, BATCHES[kind], given.compile, given.threads)

    def codec(name: str) -> Run:
        return codec_stage(pictures, preset.codec, options(name, "codec")).run

    frozen = FrozenModels.load(CLIP, CLIP.with_name("codec.safetensors"))
    cache = frozen.cache(pictures, given.work / "cache", lambda line: print(line, file=sys.stderr))
    denoiser = denoiser_stage(
        pictures, frozen, cache, preset.denoiser, options("denoiser", "denoiser")
    )
    clip = clip_stage(pictures, preset.clip, options("clip", "clip"), 0.125)
    yield Case("denoiser, prepared", denoiser.run)
    yield Case("CLIP, prepared", clip.run)
    yield Case("codec, prepared", codec("prepared"))
    batches = stream(given.data, BATCHES["codec"])
    yield Case("codec, shards in the training loop", streamed(codec("shards"), batches))
    batches = ahead(stream(given.data, BATCHES["codec"]))
    yield Case("codec, shards in a thread", streamed(codec("thread"), batches))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in markdown."""
    lines = ["| training | batch | s/step | waiting for data (range) |", "|---|---|---|---|"]
    lines += [
        f"| {one['case']} | {one['batch']} | {one['seconds_per_step']:.3g} "
        f"| {one['share_waiting']:.1%} ({one['lowest']:.1%} to {one['highest']:.1%}) |"
        for one in rows
    ]
    return "\n".join(lines) + "\n"


def measure(given: argparse.Namespace) -> None:
    """All cases in turn."""
    folder = choose_pictures(given, given.pictures)
    pictures = read_pictures(folder)
    with TemporaryDirectory(prefix="undiffuse-streaming-") as name:
        found = list(cases(given, pictures, Path(name)))
        for case in found:
            case.window(0.0)
            case.windows.clear()  # the first step compiles
            print(f"{case.name}: ready", file=sys.stderr, flush=True)
        for number in range(given.rounds):
            for case in found:
                case.window(given.window)
                waited, seconds, _ = case.windows[-1]
                print(f"round {number + 1} of {given.rounds}: {case.name}: "
                      f"{waited / seconds:.1%} waiting", file=sys.stderr, flush=True)  # fmt: skip
            rows = [case.to_dict() for case in found]
            content = {"processor": processor(), "cores": os.cpu_count(), "threads": given.threads,
                       "compiled": given.compile, "rounds": number + 1, "rows": rows}  # fmt: skip
            text = json.dumps(content, indent=1) + "\n"
            write_atomic(given.out.with_name(given.out.name + ".json"), text.encode())
            write_atomic(given.out.with_name(given.out.name + ".md"), table(rows).encode())
        print(table(rows))


def main() -> None:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=__doc__)  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, help="without an ending")
    parser.add_argument("--data", default=str(DATA), help="folder of WebDataset shards")
    parser.add_argument("--pictures", type=int, default=4096, help="in memory, of the data set")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=15.0, help="seconds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="as long trainings do")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-training"))
    given = parser.parse_args()
    given.size, given.batch = SIZE, 1
    try:
        for name in ("rounds", "window", "threads", "pictures"):
            if getattr(given, name) <= 0:
                raise UserError(f"--{name} {getattr(given, name):g}: give a value above 0")
        given.out.parent.mkdir(parents=True, exist_ok=True)
        measure(given)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
