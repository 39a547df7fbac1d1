"""Distillation of a denoiser into one that draws in few steps without guidance.

The student is trained on the teacher's trajectories: from x_t at the start of a part of the
trajectory it predicts the x0 with which one step of Euler's method arrives where the teacher, with
guidance, arrives after several (progressive distillation, arXiv 2202.00512, with guidance as in
arXiv 2210.03142). The whole part is one target, so that no error of an earlier student is learned.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from undiffuse.config import to_dict
from undiffuse.data.picture_set import PictureSet
from undiffuse.diffusion import SCHEDULES
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.denoiser import tokens_of, with_states
from undiffuse.training.devices import CPU, Batch, to_device
from undiffuse.training.distributed import part
from undiffuse.training.embedder import TextEmbedder
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.loop import Run
from undiffuse.training.model_io import LONG_EMA, ema_model, export_weights, load_module
from undiffuse.training.precision import autocast
from undiffuse.training.stages import Stage, StageOptions
from undiffuse.training.throughput import forward_flops
from undiffuse.training.torch_denoiser import sample_few
from undiffuse.training.trajectories import Trajectories
from undiffuse.training.validation import Validation, validate_samples

FILE = "denoiser_fast.safetensors"
HELD_OUT = 256  # trajectories for validation


class FewStepRecipe:
    """Builds batches and computes the loss of step k."""

    def __init__(
        self, model: DenoiserNetwork, trajectories: Trajectories, batch: int = 256,
        compiled: bool = True, device: torch.device = CPU, embedder: TextEmbedder | None = None,
    ) -> None:  # fmt: skip
        self.trajectories, self.batch = trajectories, batch
        self.device, self.embedder, self.config = device, embedder, model.config
        self.network: Any = torch.compile(model) if compiled else model
        levels = np.array(trajectories.levels)
        alpha, sigma = SCHEDULES[model.config.schedule].alpha_sigma(levels)
        # Euler: x_s = shrink x_t + (alpha_s - shrink alpha_t) x0, with shrink = sigma_s / sigma_t
        self.shrink = torch.from_numpy(sigma[1:] / sigma[:-1]).float()
        self.gain = (
            torch.from_numpy(alpha[1:]).float() - self.shrink * torch.from_numpy(alpha[:-1]).float()
        )
        self.levels = torch.from_numpy(levels).float()
        self.count = max(1, len(trajectories.x) - HELD_OUT)

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
        with autocast(self.device.type):
            cond = with_states(batch, self.embedder, self.config.text_tokens)
            prediction = self.network(batch["x_t"], batch["t"], cond)
        error = (prediction - batch["target"]).square().mean()
        return {"loss": error, "error": error.detach()}

    @torch.inference_mode()
    def held_out_error(self, model: DenoiserNetwork) -> dict[str, float]:
        """The error of each part on trajectories that are not trained on."""
        rows = torch.arange(self.count, len(self.trajectories.x))
        if not len(rows):
            return {}
        figures = {}
        for number in range(len(self.gain)):
            batch = to_device(self.examples(rows, torch.full_like(rows, number)), self.device)
            cond = with_states(batch, self.embedder, self.config.text_tokens)
            error = (model(batch["x_t"], batch["t"], cond) - batch["target"]).square().mean()
            figures[f"error of step {number + 1}"] = float(error)
        return figures


def few_steps_stage(
    pictures: PictureSet, frozen: FrozenModels, trajectories: Trajectories, teacher: Path,
    options: StageOptions, learning_rate: float,
    judge: TextEmbedder | None = None, meta: Mapping[str, Any] | None = None,
) -> Stage:  # fmt: skip
    """The student, which starts from the weight file `teacher`; `meta` goes into its file."""
    network: DenoiserNetwork = load_module(teacher, "denoiser")[0].requires_grad_(True).train()
    options.prepare(network.config.seed, network)
    texts = frozen.embed_texts if isinstance(frozen.embed_texts, TextEmbedder) else None
    recipe = FewStepRecipe(
        network, trajectories, options.batch, options.compiled, options.device, texts
    )
    few = len(recipe.gain)
    settings = {
        **to_dict(network.config), "batch": options.batch, "learning_rate": learning_rate,
        "few_steps": few, "teacher": trajectories.teacher, "trajectories": len(trajectories.x),
        **frozen.hashes,
    }  # fmt: skip
    example = (
        torch.zeros(1, *trajectories.x.shape[2:], device=options.device),
        torch.ones(1, device=options.device),
        torch.zeros(1, network.config.cond_size, device=options.device),
    )
    flops = forward_flops(network, *example)
    run = options.run(
        network, recipe, network.config.seed, settings, learning_rate=learning_rate,
        data_digest=pictures.digest,
    )  # fmt: skip
    written = {**(meta or {}), **frozen.hashes, "few_steps": few, "teacher": trajectories.teacher}

    def validate(run: Run) -> Validation:
        model: DenoiserNetwork = ema_model(run)
        drawn = validate_samples(
            model, frozen, judge, pictures, written.get("style", "twemoji"),
            draw=lambda network, cond: sample_few(network, cond, few),
        )  # fmt: skip
        return Validation(recipe.held_out_error(model) | drawn.figures, drawn.sheet)

    return Stage(
        run, validate, lambda: export_weights(run, "denoiser", LONG_EMA, FILE, **written),
        flops=flops, validate_minutes=10.0,
    )  # fmt: skip
