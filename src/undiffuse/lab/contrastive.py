"""Claim: CLIP learns to match pictures and captions. Its vectors condition the other networks."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from undiffuse.clip.loss import contrastive_loss
from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import ClipConfig
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.lab.budget import CLIP_STEP, Budget
from undiffuse.lab.charts import image_strip
from undiffuse.lab.claims import Check, ClaimResult, ReportFigure, share_metric
from undiffuse.lab.experiment import BATCH, Progress, train_network
from undiffuse.lab.toy_data import CLASSES, EXAMPLES, PROMPTS, ToyPictures
from undiffuse.training.bpe import train_bpe
from undiffuse.training.loop import Run
from undiffuse.training.model_io import ema_model
from undiffuse.training.precision import autocast

CLIP_BATCH = 64


@dataclass(frozen=True)
class ToyClip:
    """A small CLIP, and its vectors of the 64 prompts `(64, 512)`."""

    model: Clip
    prompts: Tensor

    @classmethod
    def embed_prompts(cls, model: Clip, tokenizer: Tokenizer) -> "ToyClip":
        with torch.inference_mode():
            return cls(model, _encode_prompts(model, tokenizer))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """`(B, 3, 32, 32)` -> unit vectors `(B, 512)`."""
        with torch.inference_mode():
            parts = [self.model.encode_image(upsample(part)) for part in pixels.split(BATCH)]
            return torch.cat(parts)


def upsample(pixels: Tensor) -> Tensor:
    """32x32 pixels -> the 64x64 of CLIP's input."""
    return F.interpolate(pixels, scale_factor=2, mode="nearest")


def _encode_prompts(model: Clip, tokenizer: Tokenizer) -> Tensor:
    tokens = tokenizer(PROMPTS)
    return model.encode_text(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.lengths))


def clip_loss(
    model: Clip, tokenizer: Tokenizer, pictures: ToyPictures
) -> Callable[[int, Generator], dict[str, Tensor]]:
    """The contrastive loss of a random batch; equal captions are matches too."""

    def loss(step: int, rng: Generator) -> dict[str, Tensor]:
        rows = rng.integers(len(pictures.which), size=CLIP_BATCH)
        which = torch.from_numpy(pictures.which[rows])
        pixels = upsample(pictures.pixels[torch.from_numpy(rows)])
        with autocast():
            image = model.encode_image(pixels.contiguous(memory_format=torch.channels_last))
            text = _encode_prompts(model, tokenizer)[which]
        matches = which[:, None] == which
        return {"loss": contrastive_loss(image, text, matches, model.logit_scale)}

    return loss


def train_clip(
    budget: Budget, seed: int, pictures: ToyPictures, held_out: ToyPictures, progress: Progress
) -> tuple[ToyClip, ClaimResult]:
    """Train the toy CLIP, and compare its similarities before, during and after training."""
    tokenizer = train_bpe(list(PROMPTS), 640, context=8)
    torch.manual_seed(seed)
    model = Clip(
        ClipConfig(
            image_width=64, image_depth=1, image_heads=2, vocabulary=len(tokenizer.vocabulary),
            token_width=32, text_width=64, text_depth=1, text_heads=2, context=8, seed=seed,
        )
    )  # fmt: skip
    clips = {"before": ToyClip.embed_prompts(deepcopy(model), tokenizer)}

    def after_step(run: Run) -> None:
        if run.step == max(1, budget.clip_steps // 10):
            clips["during"] = ToyClip.embed_prompts(ema_model(run), tokenizer)

    trained: Any = train_network(
        model, clip_loss(model, tokenizer, pictures), budget.clip_steps, CLIP_BATCH, seed,
        progress, "CLIP", after_step, CLIP_STEP,
    )  # fmt: skip
    clips["after"] = ToyClip.embed_prompts(trained, tokenizer)
    return clips["after"], _result(budget, seed, clips, held_out)


def _result(
    budget: Budget, seed: int, clips: dict[str, ToyClip], held_out: ToyPictures
) -> ClaimResult:
    which = held_out.which
    accuracy, contrast, rows = dict[str, Metric](), dict[str, Metric](), []
    examples = held_out.pixels[torch.from_numpy(EXAMPLES)]  # picture k shows prompt k
    for when, clip in clips.items():
        cosines = clip.encode_image(held_out.pixels) @ clip.prompts.T  # (N, 64)
        own = cosines.numpy()[np.arange(len(which)), which]
        others = (cosines.sum(1).numpy() - own) / (len(CLASSES) - 1)
        hits = cosines.argmax(1).numpy() == which
        accuracy[when] = share_metric(f"top-1 accuracy among 64 prompts, {when}", hits, which)
        contrast[when] = mean_metric(
            f"cosine of matches minus cosine of others, {when}", own - others, unit="cosine"
        )
        matrix = clip.prompts[torch.from_numpy(EXAMPLES)] @ clip.encode_image(examples).T
        rows.append((when, image_strip(_heat_map(matrix), 1)))
    return ClaimResult(
        "clip", "CLIP learns: the diagonal of the similarity matrix lights up",
        "Trained on pairs, CLIP pulls a picture and its caption together and pushes others apart. "
        "The matrix of similarities is noise at first; then its diagonal lights up.",
        f"Two small encoders into one space of 512 dimensions, {budget.clip_steps} steps of "
        f"{CLIP_BATCH} pairs from {budget.pictures} pictures, UniCL's loss (equal captions are "
        f"matches too), seed {seed}; measured on {len(which)} held-out pictures.",
        [*accuracy.values(), *contrast.values()],
        [Check.above(accuracy["after"], accuracy["before"]),
         Check.above(contrast["after"], contrast["before"]),
         Check.inside(accuracy["before"], 0.0, 0.1)],
        [
            ReportFigure(
                f"Similarities of {len(EXAMPLES)} prompts (rows) and held-out pictures (columns). "
                "White is the highest of a matrix and black the lowest; matches are on the "
                "diagonal. During: after a tenth of the steps.",
                "Matrix of cosine similarities", rows,
            ),
            ReportFigure("The pictures of the columns.", "Shapes",
                         [("held-out pictures", image_strip(examples))]),
        ],
    )  # fmt: skip


def _heat_map(matrix: Tensor) -> Tensor:
    """`(N, N)` -> a gray picture `(1, 3, 12 N, 12 N)` from black, the minimum, to white."""
    scaled = 2 * (matrix - matrix.min()) / (matrix.max() - matrix.min()).clamp(min=1e-6) - 1
    big = scaled.repeat_interleave(12, 0).repeat_interleave(12, 1)
    return big.expand(1, 3, *big.shape)
