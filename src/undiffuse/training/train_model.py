"""One resumable run from a data set to a model folder that draws: `undiffuse train DATA -o MODEL`.

The folder holds `plan.json`, `data/` (the prepared data set), `runs/STAGE/` (checkpoints, logs and
samples) and, at the end, the weight files and their graphs. Finished stages are skipped on
resuming; an interrupted one continues from its checkpoint.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from undiffuse.config import from_dict
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.prepared import prepare
from undiffuse.data.sources import open_source
from undiffuse.errors import UserError
from undiffuse.runtime.weights import read_weights
from undiffuse.training.clip import COMPOSITE_SHARE
from undiffuse.training.decoder_finetune import sample_latents
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.model_io import MODEL_CLASSES
from undiffuse.training.onnx_export import export_onnx
from undiffuse.training.plan import (
    FINETUNE_BELOW,
    FINETUNE_SHARES,
    FROZEN_CLIP_SHARES,
    PRESETS,
    SCRATCH_SHARES,
    Plan,
    TimeLimit,
    choose_preset,
)
from undiffuse.training.stages import (
    Stage,
    StageOptions,
    clip_stage,
    codec_stage,
    denoiser_stage,
    train_rows,
)
from undiffuse.training.throughput import peak_flops

SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights"
# torch.compile takes a minute or more: stages below this many seconds, or steps, do without.
COMPILE_ABOVE, COMPILE_STEPS = 900.0, 500
FINETUNE_RATE, SCRATCH_RATE = 3e-4, 1e-3
STEPS = {"clip": 2300, "codec": 3600, "denoiser": 12000, "decoder": 1200}  # without a time limit
BATCHES = {"clip": 256, "codec": 64, "denoiser": 128, "decoder": 48}
KINDS = {"clip": "clip", "codec": "codec", "denoiser": "denoiser", "decoder": "codec"}
DECODER_SECONDS = 60.0  # below this, fine-tuning the decoder is skipped
TrainStage = Callable[[Stage, TimeLimit | None], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainOptions:
    """What the user asked for; None means that undiffuse decides.

    minutes    time limit of the whole run, from data preparation to export.
    mode       "finetune", "lora" (both from the shipped weights) or "scratch".
    steps      stage -> steps; the other stages have their defaults.
    clip       folder whose clip.safetensors is used, frozen.
    style      name of the style of items that name none.
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


def train_model(options: TrainOptions, train: TrainStage, say: Say) -> Path:
    """Train every stage and export the model; returns its folder.

    `train(stage, limit)` runs one stage to its end. UserError for data that cannot be used, a
    folder of another run, or too little time.
    """
    started = time.monotonic()
    plan = Plan.read(options.out) or _new_plan(options, say)
    _check_same(plan, options)
    plan.start_clock(started)
    pictures = prepare(
        open_source(options.data), options.out / "data",
        size=_config(plan, options, "codec").image_size, channels=plan.settings["channels"],
        style=plan.settings["style"], say=say,
    )  # fmt: skip
    plan.write(options.out)  # not before: data that cannot be used leaves no plan behind
    say(f"{len(pictures.records)} images, {len(train_rows(pictures).records)} to train on")
    for name in plan.shares:
        if name == "decoder" and name not in plan.steps and plan.time_left() < DECODER_SECONDS:
            say("no time is left for decoder fine-tuning: the codec stays as it is")
        elif not plan.is_done(name):
            _run_stage(name, plan, options, pictures, train, say)
            plan.finish(name, options.out)
    export_onnx(options.out, options.out)
    plan.write(options.out)
    return options.out


def _new_plan(options: TrainOptions, say: Say) -> Plan:
    mode, preset = options.mode, options.preset
    if mode is None:
        images = sum(1 for _ in islice(open_source(options.data), FINETUNE_BELOW))
        mode = "finetune" if images < FINETUNE_BELOW and not options.clip else "scratch"
        say(f"{mode}: the data set has {'fewer' if images < FINETUNE_BELOW else 'at least'} "
            f"{FINETUNE_BELOW} images")  # fmt: skip
    if mode == "scratch":
        seconds = 60 * (options.minutes or 4 * 60)
        preset = preset or choose_preset(0.5 * peak_flops() * seconds / 1e15)
        shares = FROZEN_CLIP_SHARES if options.clip else SCRATCH_SHARES
    else:
        if preset not in (None, "small"):
            raise UserError(f"--preset {preset}: the shipped weights, from which {mode} starts, "
                            "are of preset small; add --from-scratch")  # fmt: skip
        preset, shares = "small", FINETUNE_SHARES
    say(f"training: {mode}, preset {preset}")
    style = Path(options.data.rstrip("/")).stem if options.style is None else options.style
    settings = {"data": options.data, "style": style, "channels": options.channels}
    return Plan(mode, preset, dict(shares), options.minutes, settings=settings)


def _check_same(plan: Plan, options: TrainOptions) -> None:
    """UserError if the folder's plan contradicts the options."""
    known = {"mode": plan.mode, "preset": plan.preset, "minutes": plan.minutes, **plan.settings}
    for name in ("mode", "preset", "minutes", "data", "style"):
        given = getattr(options, name)
        if given is not None and given != known[name]:
            raise UserError(f"{options.out} holds a run with {name} {known[name]!r}, not "
                            f"{given!r}: use the same options, or another folder")  # fmt: skip


def _config(plan: Plan, options: TrainOptions, kind: str) -> Any:
    """The configuration of a network: of the preset, or of the weights that are kept."""
    base = options.clip if kind == "clip" and options.clip else None
    if plan.mode != "scratch":
        base = SHIPPED_WEIGHTS
    if base is not None:
        meta = read_weights(base / f"{kind}.safetensors", kind).meta
        return from_dict(MODEL_CLASSES[kind][1], meta["config"])
    config = getattr(PRESETS[plan.preset], kind)
    if kind == "codec":
        return replace(config, image_channels=plan.settings["channels"])
    return config


def _run_stage(
    name: str, plan: Plan, options: TrainOptions, pictures: PictureSet, train: TrainStage, say: Say
) -> None:
    out, trained = options.out, train_rows(pictures)
    base = SHIPPED_WEIGHTS if plan.mode != "scratch" else options.clip
    for kind in ("clip", "codec"):
        source = base / f"{kind}.safetensors" if base else None
        if source and source.exists() and not (out / source.name).exists():
            shutil.copyfile(source, out / source.name)
    limit = plan.time_limit(name)
    batch = min(BATCHES[name], max(32, len(trained.records)))
    steps = plan.steps.get(name) or (options.steps or {}).get(name, STEPS[name])
    compiled = limit.seconds > COMPILE_ABOVE if limit else steps >= COMPILE_STEPS
    stage_options = StageOptions(
        out / "runs" / name, steps, batch, compiled=compiled, threads=options.threads
    )  # fmt: skip
    say(f"stage {name}" + (f": {limit.seconds / 60:.1f} minutes" if limit else ""))
    stage = _build_stage(name, plan, options, pictures, stage_options, say)
    train(stage, limit)
    plan.steps[name] = stage.run.steps
    stage.export()
    kind = KINDS[name]
    shutil.copyfile(stage_options.out / f"{kind}.safetensors", out / f"{kind}.safetensors")


def _build_stage(
    name: str,
    plan: Plan,
    options: TrainOptions,
    pictures: PictureSet,
    stage: StageOptions,
    say: Say,
) -> Stage:
    out, trained = options.out, train_rows(pictures)
    if name == "clip":
        return clip_stage(pictures, _config(plan, options, "clip"), stage, COMPOSITE_SHARE)
    if name == "codec":
        return codec_stage(pictures, _config(plan, options, "codec"), stage)
    if name == "decoder":
        # No more than a short stage uses, because sampling takes minutes itself.
        count = min(4096, 16 * len(trained.records), max(64, stage.steps * stage.batch))
        sampled = sample_latents(trained, out, out / "cache", count, say)
        start = _keep(out / "codec.safetensors", stage.out / "start.safetensors")
        config = _config(plan, options, "codec")
        return codec_stage(pictures, config, stage, start, 5.0, sampled)
    frozen = FrozenModels.load(out / "clip.safetensors", out / "codec.safetensors")
    config = replace(
        _config(plan, options, "denoiser"),
        channels=frozen.codec.config.channels, side=frozen.codec.config.side,
    )  # fmt: skip
    style = plan.settings["style"]
    styles = sorted({r["family"] for r in pictures.records if r["family"]} | {style} - {""})
    return denoiser_stage(
        trained, frozen, frozen.cache(trained, out / "cache", say), config, stage,
        SCRATCH_RATE if plan.mode == "scratch" else FINETUNE_RATE,
        start_weights=None if plan.mode == "scratch" else SHIPPED_WEIGHTS / "denoiser.safetensors",
        finetune=plan.mode, meta={"styles": styles, "style": style},
    )  # fmt: skip


def _keep(source: Path, copy: Path) -> Path:
    """A copy of a file that a later stage replaces; made once."""
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    return copy
