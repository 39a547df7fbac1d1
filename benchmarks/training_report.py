"""What benchmarks/training.py makes of its measurements: rates, shares, and tables in markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from undiffuse.errors import UserError

OURS = ("undiffuse", "denoiser", "codec", "clip")
TITLES = {
    "undiffuse": "undiffuse: codec and denoiser",
    "denoiser": "undiffuse: denoiser, in latents",
    "codec": "undiffuse: codec",
    "clip": "undiffuse: CLIP",
    "ddp": "denoising-diffusion-pytorch: Unet",
    "unet2d": "diffusers: UNet2DModel",
    "dit": "diffusers: DiTTransformer2DModel, in latents",
    "pixart": "diffusers: PixArtTransformer2DModel, in pixels",
    "unet-cond": "diffusers: UNet2DConditionModel, in pixels",
}
TRAINING = 3  # FLOPs of a training step per FLOP of its forward pass
MIN_BATCH = {"clip": 32}
_SPEC = re.compile(r"([a-z0-9-]+)(?:@(\d{1,5}))?(?:\+(eager|compile))?")


@dataclass(frozen=True)
class Spec:
    """A system to train, its batch, and whether torch.compile is used."""

    name: str
    batch: int
    compiled: bool

    def __str__(self) -> str:
        return f"{self.name}@{self.batch}{'+compile' if self.compiled else '+eager'}"

    @property
    def title(self) -> str:
        return TITLES[self.name] + (", compiled" if self.compiled else "")


def parse_specs(text: str, batch: int) -> list[Spec]:
    """ "denoiser,denoiser@128+eager,unet2d" as specifications; ours are compiled by default, the
    others not, as each documentation has it. UserError for unknown or repeated ones.
    """
    specs = []
    for part in text.split(","):
        found = _SPEC.fullmatch(part.strip())
        if not found or found[1] not in TITLES:
            raise UserError(f"{part.strip()!r} is no system: use {', '.join(TITLES)}, each as "
                            "NAME, NAME@BATCH or NAME+eager")  # fmt: skip
        size = int(found[2] or max(batch, MIN_BATCH.get(found[1], 1)))
        if size < MIN_BATCH.get(found[1], 1):
            raise UserError(f"{part.strip()}: its batch is at least {MIN_BATCH.get(found[1], 1)}")
        compiled = found[3] == "compile" if found[3] else found[1] in OURS
        specs.append(Spec(found[1], size, compiled))
    if len(set(specs)) < len(specs):
        raise UserError(f"{text}: a system is named twice")
    return specs


@dataclass
class Measurement:
    """What was measured of one system. `windows`: (pictures, seconds) of each."""

    spec: Spec
    parameters: int
    flops: float  # of a picture's forward pass
    notes: str
    warmup_seconds: float  # start, compilation and first steps
    windows: list[tuple[int, float]] = field(default_factory=list)
    peak_memory: int = 0  # bytes of the process

    def to_dict(self, peak: float) -> dict[str, Any]:
        """Figures for JSON; `peak`: FLOP/s of the machine."""
        rate = pictures_per_second(self.windows)
        return {
            "system": str(self.spec), "title": self.spec.title, "batch": self.spec.batch,
            "parameters": self.parameters, "pictures_per_second": rate,
            "pictures_per_second_by_window": [count / seconds for count, seconds in self.windows],
            "training_flop_per_picture": TRAINING * self.flops,
            "share_of_peak": TRAINING * self.flops * rate / peak,
            "peak_memory_bytes": self.peak_memory, "warmup_seconds": self.warmup_seconds,
            "notes": self.notes,
        }  # fmt: skip


def pictures_per_second(windows: Sequence[tuple[int, float]]) -> float:
    """The median of the windows' rates; 0 without windows."""
    return median(count / seconds for count, seconds in windows) if windows else 0.0


def speed_table(systems: Sequence[dict[str, Any]]) -> str:
    """The figures of `Measurement.to_dict` as a table in markdown."""
    lines = [
        "| system | batch | parameters | pictures/s (range) | training GFLOP/picture "
        "| share of peak | peak memory | start and compilation |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in systems:
        rates = one["pictures_per_second_by_window"] or [0.0]
        lines.append(
            f"| {one['title']} | {one['batch']} | {one['parameters'] / 1e6:.1f} M "
            f"| {one['pictures_per_second']:.3g} ({min(rates):.3g} to {max(rates):.3g}) "
            f"| {one['training_flop_per_picture'] / 1e9:.3g} | {one['share_of_peak']:.0%} "
            f"| {one['peak_memory_bytes'] / 2**30:.2f} GiB | {one['warmup_seconds']:.0f} s |"
        )
    lines += [f"\n{one['title']}: {one['notes']}." for one in systems if one["notes"]]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Snapshot:
    """The judge's score of a system after so many seconds of its training; None: can't draw yet."""

    seconds: float
    pictures: int
    score: float | None


def seconds_to_score(snapshots: Sequence[Snapshot], score: float) -> float | None:
    """The training time of the first snapshot that has the score; None if none has."""
    reached = [s.seconds for s in snapshots if s.score is not None and s.score >= score]
    return reached[0] if reached else None


def score_table(systems: dict[str, list[Snapshot]], score: float) -> str:
    """Time to the score and best score of each system, in markdown."""
    lines = [
        f"| system | time to R-precision@5 of {score:.0%} | best | after |",
        "|---|---|---|---|",
    ]
    for title, snapshots in systems.items():
        reached = seconds_to_score(snapshots, score)
        scored = [s for s in snapshots if s.score is not None]
        best = max(scored, key=lambda s: s.score or 0.0, default=None)
        when = "not reached" if reached is None else f"{reached / 60:.1f} min"
        shown = f"{best.score:.1%} | {best.seconds / 60:.1f} min" if best else "none | "
        lines.append(f"| {title} | {when} | {shown} |")
    return "\n".join(lines) + "\n"
