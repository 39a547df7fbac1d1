"""Distillation of a denoiser into one that draws in few steps without guidance.

The student is trained on the teacher's trajectories: from x_t at the start of a part of the
trajectory it predicts the x0 with which one step of Euler's method arrives where the teacher, with
guidance, arrives after several (progressive distillation, arXiv 2202.00512, with guidance as in
arXiv 2210.03142). The whole part is one target, so that no error of an earlier student is learned.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from undiffuse.clip.lexicon import FILE as LEXICON
from undiffuse.config import to_dict
from undiffuse.data.picture_set import PictureSet
from undiffuse.diffusion import SCHEDULES
from undiffuse.imaging.files import write_atomic
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.runtime.session import PRETRAINED, weight_file
from undiffuse.training.denoiser import squared_errors, tokens_of
from undiffuse.training.devices import Batch, to_device
from undiffuse.training.distributed import part
from undiffuse.training.embedder import Embedder, TextEmbedder, copy_pretrained
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.loop import Run
from undiffuse.training.model_io import (
    LONG_EMA,
    ema_model,
    export_weights,
    load_module,
    load_start_weights,
)
from undiffuse.training.onnx_export import export_onnx
from undiffuse.training.stages import Stage, StageOptions
from undiffuse.training.throughput import forward_flops
from undiffuse.training.trajectories import Trajectories
from undiffuse.training.validation import Validation, validate_samples

HELD_OUT = 256  # trajectories for validation
KEPT = ("style", "styles", "clip_name")  # of the metadata of the teacher


class FewStepRecipe:
    """Builds batches and computes the loss of step k."""

    def __init__(
        self, model: DenoiserNetwork, trajectories: Trajectories, batch: int = 256,
        compiled: bool = True, embedder: Embedder | None = None,
    ) -> None:  # fmt: skip
        self.trajectories, self.batch, self.embedder = trajectories, batch, embedder
        self.tokens = model.config.text_tokens
        self.network: Any = torch.compile(model) if compiled else model
        levels = np.array(trajectories.levels)
        alpha, sigma = SCHEDULES[model.config.schedule].alpha_sigma(levels)
        # Euler: x_s = shrink x_t + gain x0
        shrink = sigma[1:] / sigma[:-1]
        gain = alpha[1:] - shrink * alpha[:-1]
        self.shrink, self.gain, self.levels = (
            torch.from_numpy(values).float() for values in (shrink, gain, levels)
        )
        self.count = len(trajectories.x) - HELD_OUT

    def sample(self, step: int, rng: Generator) -> Batch:
        """This process's part of the batch of step k, in the processor's memory."""
        rows = torch.from_numpy(part(rng.integers(self.count, size=self.batch)))
        parts = torch.from_numpy(part(rng.integers(len(self.gain), size=self.batch)))
        return self.examples(rows, parts)

    def examples(self, rows: Tensor, parts: Tensor) -> Batch:
        """Inputs and "target" for parts of trajectories."""
        known = self.trajectories
        x_t, x_s = known.x[rows, parts].float(), known.x[rows, parts + 1].float()
        shrink, gain = (values[parts][:, None, None, None] for values in (self.shrink, self.gain))
        batch = {
            "x_t": x_t, "t": self.levels[parts], "cond": known.cond[rows].float(),
            "target": (x_s - shrink * x_t) / gain,
        }  # fmt: skip
        if known.ids is not None and known.lengths is not None:
            batch |= tokens_of(known.ids[rows], known.lengths[rows])
        return batch

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The squared error of a batch on the device."""
        error = squared_errors(self.network, batch, self.embedder, self.tokens).mean()
        return {"loss": error, "error": error.detach()}

    @torch.inference_mode()
    def held_out_error(self, model: DenoiserNetwork) -> dict[str, float]:
        """The error of each step on trajectories that are not trained on."""
        rows, figures = torch.arange(self.count, len(self.trajectories.x)), {}
        device = next(model.parameters()).device
        for number in range(len(self.gain)):
            batch = to_device(self.examples(rows, torch.full_like(rows, number)), device)
            errors = squared_errors(model, batch, self.embedder, self.tokens)
            figures[f"error of step {number + 1}"] = float(errors.mean())
        return figures


def few_steps_stage(
    pictures: PictureSet, frozen: FrozenModels, trajectories: Trajectories, teacher: Path,
    options: StageOptions, learning_rate: float, judge: TextEmbedder | None = None,
    start_weights: Path | None = None,
) -> Stage:  # fmt: skip
    """The student, which starts from the weight file `teacher`, or from another denoiser of the
    same configuration. UserError if `start_weights` do not fit.
    """
    network, weights = load_module(teacher, "denoiser")
    if start_weights:
        load_start_weights(start_weights, "denoiser", network, frozen.hashes)
    network.requires_grad_(True).train()
    options.prepare(network.config.seed, network)
    recipe = FewStepRecipe(
        network, trajectories, options.batch, options.compiled, frozen.embed_texts
    )
    few = len(recipe.gain)
    settings = {
        **to_dict(network.config), "batch": options.batch, "learning_rate": learning_rate,
        "few_steps": few, "teacher": weights.hash, "trajectories": len(trajectories.x),
        **frozen.hashes,
    }  # fmt: skip
    x_t = torch.zeros(1, *trajectories.x.shape[2:], device=options.device)
    flops = forward_flops(network, x_t, x_t.new_ones(1), x_t.new_zeros(1, network.config.cond_size))
    run = options.run(
        network, recipe, network.config.seed, settings, learning_rate=learning_rate,
        data_digest=pictures.digest,
    )  # fmt: skip
    written = {name: weights.meta[name] for name in KEPT if name in weights.meta}
    written |= {**frozen.hashes, "few_steps": few, "teacher": weights.hash}

    def validate(run: Run) -> Validation:
        model: DenoiserNetwork = ema_model(run)
        style = written.get("style", "twemoji")
        drawn = validate_samples(model, frozen, judge, pictures, style, few=few)
        return Validation(recipe.held_out_error(model) | drawn.figures, drawn.sheet)

    return Stage(
        run, validate, lambda: export_weights(run, "denoiser", LONG_EMA, **written),
        flops=flops, validate_minutes=10.0,
    )  # fmt: skip


def complete_model(model: Path, out: Path) -> None:
    """Copy what the student needs of the folder `model`, and export the graphs, so that `out` is a
    model's folder as well.
    """
    for path in (weight_file(model, "clip"), weight_file(model, "codec"), model / LEXICON):
        if path.exists():
            write_atomic(out / path.name, path.read_bytes())
    if (model / PRETRAINED).is_dir():
        copy_pretrained(model / PRETRAINED, out)
    export_onnx(out, out)
