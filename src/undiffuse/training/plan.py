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
from undiffuse.training.loop import Run

PLAN = "plan.json"
EXPORT_SECONDS = 15.0  # for the graphs, at the end
MEASURED_SHARE = 0.04  # of a stage's time, to measure its speed


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
SCRATCH_SHARES = {"clip": 0.25, "codec": 0.2, "denoiser": 0.47, "decoder": 0.08}
FROZEN_CLIP_SHARES = {"codec": 0.3, "denoiser": 0.6, "decoder": 0.1}
FINETUNE_SHARES = {"denoiser": 0.85, "decoder": 0.15}
FINETUNE_BELOW = 5000  # images: smaller sets start from the shipped weights


@dataclass
class Plan:
    """The decisions of a run, in plan.json in its folder. `steps` is filled stage by stage.

    A resumed run keeps them, so that it ends with the weights of an uninterrupted one.
    """

    mode: str  # "scratch", "finetune" or "lora"
    preset: str
    shares: dict[str, float]  # stage -> share of the time
    minutes: float | None
    seconds_spent: float = 0.0
    steps: dict[str, int] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

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
        """Write plan.json, with the time that was spent so far."""
        folder.mkdir(parents=True, exist_ok=True)
        self.seconds_spent = self.elapsed()
        self.start_clock(time.monotonic())
        write_atomic(folder / PLAN, (json.dumps(asdict(self), indent=1) + "\n").encode())

    def start_clock(self, now: float) -> None:
        """Count the time from `now` (of `time.monotonic`) as spent on this plan."""
        self._started = now

    def elapsed(self) -> float:
        """Seconds spent, earlier processes included."""
        return self.seconds_spent + time.monotonic() - getattr(self, "_started", time.monotonic())

    def is_done(self, stage: str) -> bool:
        """Whether the stage has been trained and exported."""
        return stage in self.done

    def finish(self, stage: str, folder: Path) -> None:
        """Record that a stage has been trained and exported."""
        self.done.append(stage)
        self.write(folder)

    def time_left(self) -> float:
        """Seconds until the export must begin; infinity without a limit."""
        return (
            math.inf
            if self.minutes is None
            else (self.minutes * 60 - self.elapsed() - EXPORT_SECONDS)
        )

    def time_limit(self, stage: str) -> "TimeLimit | None":
        """The stage's share of the time that is left; None without a limit, or with fixed steps.

        UserError if no time is left.
        """
        if self.minutes is None or stage in self.steps:
            return None
        names = list(self.shares)
        rest = sum(self.shares[name] for name in names[names.index(stage) :])
        left = self.time_left()
        if left <= 0:
            raise UserError(f"{self.minutes:g} minutes are too short on this machine: give more, "
                            "or a smaller --preset")  # fmt: skip
        return TimeLimit(left * self.shares[stage] / rest)


class TimeLimit:
    """Sets the number of steps of a run so that it takes `seconds`, starting now.

    The speed is measured in the first steps, and once more before the learning rate decays.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.started = seconds, time.monotonic()
        self.first: tuple[int, float] | None = None
        self.corrected = False

    def update(self, run: Run) -> None:
        """Call after each step. `run.steps` must be large before the first call."""
        now = time.monotonic() - self.started
        if self.first is None:  # the first step compiles
            self.first, self.measured = (run.step, now), False
            return
        steps, seconds = run.step - self.first[0], now - self.first[1]
        enough = seconds > MEASURED_SHARE * self.seconds and steps >= 3
        late = (
            self.measured and not self.corrected and run.step >= (run.decay_from - 0.02) * run.steps
        )
        if (enough and not self.measured) or late:
            left = max(0.0, self.seconds - now)
            run.steps = run.step + max(1, round(left * steps / seconds))
            self.corrected, self.measured = late, True


def choose_preset(pflop: float) -> str:
    """The largest preset that `pflop` of compute suits; the smallest if none does."""
    fitting = [name for name, preset in PRESETS.items() if preset.pflop <= pflop]
    return fitting[-1] if fitting else next(iter(PRESETS))
