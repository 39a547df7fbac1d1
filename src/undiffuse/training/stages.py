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
from undiffuse.config import IMAGE_SIZE, ClipConfig, CodecConfig, DenoiserConfig, to_dict
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.teacher_table import TeacherTable
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.networks.codec import Codec
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.networks.lora import add_lora
from undiffuse.training.clip import ClipRecipe, TextEncoderTrainer, load_or_train_tokenizer
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
    ema_model,
    export_weights,
    load_start_decoder,
    load_start_weights,
)
from undiffuse.training.piece_vectors import initial_piece_vectors
from undiffuse.training.text_distillation import TextBatches
from undiffuse.training.throughput import forward_flops
from undiffuse.training.validation import (
    Validation,
    unseen_synonyms,
    validate_clip,
    validate_codec,
    validate_denoiser,
    validate_text,
)

LORA_RANK = 16
TEXT = "text"  # the folder of `text_stage` in that of CLIP


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


def text_stage(
    pictures: PictureSet, table: TeacherTable, texts: TextBatches, config: ClipConfig,
    options: StageOptions,
) -> Stage:  # fmt: skip
    """CLIP's text encoder alone, which learns from the teachers before it sees a picture.

    `pictures`: the training set, whose captions the tokenizer is made for, and whose names the
    validation finds by their synonyms.
    """
    torch.manual_seed(config.seed)
    model = Clip(config)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = load_or_train_tokenizer(options.out / "tokenizer.json", pictures, table, config)
    pieces = initial_piece_vectors(tokenizer, table, config.token_width)
    known = torch.from_numpy(pieces.any(axis=1))
    with torch.no_grad():
        model.text.tokens.weight[: len(pieces)][known] = torch.from_numpy(pieces)[known]
    model.image.requires_grad_(False)
    model.log_logit_scale.requires_grad_(False)
    options.prepare(config.seed, model)
    recipe = TextEncoderTrainer(
        model, tokenizer, texts, options.batch, options.compiled, options.device
    )
    run = options.run(
        model, recipe, config.seed, {**to_dict(config), "batch": options.batch, "text only": True},
        data_digest=texts.digest,
    )  # fmt: skip
    synonyms = unseen_synonyms(texts, pictures)
    return Stage(run, lambda run: validate_text(run, tokenizer, pictures, synonyms), lambda: "")


def text_encoder_of(stage: Stage) -> Clip:
    """The averaged weights of `text_stage`, for `clip_stage`, all of them trainable."""
    model: Clip = ema_model(stage.run).requires_grad_(True)
    return model.train()


def clip_stage(
    everything: PictureSet, config: ClipConfig, options: StageOptions, composite_share: float,
    table: TeacherTable | None = None, texts: TextBatches | None = None,
    start_weights: Path | None = None, text_encoder: Clip | None = None,
) -> Stage:  # fmt: skip
    """CLIP's two encoders, trained on the training split of `everything`.

    `table`, `texts`: of the teachers. `text_encoder`: from `text_encoder_of`, whose stage had a
    folder in `options.out`.
    """
    torch.manual_seed(config.seed)
    model = text_encoder or Clip(config)
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
        if text_encoder and not tokenizer_file.exists():
            write_atomic(tokenizer_file, (options.out / TEXT / tokenizer_file.name).read_bytes())
    pictures = train_rows(everything)
    tokenizer = load_or_train_tokenizer(tokenizer_file, pictures, table, config)
    recipe = ClipRecipe(
        model, tokenizer, pictures, texts, options.batch, options.compiled, composite_share,
        options.device,
    )  # fmt: skip
    settings: dict[str, Any] = {
        **to_dict(config), "batch": options.batch, "words": texts is not None,
        "composite_share": composite_share,
    }  # fmt: skip
    if text_encoder:
        settings["text encoder trained before"] = True
    run = options.run(
        model, recipe, config.seed, settings, data_digest=everything.digest,
        **_trained_before(weights),
    )  # fmt: skip
    synonyms = unseen_synonyms(texts, pictures) if texts else {}
    return Stage(
        run,
        lambda run: validate_clip(run, tokenizer, everything, synonyms),
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
    # Decoding 512 pictures of 256 pixels at each noise level would take a fifth of the time.
    validation = held_out(everything, 96 if config.image_size > IMAGE_SIZE else 512)
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
        frozen.embed_texts,
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
