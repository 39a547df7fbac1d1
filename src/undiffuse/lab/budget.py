"""How much is spent on each experiment. Budgets are steps, not seconds: results repeat."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Sizes of one lab. `train`: steps of `batch` pictures, the same for every network."""

    name: str
    pictures: int  # to train on
    held_out: int
    clip_steps: int
    train_steps: int
    batch: int
    seeds: int  # networks of each kind, in the comparison of old and new
    prompts: int  # asked for in each measurement, of the 64 there are
    each: int  # drawings of each prompt
    steps: tuple[int, ...]  # in which pictures are drawn with and without fresh noise
    spiral_steps: int
    width: int = 192
    depth: int = 2


QUICK = Budget(
    "quick", pictures=4096, held_out=512, clip_steps=120, train_steps=450, batch=128, seeds=1,
    prompts=64, each=2, steps=(5, 10, 20, 50, 200), spiral_steps=6000, width=128,
)  # fmt: skip
FULL = Budget(
    "full", pictures=16384, held_out=1024, clip_steps=600, train_steps=2500, batch=128, seeds=2,
    prompts=64, each=6, steps=(5, 10, 20, 50, 200), spiral_steps=20000,
)  # fmt: skip
