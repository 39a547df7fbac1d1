"""The decisions of a new run: mode, preset, stages, style and prompts, each with its reason."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import torch

from undiffuse.config import CodecConfig, from_dict
from undiffuse.data.sources import open_source
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_text
from undiffuse.pretrained.files import find_clip
from undiffuse.runtime.session import SHIPPED_WEIGHTS, weight_file
from undiffuse.runtime.weights import read_weights
from undiffuse.training.devices import CPU
from undiffuse.training.distributed import count
from undiffuse.training.embedder import is_pretrained
from undiffuse.training.plan import (
    FINETUNE_BELOW,
    FINETUNE_SHARES,
    FROZEN_CLIP_SHARES,
    PRESETS,
    SCRATCH_SHARES,
    Plan,
    choose_preset,
)
from undiffuse.training.throughput import peak_flops

STEPS = {"clip": 2300, "codec": 3600, "denoiser": 12000, "decoder": 1200}  # without a time limit
# Below this, fine-tuning the decoder is skipped: two cores could not sample enough latents.
DECODER_SECONDS = 360.0
LATE_SECONDS = 60.0  # and below this, when its turn comes
PEAK_SHARE = 0.5  # of the measured peak, which training is assumed to reach
MAX_PROMPTS, MAX_PROMPT = 64, 1000  # lines of --prompts, and characters of one
Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainOptions:
    """What the user asked for; None means that undiffuse decides.

    minutes    time limit of the whole run, from data preparation to the report.
    mode       "finetune", "lora" (both from the shipped weights) or "scratch".
    steps      stage -> steps; the other stages have their defaults.
    clip       folder whose clip.safetensors, or pretrained CLIP, is used, frozen.
    style      name of the style of items that name none.
    batch      pictures per step, or "auto" to find them by trying.
    prompts    file of prompts to draw as training goes.
    """

    data: str
    out: Path
    minutes: float | None = None
    mode: str | None = None
    preset: str | None = None
    steps: dict[str, int] | None = None
    clip: Path | None = None
    style: str | None = None
    channels: int = 3
    threads: int = 2
    device: torch.device = CPU
    batch: int | Literal["auto"] | None = None
    prompts: Path | None = None


def make_plan(options: TrainOptions, say: Say) -> Plan:
    """The plan of a new run; `say` gets each decision and its reason."""
    notes: dict[str, str] = {}
    pretrained = is_pretrained(options.clip)
    if pretrained and options.clip:
        find_clip(options.clip)  # a folder without a CLIP is refused before the long work
    mode = options.mode or _choose_mode(options, notes)
    if pretrained and mode != "scratch":
        raise UserError(f"--clip needs --from-scratch: the weights from which {mode} starts were "
                        "trained with the shipped CLIP")  # fmt: skip
    if mode == "scratch":
        shares = FROZEN_CLIP_SHARES if options.clip else SCRATCH_SHARES
        preset = options.preset or _choose_preset(options, notes)
    else:
        if options.preset not in (None, "small"):
            raise UserError(f"--preset {options.preset}: the shipped weights, from which {mode} "
                            "starts, are of preset small; add --from-scratch")  # fmt: skip
        preset, shares = "small", FINETUNE_SHARES
    style = Path(options.data.rstrip("/")).stem if options.style is None else options.style
    channels = options.channels if mode == "scratch" else shipped_codec().image_channels
    settings = {"data": options.data, "style": style, "channels": channels}
    plan = Plan(mode, preset, dict(shares), options.minutes, settings=settings, notes=notes)
    if options.prompts:
        plan.settings["prompts"] = read_prompts(options.prompts)
    asked = options.steps or {}
    plan.weights = {n: share * asked.get(n, STEPS[n]) / STEPS[n] for n, share in shares.items()}
    if options.minutes is not None:
        _drop_short_decoder(plan, options.minutes)
    size = PRESETS[preset].codec.image_size if mode == "scratch" else shipped_codec().image_size
    notes.setdefault("mode", f"{mode}: as asked")
    notes.setdefault("preset", f"preset {preset}, {size}x{size} pixels")
    for note in notes.values():
        say(note)
    return plan


def shipped_codec() -> CodecConfig:
    """The configuration of the codec in the package, which fine-tuning keeps."""
    meta = read_weights(weight_file(SHIPPED_WEIGHTS, "codec"), "codec").meta
    return from_dict(CodecConfig, meta["config"])


def _choose_mode(options: TrainOptions, notes: dict[str, str]) -> str:
    images = sum(1 for _ in islice(open_source(options.data), FINETUNE_BELOW))
    if options.clip:
        mode, reason = "scratch", "with a CLIP of your own there are no weights to start from"
    elif images < FINETUNE_BELOW:
        mode = "finetune"
        reason = f"{images} images are fewer than {FINETUNE_BELOW}: start from the shipped weights"
    else:
        mode = "scratch"
        reason = f"at least {FINETUNE_BELOW} images are enough to train all networks"
    notes["mode"] = f"{mode}: {reason}"
    return mode


def _choose_preset(options: TrainOptions, notes: dict[str, str]) -> str:
    minutes = options.minutes or 4 * 60
    flops = PEAK_SHARE * count() * peak_flops(device=options.device)
    preset = choose_preset(flops * 60 * minutes / 1e15)
    size = PRESETS[preset].codec.image_size
    notes["preset"] = (
        f"preset {preset}, {size}x{size} pixels: the largest that {minutes:g} minutes at "
        f"{flops / 1e9:.0f} GFLOP/s, half of this machine's peak, suit"
    )
    return preset


def _drop_short_decoder(plan: Plan, minutes: float) -> None:
    seconds = 60 * minutes * plan.shares["decoder"]
    if seconds < DECODER_SECONDS:
        plan.drop("decoder", f"no decoder fine-tuning: it needs {DECODER_SECONDS:.0f} s, and its "
                             f"share of {minutes:g} minutes is {seconds:.0f} s")  # fmt: skip


def check_same(plan: Plan, options: TrainOptions) -> None:
    """UserError if the folder's plan contradicts the options."""
    known = {"mode": plan.mode, "preset": plan.preset, "minutes": plan.minutes, **plan.settings}
    names = ("mode", "preset", "minutes", "data", "style")
    given = {name: getattr(options, name) for name in names}
    given["prompts"] = read_prompts(options.prompts) if options.prompts else None
    for name, value in given.items():
        if value is not None and value != known.get(name):
            raise UserError(f"{options.out} holds a run with {name} {known.get(name)!r}, not "
                            f"{value!r}: use the same options, or another folder")  # fmt: skip


def read_prompts(path: Path) -> list[str]:
    """The lines of a text file. UserError for none, too many, or one that is too long."""
    lines = [" ".join(line.split()) for line in read_text(path).splitlines()]
    prompts = [line for line in lines if line]
    if not 0 < len(prompts) <= MAX_PROMPTS:
        raise UserError(f"{path} has {len(prompts)} prompts: give 1 to {MAX_PROMPTS}, one a line")
    if longest := [line for line in prompts if len(line) > MAX_PROMPT]:
        raise UserError(f"{path}: a prompt has {len(longest[0])} characters, and {MAX_PROMPT} are "
                        "the most")  # fmt: skip
    return prompts
