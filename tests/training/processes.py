"""What torchrun starts in the tests of several processes, and the call of torchrun.

`torchrun -m tests.training.processes FOLDER STEPS` trains the tiny networks; the main process
writes FOLDER/losses.json. `... train DATA -o MODEL` is the command of the same name.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.training import tiny

ROOT = Path(__file__).parents[2]


def torchrun(processes: int, *command: object, **environment: str) -> "subprocess.Popen[str]":
    """Start a command in several processes that use one thread each."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment}
    arguments = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                 f"--nproc-per-node={processes}", "-m", *map(str, command)]  # fmt: skip
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=env,
        start_new_session=True,
    )


def losses_of(folder: Path, processes: int, steps: int, **environment: str) -> dict[str, list]:
    """The losses of all steps, by network, of a training in several processes."""
    process = torchrun(processes, "tests.training.processes", folder, steps, **environment)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    losses: dict[str, list] = json.loads((folder / "losses.json").read_text())
    return losses


def main(folder: Path, steps: int) -> None:
    import torch

    from undiffuse.errors import LostProcess
    from undiffuse.training.distributed import is_main, start
    from undiffuse.training.loop import train

    start("cpu")
    torch.set_num_threads(1)
    losses = {}
    for kind in tiny.KINDS:
        run = tiny.make(kind, folder / kind, steps)
        run.save_minutes = 0.0
        run.resume()
        losses[kind] = []
        try:
            for record in train(run):
                losses[kind].append({**record.losses, "gradient": record.grad_norm})
                if is_main():
                    print(kind, record.step, flush=True)
        except LostProcess as error:
            print(error, flush=True)
            sys.exit(2)
    if is_main():
        (folder / "losses.json").write_text(json.dumps(losses))


def undiffuse() -> None:
    """The command line, with the preset `tiny` made tinier and a checkpoint after each step."""
    from dataclasses import replace

    from undiffuse.cli.main import main
    from undiffuse.training import plan
    from undiffuse.training.loop import Run

    initialize = Run.__post_init__

    def save_often(run: Run) -> None:
        initialize(run)
        run.save_minutes = 0.0

    Run.__post_init__ = save_often  # type: ignore[method-assign]

    codec = replace(tiny.CODEC, image_size=32, widths=(8, 16), channels=16)
    plan.PRESETS["tiny"] = plan.ModelPreset(
        0.0, tiny.CLIP, codec, replace(tiny.DENOISER, channels=16)
    )
    main()


if __name__ == "__main__":
    if sys.argv[1] == "train":
        undiffuse()
    else:
        with tiny.in_float32():
            main(Path(sys.argv[1]), int(sys.argv[2]))
