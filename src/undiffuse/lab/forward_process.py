"""Claim: the forward process ends in pure noise. Measures what CLIP still sees on the way."""

import numpy as np
import torch

from undiffuse import diffusion
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.lab.charts import image_strip, line_chart
from undiffuse.lab.claims import Check, ClaimResult, ReportFigure, share_metric
from undiffuse.lab.contrastive import ToyClip
from undiffuse.lab.experiment import LINEAR, Experiment
from undiffuse.lab.toy_data import patchify, unpatchify

NOISE_LEVELS = tuple(k / 10 for k in range(11))
MAX_PICTURES = 512
EXAMPLE_ROWS = (9, 36, 62)  # of the held-out pictures


def measure_forward_process(experiment: Experiment, clip: ToyClip) -> ClaimResult:
    """Noisy held-out pictures at rising noise levels, classified by CLIP."""
    held_out, count = experiment.held_out, min(len(experiment.held_out.which), MAX_PICTURES)
    x0, which = patchify(held_out.pixels[:count]), held_out.which[:count]
    noise = torch.from_numpy(diffusion.batch_noise(experiment.seed, range(count), 0, x0.shape[1:]))
    lines: dict[str, list[tuple[float, Metric]]] = {"accuracy": [], "cosine": [], "pixels": []}
    frames = []
    own = experiment.prompt_vectors[torch.from_numpy(which)]
    for t in NOISE_LEVELS:
        x_t = diffusion.add_noise(LINEAR, x0, noise, t)
        pixels = unpatchify(x_t)
        vectors = clip.encode_image(pixels)
        hits = (vectors @ experiment.prompt_vectors.T).argmax(1).numpy() == which
        cosines, correlation = (vectors * own).sum(1).numpy(), _correlation(x_t, x0)
        at = f"at {t:.0%} noise"
        for line, metric in zip(lines.values(), (
            share_metric(f"CLIP's top-1 accuracy {at}", hits, which),
            mean_metric(f"cosine to own prompt {at}", cosines, unit="cosine"),
            mean_metric(f"correlation with the picture {at}", correlation, unit="correlation"),
        ), strict=True):  # fmt: skip
            line.append((t, metric))
        frames.append(pixels[list(EXAMPLE_ROWS)])
    return _result(count, lines, torch.stack(frames, 1))


def _result(
    count: int, lines: dict[str, list[tuple[float, Metric]]], frames: torch.Tensor
) -> ClaimResult:
    first, last, correlation = (
        lines["accuracy"][0][1], lines["accuracy"][-1][1], lines["pixels"][-1][1]
    )  # fmt: skip
    terminal_alpha = ", ".join(
        f"{s.name} {s.terminal_alpha():.1%}" for s in diffusion.SCHEDULES.values()
    )
    accuracy, cosine, pixels = lines.values()
    return ClaimResult(
        "forward", "The forward process adds noise until nothing else is left",
        "The share of the picture falls step by step to zero. CLIP recognizes the picture for a "
        "while, and at the end no better than by chance.",
        f"{count} held-out pictures, mixed with noise on the linear schedule: 1 - t of the picture "
        "and t of noise. Classified by the toy CLIP, which was not trained on noise.",
        [metric for line in lines.values() for _, metric in line],
        [Check.inside(correlation, -0.02, 0.02), Check.inside(last, 0.0, 0.06),
         Check.above(first, last)],
        [
            ReportFigure("0, 10, ... 100% noise, from left to right.", "Pictures turn into noise",
                         [("", image_strip(strip)) for strip in frames]),
            ReportFigure(
                "What is left of the picture. Chance is 1 in 64. Bands are 95% intervals.",
                "Curves falling from left to right",
                svg=line_chart(
                    {"CLIP's top-1 accuracy": accuracy, "CLIP's cosine to the prompt": cosine,
                     "correlation of pixels": pixels},
                    "noise level t", "share, cosine, correlation"),
            ),
        ],
        note=f"alpha(1): {terminal_alpha}. The DDPM schedule does not end in pure noise.",
    )  # fmt: skip


def _correlation(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """`(B,)`: correlation between the pixels of each pair of pictures."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1)
    return cosine.numpy()
