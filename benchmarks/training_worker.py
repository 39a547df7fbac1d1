"""One process of benchmarks/training.py: it trains one system and answers requests.

Requests and answers are lines of JSON on stdin and stdout; what libraries print goes to stderr. The
other environment, which has no undiffuse, runs this file too.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

OURS = ("undiffuse", "denoiser", "codec", "clip")  # the others need the other environment


@dataclass(frozen=True)
class Job:
    """What the driver asks a worker for.

    `size`: pixels a side; `pictures`: folder of images.npy `(N, 3, size, size)` uint8 and rows.npy,
    the rows to train on; `vectors`: file of the captions' CLIP vectors, "" where no condition is
    needed; `seconds`: of the whole training, 0 where the speed alone is measured.
    """

    system: str
    size: int
    batch: int
    compiled: bool
    threads: int
    pictures: str
    vectors: str
    folder: str
    dtype: str
    seconds: float = 0.0
    tiny: bool = False


@dataclass
class System:
    """A network in training. `steps` yields the pictures of each step.

    `draw`: CLIP vectors `(B, 512)` to pictures `(B, 3, S, S)` uint8; None before it can draw.
    `flops`: of a picture's forward pass. `notes`: measured costs besides the steps, in words.
    """

    steps: Iterator[int]
    parameters: int
    flops: float
    draw: Callable[[torch.Tensor], np.ndarray | None] = lambda cond: None
    notes: str = ""


def count_flops(forward: Callable[[], Any]) -> float:
    """FLOPs of a forward pass; a multiply-add is two."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        forward()
    return float(counter.get_total_flops())


def to_bytes(pixels: torch.Tensor) -> np.ndarray:
    """`(B, 3, S, S)` in [-1, 1] -> uint8."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()


def build(job: Job) -> System:
    """The system of a job's name."""
    if job.system in OURS:
        from training_ours import SYSTEMS
    elif job.system == "ddp":
        from training_peers import SYSTEMS
    else:
        from training_diffusers import SYSTEMS
    return SYSTEMS[job.system](job)


def train(system: System, seconds: float, steps: int) -> dict[str, float]:
    """Train for so many seconds, and at least so many steps."""
    start, done, pictures = time.perf_counter(), 0, 0
    while done < steps or time.perf_counter() - start < seconds:
        pictures += next(system.steps)
        done += 1
    return {"steps": done, "pictures": pictures, "seconds": time.perf_counter() - start}


def draw(system: System, cond: str, out: str) -> dict[str, Any]:
    """Draw the vectors of a file into another file."""
    state = torch.get_rng_state()  # drawing must not change the training
    torch.manual_seed(0)
    pictures = system.draw(torch.from_numpy(np.load(cond)))
    torch.set_rng_state(state)
    if pictures is not None:
        np.save(out, pictures)
    return {"drawn": pictures is not None}


def answer(system: System, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    if request["do"] == "train":
        return train(system, request["seconds"], request["steps"])
    if request["do"] == "draw":
        return draw(system, request["cond"], request["out"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    return {"peak_memory": peak}


def serve(answers: TextIO) -> None:
    """Build the system of the first line, then answer the other lines."""

    def send(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=answers, flush=True)

    start = time.perf_counter()
    job = Job(**json.loads(sys.stdin.readline()))
    torch.manual_seed(0)
    torch.set_num_threads(job.threads)
    system = build(job)
    send({
        "parameters": system.parameters, "flops": system.flops, "notes": system.notes,
        "seconds": time.perf_counter() - start,
    })  # fmt: skip
    for line in sys.stdin:
        send(answer(system, json.loads(line)))


if __name__ == "__main__":
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(private)
