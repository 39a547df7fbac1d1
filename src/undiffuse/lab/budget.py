"""Sizes of the lab's experiments, in steps and not in seconds, so that results are reproducible."""

from dataclasses import dataclass

# Processor time of a step, relative to a training step of a network on pictures; measured with the
# quick budget. Of sampling: for one picture. The rest of the sampling is a share of the comparison
# of samplers.
CLIP_STEP, SPIRAL_STEP, SAMPLING_STEP = 3.4, 0.14, 0.0018
SAMPLERS, OTHER_SAMPLING = 5, 0.45


@dataclass(frozen=True)
class Budget:
    """Sizes of one run of the lab. Every network on pictures trains `train_steps` of `batch`."""

    name: str
    pictures: int  # training pictures
    held_out: int  # test pictures
    clip_steps: int
    train_steps: int
    batch: int
    seeds: int  # networks of each prediction target
    prompts: int  # of the 64, drawn in each measurement
    each: int  # pictures drawn of each prompt
    steps: tuple[int, ...]  # sampling steps with and without fresh noise
    spiral_steps: int
    width: int = 192
    depth: int = 2

    @property
    def total_work(self) -> float:
        """The work of all experiments, in training steps of a network on pictures."""
        networks = (2 * self.seeds + 1) * self.train_steps
        sampled = self.prompts * self.each * SAMPLERS * sum(self.steps) * (1 + OTHER_SAMPLING)
        training = CLIP_STEP * self.clip_steps + networks + SPIRAL_STEP * self.spiral_steps
        return training + SAMPLING_STEP * sampled


QUICK = Budget(
    "quick", pictures=4096, held_out=512, clip_steps=120, train_steps=450, batch=128, seeds=1,
    prompts=64, each=2, steps=(5, 10, 20, 50, 200), spiral_steps=6000, width=128,
)  # fmt: skip
FULL = Budget(
    "full", pictures=16384, held_out=1024, clip_steps=600, train_steps=2500, batch=128, seeds=2,
    prompts=64, each=6, steps=(5, 10, 20, 50, 200), spiral_steps=20000,
)  # fmt: skip
