"""CLIP learning: matches light up on the diagonal. The CLIP made here steers everything after."""

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
from undiffuse.evaluation.statistics import Figure, mean_figure
from undiffuse.lab.budget import Budget
from undiffuse.lab.claims import Exhibit, Finding, above, inside, row_of, share_figure
from undiffuse.lab.experiment import BATCH, SHOWN, Bar, fit
from undiffuse.lab.toy_data import LOOKS, PROMPTS, Pictures
from undiffuse.training.bpe import learn
from undiffuse.training.loop import Run
from undiffuse.training.weight_export import averaged

CLIP_BATCH = 64


@dataclass(frozen=True)
class Eyes:
    """A CLIP of the lab's, and its vectors of the 64 prompts, `(64, 512)`."""

    clip: Clip
    text: Tensor

    @classmethod
    def of(cls, clip: Clip, tokenizer: Tokenizer) -> "Eyes":
        with torch.inference_mode():
            return cls(clip, _text(clip, tokenizer))

    def see(self, pixels: Tensor) -> Tensor:
        """`(B, 3, 32, 32)` -> unit vectors `(B, 512)`."""
        with torch.inference_mode():
            return torch.cat([self.clip.encode_image(larger(part)) for part in pixels.split(BATCH)])


def larger(pixels: Tensor) -> Tensor:
    """32x32 -> the 64x64 that CLIP looks at, each pixel four times."""
    return F.interpolate(pixels, scale_factor=2, mode="nearest")


def _text(clip: Clip, tokenizer: Tokenizer) -> Tensor:
    tokens = tokenizer(PROMPTS)
    return clip.encode_text(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.lengths))


def learn_clip(
    budget: Budget, seed: int, pictures: Pictures, held_out: Pictures, bar: Bar
) -> tuple[Eyes, Finding]:
    """Train the lab's CLIP, and say what became of its similarities."""
    tokenizer = learn(list(PROMPTS), 640, context=8)
    torch.manual_seed(seed)
    clip = Clip(
        ClipConfig(
            image_width=64, image_depth=1, image_heads=2, vocabulary=len(tokenizer.vocabulary),
            token_width=32, text_width=64, text_depth=1, text_heads=2, context=8, seed=seed,
        )
    )  # fmt: skip
    seen = {"before": Eyes.of(deepcopy(clip), tokenizer)}

    def loss(step: int, rng: Generator) -> dict[str, Tensor]:
        rows = rng.integers(len(pictures.which), size=CLIP_BATCH)
        which = torch.from_numpy(pictures.which[rows])
        pixels = larger(pictures.pixels[torch.from_numpy(rows)])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            image = clip.encode_image(pixels.contiguous(memory_format=torch.channels_last))
            text = _text(clip, tokenizer)[which]
        fits = which[:, None] == which
        return {"loss": contrastive_loss(image, text, fits, clip.logit_scale)}

    def watch(run: Run) -> None:
        if run.step == max(1, budget.clip_steps // 10):
            model: Any = averaged(run, 0.05)
            seen["during"] = Eyes.of(model, tokenizer)

    trained = fit(clip, loss, budget.clip_steps, CLIP_BATCH, seed, bar, "CLIP", each=watch)
    seen["after"] = Eyes.of(trained, tokenizer)
    return seen["after"], _finding(budget, seed, seen, held_out)


def _finding(budget: Budget, seed: int, seen: dict[str, Eyes], held_out: Pictures) -> Finding:
    which = held_out.which
    right, contrast, rows = dict[str, Figure](), dict[str, Figure](), []
    shown = np.arange(SHOWN) * 37 % len(LOOKS)
    examples = held_out.pixels[torch.from_numpy(shown)]  # picture k shows prompt k
    for when, eyes in seen.items():
        cosines = eyes.see(held_out.pixels) @ eyes.text.T  # (N, 64)
        own = cosines.numpy()[np.arange(len(which)), which]
        others = (cosines.sum(1).numpy() - own) / (len(LOOKS) - 1)
        hits = cosines.argmax(1).numpy() == which
        right[when] = share_figure(f"own prompt is the nearest of 64, {when}", hits, which)
        contrast[when] = mean_figure(
            f"cosine on the diagonal less beside it, {when}", own - others, unit="cosine"
        )
        matrix = eyes.text[torch.from_numpy(shown)] @ eyes.see(examples).T
        rows.append((when, row_of(_tiles(matrix), 1)))
    return Finding(
        "clip", "CLIP learns: matches light up on the diagonal",
        "Trained on pairs, CLIP pulls a picture and its own caption together and pushes the rest "
        "apart: the matrix of similarities, noise at first, lights up on its diagonal.",
        f"Two small encoders into one space of 512 dimensions, {budget.clip_steps} steps of "
        f"{CLIP_BATCH} pairs from {budget.pictures} pictures, UniCL's loss (equal captions are "
        f"matches too), seed {seed}; measured on {len(which)} pictures it never saw.",
        [*right.values(), *contrast.values()],
        [above(right["after"], right["before"]), above(contrast["after"], contrast["before"]),
         inside(right["before"], 0.0, 0.1)],
        [
            Exhibit(
                f"Similarities of {SHOWN} prompts (down) and {SHOWN} held-out pictures (across), "
                "white for the highest in a matrix, black for the lowest; the diagonal is the "
                "matches. During: after a tenth of the steps.",
                "Matrix of cosine similarities", rows,
            ),
            Exhibit("The pictures along the top of the matrices.", "Shapes",
                    [("held-out pictures", row_of(examples))]),
        ],
    )  # fmt: skip


def _tiles(matrix: Tensor) -> Tensor:
    """`(N, N)` -> one grey picture `(1, 3, 12 N, 12 N)`, its own range from black to white."""
    scaled = 2 * (matrix - matrix.min()) / (matrix.max() - matrix.min()).clamp(min=1e-6) - 1
    big = scaled.repeat_interleave(12, 0).repeat_interleave(12, 1)
    return big.expand(1, 3, *big.shape)
