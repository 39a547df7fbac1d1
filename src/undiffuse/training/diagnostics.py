"""Warnings during training: the model does not learn, or training becomes unstable."""

from collections.abc import Iterator, Mapping

from undiffuse.clip.model import LOGIT_SCALE_MAX
from undiffuse.training.loop import StepRecord

EMA_DECAY = 0.98  # of the running means: about 50 steps
MIN_STEPS = 100  # before the first warning
REPEAT_STEPS = 500  # before a warning is repeated
CHANCE_SHARE = 0.98  # a loss above this share of chance counts as chance
SPIKE, DRIFT = 20.0, 10.0  # factors of the gradient norm over its mean and over the lowest mean


class Diagnostics:
    """Running means of a run's losses, and warnings.

    `chance`: name of a loss -> its value for a model that has learned nothing. A loss named "scale"
    is CLIP's logit scale.
    """

    def __init__(self, chance: Mapping[str, float] | None = None) -> None:
        self.chance = dict(chance or {})
        self.means: dict[str, float] = {}
        self.grad_norm = 0.0
        self.lowest_grad_norm = float("inf")
        self.steps = 0
        self.warned: dict[str, int] = {}

    def update(self, record: StepRecord) -> list[str]:
        """Take in a step; returns warnings."""
        if record.skipped:
            return [f"step {record.step}: loss or gradient is not finite; the step is skipped"]
        for name, value in record.losses.items():
            self.means[name] = _blend(self.means.get(name, value), value)
        first = self.steps == 0
        self.steps += 1
        found = dict(self._check_gradient(record)) if self.steps > MIN_STEPS else {}
        self.grad_norm = record.grad_norm if first else _blend(self.grad_norm, record.grad_norm)
        if self.steps > MIN_STEPS:
            self.lowest_grad_norm = min(self.lowest_grad_norm, self.grad_norm)
            found |= dict(self._check_losses())
        new = [k for k in found if self.steps - self.warned.get(k, -REPEAT_STEPS) >= REPEAT_STEPS]
        self.warned |= dict.fromkeys(new, self.steps)
        return [f"step {record.step}: {found[key]}" for key in new]

    def _check_gradient(self, record: StepRecord) -> Iterator[tuple[str, str]]:
        mean = self.grad_norm
        if record.grad_norm > SPIKE * mean:
            yield "spike", f"the gradient norm jumped from {mean:.3g} to {record.grad_norm:.3g}"
        if mean > DRIFT * self.lowest_grad_norm:
            yield "drift", f"the gradient norm grew from {self.lowest_grad_norm:.3g} to {mean:.3g}"

    def _check_losses(self) -> Iterator[tuple[str, str]]:
        for name, chance in self.chance.items():
            mean = self.means[name]
            if mean >= CHANCE_SHARE * chance:
                text = f"{name} is {mean:.3f}, and {chance:.3f} is chance"
                yield name, f"{text}: the model has learned nothing so far"
        if self.means.get("scale", 0.0) > 0.995 * LOGIT_SCALE_MAX:
            yield "scale", f"the logit scale is at its maximum of {LOGIT_SCALE_MAX:.0f}"


def _blend(mean: float, value: float) -> float:
    return EMA_DECAY * mean + (1.0 - EMA_DECAY) * value
