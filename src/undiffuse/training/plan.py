"""What `undiffuse train DATA` trains: model presets, stages, and a share of the time for each."""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from undiffuse.config import ClipConfig, CodecConfig, DenoiserConfig
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.training.distributed import is_main
from undiffuse.training.time_limit import Clock, TimeLimit

PLAN = "plan.json"
# For the report, at the end: at least so many seconds, and so many times the export of the graphs.
CLOSING_SECONDS, CLOSING_FACTOR = 4.0, 1.5
TICK_SECONDS = 30.0  # after a SIGKILL, so much of the spent time is not counted


@dataclass(frozen=True)
class ModelPreset:
    """Sizes of the networks. `pflop`: training compute (10^15 operations) that suits them."""

    pflop: float
    clip: ClipConfig
    codec: CodecConfig
    denoiser: DenoiserConfig


# Columns: compute, image size, latents, widths. `small` is the architecture of the shipped model.
# fmt: off
PRESETS = {
    "tiny": ModelPreset(
        0.02,
        ClipConfig(image_width=128, image_depth=2, text_width=128, text_depth=2, vocabulary=4096),
        CodecConfig(image_size=32, channels=32, widths=(32, 64), flat=0.0),
        DenoiserConfig(channels=32, width=192, depth=6)),
    "small": ModelPreset(
        1.0,
        ClipConfig(),
        CodecConfig(),
        DenoiserConfig()),
    "medium": ModelPreset(
        30.0,
        ClipConfig(),
        CodecConfig(image_size=128, patch=4, widths=(64, 128, 224)),
        DenoiserConfig(width=384, depth=12)),
    "large": ModelPreset(
        1000.0,
        ClipConfig(image_width=384, image_depth=8, image_heads=6, text_width=384, text_depth=6,
                   text_heads=6, vocabulary=24576),
        CodecConfig(image_size=256, patch=4, side=8, widths=(96, 160, 256)),
        DenoiserConfig(side=8, width=640, depth=16, heads=10)),
}
# fmt: on
# Stage -> share of the training time.
SCRATCH_SHARES = {"clip": 0.12, "codec": 0.09, "denoiser": 0.71, "decoder": 0.08}
FROZEN_CLIP_SHARES = {"codec": 0.3, "denoiser": 0.6, "decoder": 0.1}
FINETUNE_SHARES = {"denoiser": 0.85, "decoder": 0.15}
FINETUNE_BELOW = 5000  # images: smaller sets start from the shipped weights


@dataclass
class Plan:
    """The decisions of a run, in plan.json in its folder. `steps` is filled stage by stage.

    A resumed run keeps them, so that it ends with the weights of an uninterrupted one.

    notes      what was chosen and why, by subject; shown to the user and in the report.
    weights    stage -> its expected share of the time of a run without a time limit.
    deadlines  stage -> seconds of the whole run after which the stage must have ended.
    durations  stage -> wall time in seconds, over all interruptions.
    facts      what the finished stages measured, for the report.
    """

    mode: str  # "scratch", "finetune" or "lora"
    preset: str
    shares: dict[str, float]  # stage -> share of the time
    minutes: float | None
    seconds_spent: float = 0.0
    steps: dict[str, int] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)  # stage -> pictures per step
    notes: dict[str, str] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    deadlines: dict[str, float] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Plan | None":
        """The plan in a run's folder. UserError if it is broken."""
        path = folder / PLAN
        if not path.exists():
            return None
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{path} is broken ({error}): delete the folder") from error

    def write(self, folder: Path) -> None:
        """Write plan.json, with the time that was spent so far; of several processes the main one
        writes.
        """
        self._count_time()
        if not is_main():
            return
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / PLAN, (json.dumps(asdict(self), indent=1) + "\n").encode())

    def start_clock(self, started: float | None = None, clock: Clock | None = None) -> None:
        """Count the time since `started` on `clock`, by default time.monotonic, as spent."""
        self._clock = clock or time.monotonic
        self._counted = self._clock() if started is None else started
        self._stage = ""

    def _count_time(self) -> None:
        elapsed = self.elapsed()
        new = elapsed - self.seconds_spent
        self.seconds_spent = elapsed
        if getattr(self, "_stage", ""):
            self.durations[self._stage] = self.durations.get(self._stage, 0.0) + new
        if hasattr(self, "_clock"):
            self._counted = self._clock()

    def elapsed(self) -> float:
        """Seconds spent, earlier processes included."""
        if not hasattr(self, "_clock"):
            return self.seconds_spent
        return self.seconds_spent + self._clock() - self._counted

    def tick(self, folder: Path) -> None:
        """Write the spent time now and then, because a run may be killed."""
        if self.elapsed() - self.seconds_spent > TICK_SECONDS:
            self.write(folder)

    def is_done(self, stage: str) -> bool:
        """Whether the stage has been trained and exported."""
        return stage in self.done

    def begin(self, stage: str, folder: Path) -> None:
        """Count the time from now on as the stage's."""
        self.write(folder)
        self._stage = stage

    def finish(self, stage: str, folder: Path) -> None:
        """Record that a stage has been trained and exported."""
        self.done.append(stage)
        self.write(folder)
        self._stage = ""

    def drop(self, stage: str, reason: str) -> None:
        """Leave a stage out; the others get its time."""
        self.shares = {name: share for name, share in self.shares.items() if name != stage}
        self.notes[stage] = reason

    def time_left(self) -> float:
        """Seconds until the stages must have ended; infinity without a limit."""
        if self.minutes is None:
            return math.inf
        closing = max(CLOSING_SECONDS, CLOSING_FACTOR * self.durations.get("graphs", 0.0))
        return self.minutes * 60 - self.elapsed() - closing

    def run_left(self, stage: str, stage_left: float) -> float:
        """Seconds until the end of the whole run, `stage_left` of them in this stage.

        Without a limit, from the usual shares of the stages: an estimate.
        """
        if self.minutes is not None:
            return max(0.0, self.minutes * 60 - self.elapsed())
        names = list(self.shares)
        later = sum(self.weights.get(name, 0.0) for name in names[names.index(stage) + 1 :])
        spent = self.durations.get(stage, 0.0) + self.elapsed() - self.seconds_spent
        own = self.weights.get(stage, 0.0)
        return stage_left + (spent + stage_left) * later / own if own else stage_left

    def time_limit(self, stage: str, folder: Path) -> TimeLimit | None:
        """The stage's share of the time that is left; None without a limit, or with fixed steps.

        A resumed stage keeps the deadline of its first start. UserError if no time is left.
        """
        if self.minutes is None or stage in self.steps:
            return None
        if stage not in self.deadlines:
            names = list(self.shares)
            rest = sum(self.shares[name] for name in names[names.index(stage) :])
            left = self.time_left()
            if left <= 0:
                raise UserError(f"{self.minutes:g} minutes are too short on this machine: give "
                                "more, or a smaller --preset")  # fmt: skip
            self.deadlines[stage] = self.elapsed() + left * self.shares[stage] / rest
            self.write(folder)

        def fix(steps: int) -> None:
            self.steps[stage] = steps
            self.write(folder)

        return TimeLimit(self.deadlines[stage] - self.elapsed(), self._clock, fix)


def choose_preset(pflop: float) -> str:
    """The largest preset that `pflop` of compute suits; the smallest if none does."""
    fitting = [name for name, preset in PRESETS.items() if preset.pflop <= pflop]
    return fitting[-1] if fitting else next(iter(PRESETS))
