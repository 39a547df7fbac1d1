"""The configuration of each network of a run, and its stages, ready to train."""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from undiffuse.config import STYLES, from_dict
from undiffuse.data.picture_set import PictureSet
from undiffuse.runtime.session import SHIPPED_WEIGHTS
from undiffuse.runtime.weights import read_weights
from undiffuse.training.clip import COMPOSITE_SHARE
from undiffuse.training.decoder_finetune import sample_latents
from undiffuse.training.distributed import main_first
from undiffuse.training.embedder import TEXT_DEPTH, find_clip_of, vector_size
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.model_io import MODEL_CLASSES
from undiffuse.training.new_plan import Say, TrainOptions
from undiffuse.training.plan import PRESETS, Plan
from undiffuse.training.prior_pictures import with_prior
from undiffuse.training.stages import (
    Stage,
    StageOptions,
    clip_stage,
    codec_stage,
    denoiser_stage,
    held_out,
    train_rows,
)
from undiffuse.training.time_limit import TimeLimit

FINETUNE_RATE, SCRATCH_RATE = 3e-4, 1e-3
TEXT_TOKENS = 16  # that a denoiser reads which is trained from scratch
SAMPLING_SHARE = 0.25  # of the decoder's time, at most
ENCODING_SHARE = 0.15  # of the denoiser's time, at most, for more than one variant of each picture
# On fewer sampled latents the decoder learns them by heart: on 176 it lost 2 dB (docs/log).
MIN_SAMPLED = 1024
Follow = Callable[[str, float], None]  # what is done now, and which share of it is done


def network_config(plan: Plan, options: TrainOptions, kind: str) -> Any:
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
    if kind == "denoiser":
        codec = PRESETS[plan.preset].codec
        config = replace(config, channels=codec.channels, side=codec.side)
        clip = find_clip_of(options.out, options.clip)
        if clip.is_dir():  # a pretrained one, whose tokens are not read
            return replace(config, embed=vector_size(clip))
        width = network_config(plan, options, "clip").text_width
        return replace(
            config, text_tokens=TEXT_TOKENS, text_channels=width, text_depth=TEXT_DEPTH
        )  # fmt: skip
    return config


@dataclass(frozen=True)
class StageBuilder:
    """Builds the stages of a run. `limit`: of the time of the stage that is built."""

    plan: Plan
    options: TrainOptions
    pictures: PictureSet
    say: Say
    follow: Follow
    limit: TimeLimit | None = None

    def __call__(self, name: str, stage: StageOptions) -> Stage:
        """Any stage but the decoder's."""
        if name == "clip":
            return clip_stage(self.pictures, self.config("clip"), stage, COMPOSITE_SHARE)
        if name == "codec":
            return codec_stage(self.pictures, self.config("codec"), stage)
        return self.denoiser(stage)

    def config(self, kind: str) -> Any:
        return network_config(self.plan, self.options, kind)

    def decoder(self, stage: StageOptions) -> Stage | None:
        """None if too few latents could be sampled in the time."""
        out, trained = self.options.out, train_rows(self.pictures)
        # No more than a short stage uses, because sampling takes minutes itself.
        count = min(4096, 16 * len(trained.records), max(64, stage.steps * stage.batch))
        sampled = sample_latents(
            trained, out, out / "cache", count, self.say, self.options.device,
            SAMPLING_SHARE * self.limit.seconds if self.limit else None, self.follow,
            self.options.clip,
        )  # fmt: skip
        if len(sampled.rows) < min(count, MIN_SAMPLED):
            return None
        start = _keep(out / "codec.safetensors", stage.out / "start.safetensors")
        return codec_stage(self.pictures, self.config("codec"), stage, start, 5.0, sampled)

    def denoiser(self, stage: StageOptions) -> Stage:
        plan, out, trained = self.plan, self.options.out, train_rows(self.pictures)
        device = self.options.device
        clip = find_clip_of(out, self.options.clip)
        frozen = FrozenModels.load(clip, out / "codec.safetensors", device)
        name = {"clip_name": clip.resolve().name} if clip.is_dir() else {}
        if self.options.clip and clip.is_dir():
            name = {"clip_name": self.options.clip.resolve().name}
        style, scratch = plan.settings["style"], plan.mode == "scratch"
        records = self.pictures.records
        styles = sorted({r["family"] for r in records if r["family"]} | {style} - {""})
        if not scratch:
            trained = with_prior(
                trained, SHIPPED_WEIGHTS, frozen, out / "cache", self.follow, plan.minutes
            )
            styles = sorted({*styles, *STYLES})
        # The words of a folder's name would steer a CLIP that has read them elsewhere.
        default = style if scratch or self.options.style is not None else ""
        seconds = ENCODING_SHARE * self.limit.seconds if self.limit else math.inf
        cache = frozen.cache(trained, out / "cache", self.say, self.follow, seconds)
        return denoiser_stage(
            trained, frozen, cache,
            self.config("denoiser"), stage,
            SCRATCH_RATE if scratch else FINETUNE_RATE,
            start_weights=None if scratch else SHIPPED_WEIGHTS / "denoiser.safetensors",
            finetune=plan.mode, meta={"styles": styles, "style": default, **name},
            prompts=plan.settings["prompts"], validation=held_out(self.pictures),
        )  # fmt: skip


def _keep(source: Path, copy: Path) -> Path:
    """A copy of a file that a later stage replaces; made once."""
    with main_first():
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    return copy
