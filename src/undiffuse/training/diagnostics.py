"""What a person should be told of a run while there is time: it learns nothing, or it blows up."""

from collections.abc import Iterator, Mapping

from undiffuse.clip.model import LOGIT_SCALE_MAX
from undiffuse.training.loop import Record

MEMORY = 0.98  # of the running means: some fifty steps
SETTLED = 100  # steps before a mean is believed
REPEAT = 500  # steps before the same is said again
CHANCE_SHARE = 0.98
SPIKE, DRIFT = 20.0, 10.0


class Watch:
    """Reads a run's records. `chance`: name of a loss -> what it is for a model that knows nothing.

    A loss "scale" is CLIP's logit scale.
    """

    def __init__(self, chance: Mapping[str, float] | None = None) -> None:
        self.chance = dict(chance or {})
        self.means: dict[str, float] = {}
        self.gradient = 0.0
        self.calmest = float("inf")
        self.seen = 0
        self.said: dict[str, int] = {}

    def read(self, record: Record) -> list[str]:
        """What is to be said after this record."""
        if record.skipped:
            return [f"step {record.step}: loss or gradient not finite; the step is not applied"]
        for name, value in record.losses.items():
            self.means[name] = _blend(self.means.get(name, value), value)
        first = self.seen == 0
        self.seen += 1
        found = dict(self._gradients(record)) if self.seen > SETTLED else {}
        self.gradient = record.gradient if first else _blend(self.gradient, record.gradient)
        if self.seen > SETTLED:
            self.calmest = min(self.calmest, self.gradient)
            found |= dict(self._losses())
        fresh = [k for k in found if self.seen - self.said.get(k, -REPEAT) >= REPEAT]
        self.said |= dict.fromkeys(fresh, self.seen)
        return [f"step {record.step}: {found[key]}" for key in fresh]

    def _gradients(self, record: Record) -> Iterator[tuple[str, str]]:
        if record.gradient > SPIKE * self.gradient:
            now = record.gradient
            yield "spike", f"the gradient jumped to {now:.3g}, from {self.gradient:.3g}"
        if self.gradient > DRIFT * self.calmest:
            yield "drift", f"the gradient has grown to {self.gradient:.3g}, from {self.calmest:.3g}"

    def _losses(self) -> Iterator[tuple[str, str]]:
        for name, chance in self.chance.items():
            mean = self.means[name]
            if mean >= CHANCE_SHARE * chance:
                said = f"{name} is {mean:.3f}, and a model that knows nothing has {chance:.3f}"
                yield name, f"{said}: nothing is learned so far"
        if self.means.get("scale", 0.0) > 0.995 * LOGIT_SCALE_MAX:
            yield "scale", f"the logit scale is at its bound of {LOGIT_SCALE_MAX:.0f}"


def _blend(mean: float, value: float) -> float:
    return MEMORY * mean + (1.0 - MEMORY) * value
