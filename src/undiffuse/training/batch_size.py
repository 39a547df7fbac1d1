"""Finds the largest batch that pays, by trying."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from undiffuse.errors import UserError
from undiffuse.training.devices import BatchLoader, synchronize
from undiffuse.training.distributed import alone, count, from_main
from undiffuse.training.loop import CHECKPOINT, Run
from undiffuse.training.new_plan import Say, TrainOptions
from undiffuse.training.optimizers import update_weights
from undiffuse.training.plan import Plan
from undiffuse.training.stages import Stage, StageOptions

SMALLEST, LARGEST = 8, 2**16
LEAST_GAIN = 1.05  # of the pictures per second, for twice the batch
WARM_UP, MEASURED = 2, 5  # steps
Build = Callable[[str, StageOptions], Stage]


def choose_batch(
    name: str, plan: Plan, options: TrainOptions, default: int, build: Build, say: Say
) -> int:
    """The pictures per step of a stage: those of the plan, those that the user gave, found by
    trying, or the default. The choice is stored in the plan, so that a resumed run keeps it.
    """
    wanted = options.batch or ("auto" if options.device.type == "cuda" else None)
    chosen = plan.batches.get(name)
    if chosen is not None and wanted not in ("auto", None, chosen):
        raise UserError(f"{options.out} holds a run with batch {chosen}, not {wanted}: "
                        "use the same options, or another folder")  # fmt: skip
    folder = options.out / "runs" / name
    if chosen is None and wanted == "auto" and not (folder / CHECKPOINT).exists():
        trial = "codec" if name == "decoder" else name  # without sampling latents for each size
        # Eager, because torch.compile takes minutes for each size.
        eager = StageOptions(folder, 1, 0, False, options.threads, options.device)

        def find() -> int:
            with alone():  # in one process, because the others would wait if it runs out of memory
                return find_batch_size(
                    lambda batch: build(trial, replace(eager, batch=batch)).run, default, say
                )

        chosen = count() * int(from_main(find))
    elif chosen is None:
        chosen = wanted if isinstance(wanted, int) else max(1, default // count()) * count()
    plan.batches[name] = chosen
    plan.write(options.out)
    return chosen


def find_batch_size(build: Callable[[int], Run], start: int, say: Say = lambda line: None) -> int:
    """Doubles the batch from `start` until memory is exhausted or a doubling gains less than 5%;
    halves it if `start` itself is too large.

    `build(batch)` makes a run, of which a few steps are computed and thrown away. UserError if the
    memory is too small for any batch.
    """
    batch, best, speed = start, 0, 0.0
    while SMALLEST <= batch <= LARGEST:
        found = measure(build, batch)
        if found < LEAST_GAIN * speed:
            break
        if found:
            say(f"batch {batch}: {found:.0f} images per second")
            best, speed, batch = batch, found, 2 * batch
            if best < start:
                break  # twice as many did not fit
        else:
            batch //= 2
    if not best:
        raise UserError(f"the device has no memory for a batch of {SMALLEST}: use a smaller preset")
    say(f"batch {best}: the fastest that was tried")
    return best


def measure(build: Callable[[int], Run], batch: int) -> float:
    """Images per second of training with a batch; 0 if the memory is too small for it."""
    try:
        run = build(batch)
        load = BatchLoader(run.sample, run.seed, run.device)
        try:
            for step in range(WARM_UP + MEASURED):
                if step == WARM_UP:
                    synchronize(run.device)
                    started = time.perf_counter()
                losses = run.loss(step, load(step))
                losses["loss"].backward()
                update_weights(run, losses)
            synchronize(run.device)
        finally:
            load.close()
        return MEASURED * batch / (time.perf_counter() - started)
    except torch.OutOfMemoryError:
        return 0.0
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # another batch needs blocks of other sizes
