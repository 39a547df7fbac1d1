"""The processes of benchmarks/training.py, seen from the driver, and the environment of peers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training_worker import Job
from undiffuse.errors import UserError

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parent / "constraints.txt"
REQUIREMENTS = (
    "torch==2.13.0", "numpy", "diffusers", "safetensors", "pillow", "tqdm", "scipy",
    "einops==0.8.2", "accelerate==1.15.0",
)  # fmt: skip
# Without their dependencies: torchvision and pytorch-fid, which training doesn't use.
ALONE = ("denoising-diffusion-pytorch==2.3.4", "ema-pytorch==0.8.3")
READY = "undiffuse-peers.txt"


def make_environment(folder: Path, say: Callable[[str], None]) -> Path:
    """The Python of the peers' virtual environment, which is made if it isn't there.

    UserError if a package can't be installed, or the folder holds something else.
    """
    python, ready = folder / "bin" / "python", folder / READY
    wanted = "\n".join((*REQUIREMENTS, *ALONE))
    if ready.exists() and ready.read_text() == wanted:
        return python
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        raise UserError(f"{folder} is no virtual environment: give another --peers-env")
    say(f"installing the peers' packages in {folder}, about 1.1 GB")
    pip = [str(python), "-m", "pip", "install", "--quiet", "-c", str(CONSTRAINTS)]
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, *REQUIREMENTS],
        [*pip, "--no-deps", *ALONE],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(f"the peers' environment {folder} can't be made: {reason}")
    ready.write_text(wanted)
    return python


class Worker:
    """A process that trains one system while it is asked to; `about`: its first answer."""

    def __init__(self, python: Path, job: Job, log: Path) -> None:
        self.name, self.log = job.system, log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [str(python), str(HERE / "training_worker.py")], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
            )  # fmt: skip
        self.about = self._ask(asdict(job))

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def train(self, seconds: float, steps: int) -> dict[str, Any]:
        """Train for so many seconds and at least so many steps: steps, pictures and seconds."""
        return self._ask({"do": "train", "seconds": seconds, "steps": steps})

    def draw(self, cond: Path, out: Path) -> bool:
        """Draw the vectors of a file into another; False if the system can't draw yet."""
        request = {"do": "draw", "cond": str(cond.resolve()), "out": str(out.resolve())}
        return bool(self._ask(request)["drawn"])

    def peak_memory(self) -> int:
        """The most bytes that the process has had in memory."""
        return int(self._ask({"do": "memory"})["peak_memory"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            last = (self.log.read_text(errors="replace").strip().splitlines() or ["killed"])[-1]
            raise UserError(f"{self.name} ended: {last}; see {self.log}")
        answer: dict[str, Any] = json.loads(line)
        return answer
