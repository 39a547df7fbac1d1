"""The stages of training: each builds the run of one network, with its validation and export."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from undiffuse.clip.model import Clip
from undiffuse.config import ClipConfig, CodecConfig, DenoiserConfig, to_dict
from undiffuse.data.picture_set import PictureSet
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.networks.codec import Codec
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.networks.lora import add_lora
from undiffuse.training.clip import ClipRecipe, WordTable, load_or_train_tokenizer
from undiffuse.training.codec import CodecRecipe
from undiffuse.training.decoder_finetune import SampledLatents
from undiffuse.training.denoiser import NOISE_LEVEL_MEAN, DenoiserRecipe, chain_length
from undiffuse.training.devices import CPU, Batch
from undiffuse.training.distributed import check_batch, main_first, wrap
from undiffuse.training.embedder import TextEmbedder
from undiffuse.training.latent_cache import FrozenModels, LatentCache
from undiffuse.training.loop import CHECKPOINT, Run
from undiffuse.training.model_io import (
    LONG_EMA,
    export_weights,
    load_start_decoder,
    load_start_weights,
)
from undiffuse.training.throughput import forward_flops
from undiffuse.training.validation import (
    Validation,
    validate_clip,
    validate_codec,
    validate_denoiser,
)

LORA_RANK = 16


@dataclass
class Stage:
    """One network's run. `export` writes its weight file and returns the hash; `chance` and
    `flops`: see `train_with_progress`.
    """

    run: Run
    validate: Callable[[Run], Validation]
    export: Callable[[], str]
    chance: Mapping[str, float] = field(default_factory=dict)
    flops: float = 0.0
    validate_minutes: float = 5.0
    note: str = ""  # what the user should know before it starts


class Recipe(Protocol):
    """How batches are sampled and losses computed; see `training.distributed.wrap`."""

    def sample(self, step: int, rng: Generator) -> Batch: ...

    def losses(self, batch: Batch) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class StageOptions:
    """What all stages have: the folder, the length, and how the network is executed.

    `batch`: pictures per step of all processes together.
    """

    out: Path
    steps: int
    batch: int
    compiled: bool = True
    threads: int = 2
    device: torch.device = CPU

    def prepare(self, seed: int, model: nn.Module) -> None:
        """Seed the steps' torch generator and move the model to the device, where weights drawn on
        the processor are the same as there.

        UserError if the processes cannot have equal parts of the batch.
        """
        check_batch(self.batch)
        torch.manual_seed(seed)
        torch.set_num_threads(self.threads)
        self.out.mkdir(parents=True, exist_ok=True)
        model.to(self.device)

    def run(
        self, model: nn.Module, recipe: Recipe, seed: int, settings: dict[str, Any], **more: Any
    ) -> Run:
        """The run of a recipe, in all processes."""
        losses, template = wrap(model, recipe.losses)
        return Run(
            self.out, model, lambda step, batch: losses(batch), self.steps, self.batch, seed,
            settings, sample=recipe.sample, device=self.device, template=template, **more,
        )  # fmt: skip


def train_rows(pictures: PictureSet) -> PictureSet:
    """The pictures of the training split."""
    return pictures.subset(pictures.rows(lambda record: record["split"] == "train"))


def held_out(pictures: PictureSet, count: int = 512) -> PictureSet:
    """Up to `count` pictures that are not trained on, for validation."""
    rows = pictures.rows(lambda record: record["split"] in ("held-out cell", "validation"))
    return pictures.subset(rows[:count])


def clip_stage(
    everything: PictureSet, config: ClipConfig, options: StageOptions, composite_share: float,
    words: WordTable | None = None, start_weights: Path | None = None,
) -> Stage:  # fmt: skip
    """CLIP's two encoders, trained on the training split of `everything`."""
    torch.manual_seed(config.seed)
    model = Clip(config)
    weights = load_start_weights(start_weights, "clip", model) if start_weights else None
    options.prepare(config.seed, model)
    tokenizer_file = options.out / "tokenizer.json"
    with main_first():
        if (options.out / CHECKPOINT).exists() and not tokenizer_file.exists():
            raise UserError(
                f"{options.out} has a checkpoint but no tokenizer.json: use another folder"
            )
        if weights and not tokenizer_file.exists():
            write_atomic(tokenizer_file, weights.meta["tokenizer"].encode())
    pictures = train_rows(everything)
    tokenizer = load_or_train_tokenizer(tokenizer_file, pictures, words, config)
    recipe = ClipRecipe(
        model, tokenizer, pictures, words, options.batch, options.compiled, composite_share,
        options.device,
    )  # fmt: skip
    settings: dict[str, Any] = {
        **to_dict(config), "batch": options.batch, "words": words is not None,
        "composite_share": composite_share,
    }  # fmt: skip
    run = options.run(
        model, recipe, config.seed, settings, extra_tensors=recipe.tensors,
        restore_extra=recipe.restore, data_digest=everything.digest, **_trained_before(weights),
    )  # fmt: skip
    return Stage(
        run,
        lambda run: validate_clip(run, tokenizer, everything),
        lambda: export_weights(run, "clip", tokenizer=tokenizer.to_json()),
        chance={"match": math.log(options.batch)},  # with equal logits for all captions of a batch
    )


def codec_stage(
    everything: PictureSet, config: CodecConfig, options: StageOptions,
    start_decoder: Path | None = None, sharpness_weight: float = 0.0,
    sampled: SampledLatents | None = None,
) -> Stage:  # fmt: skip
    """The codec; with `start_decoder`, the decoder of that codec alone."""
    torch.manual_seed(config.seed)
    model = Codec(config)
    start_hash = load_start_decoder(start_decoder, model) if start_decoder else ""
    options.prepare(config.seed, model)
    pictures = train_rows(everything)
    recipe = CodecRecipe(
        model, pictures, options.batch, options.compiled, sharpness_weight, sampled, options.device
    )
    settings = {
        **to_dict(config), "batch": options.batch, "start_decoder": start_hash,
        "sharpness_weight": sharpness_weight, "sampled_by": sampled.denoiser if sampled else "",
    }  # fmt: skip
    run = options.run(
        model, recipe, config.seed, settings, learning_rate=5e-4 if start_decoder else 1.5e-3,
        data_digest=everything.digest,
    )  # fmt: skip
    validation = held_out(everything)
    if not validation.records:  # reconstructions of training pictures are shown at least
        validation = pictures.subset(np.arange(min(8, len(pictures.records))))
    return Stage(
        run, lambda run: validate_codec(run, validation), lambda: export_weights(run, "codec")
    )


def denoiser_stage(
    pictures: PictureSet, frozen: FrozenModels, cache: LatentCache, config: DenoiserConfig,
    options: StageOptions, learning_rate: float = 1e-3, noise_level_mean: float = NOISE_LEVEL_MEAN,
    judge: TextEmbedder | None = None, start_weights: Path | None = None,
    finetune: str = "", meta: Mapping[str, Any] | None = None,
    prompts: Sequence[str] = (), validation: PictureSet | None = None,
) -> Stage:  # fmt: skip
    """The denoiser, trained with frozen networks on `pictures`; `meta` goes into its file.
    `prompts` and `validation`: see `validate_denoiser`.

    `finetune`: "" continues the run of `start_weights`; "finetune" begins a new one from them, and
    "lora" one that trains low-rank updates.
    """
    torch.manual_seed(config.seed)
    model, weights = DenoiserNetwork(config), None
    if start_weights:
        weights = load_start_weights(start_weights, "denoiser", model, frozen.hashes)
    if finetune == "lora":
        add_lora(model, LORA_RANK)
    options.prepare(config.seed, model)
    recipe = DenoiserRecipe(
        model, pictures, cache, options.batch, options.compiled, noise_level_mean, options.device,
        frozen.embed_texts if isinstance(frozen.embed_texts, TextEmbedder) else None,
    )  # fmt: skip
    settings = {
        **to_dict(config), "batch": options.batch, "learning_rate": learning_rate,
        "noise_level_mean": noise_level_mean, **frozen.hashes,
    }  # fmt: skip
    flops = forward_flops(model, *recipe.example_inputs())  # before FSDP shards the model
    run = options.run(
        model, recipe, config.seed, settings, learning_rate=learning_rate,
        data_digest=pictures.digest, **_trained_before(None if finetune else weights),
    )  # fmt: skip
    alpha = recipe.schedule.terminal_alpha()
    written = {**frozen.hashes, "chain": chain_length(config.target), **(meta or {})}
    return Stage(
        run,
        lambda run: validate_denoiser(
            run, frozen, judge, pictures, written.get("style", "twemoji"), prompts, validation
        ),
        lambda: export_weights(run, "denoiser", LONG_EMA, **written),
        chance=recipe.chance_losses(),
        flops=flops,
        validate_minutes=10.0,
        note=f"the noisiest step still has {alpha:.1%} of the picture" if alpha else "",
    )


def _trained_before(weights: Any) -> dict[str, Any]:
    """`Run`'s start_step and seconds, when it starts from these weights."""
    done = {"steps": 0, "hours": 0.0} | (weights.meta.get("training", {}) if weights else {})
    return {"start_step": done["steps"], "seconds": done["hours"] * 3600}
