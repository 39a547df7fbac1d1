"""Claim: a network that undoes one step of blur, applied again and again, draws poorly."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from undiffuse.diffusion import Denoiser
from undiffuse.evaluation.statistics import Metric, ratio_metric
from undiffuse.lab.charts import image_strip, line_chart
from undiffuse.lab.claims import Check, ClaimResult, ReportFigure, share_metric
from undiffuse.lab.experiment import Experiment, Samples, gain_metric
from undiffuse.lab.toy_data import CLASSES, EXAMPLES, SIDE, is_correct, patchify, unpatchify
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.precision import autocast

CHAIN = 12  # steps of blur; after the last one a picture has its mean color everywhere
WIDTHS = np.geomspace(0.5, 12.0, CHAIN - 1)  # standard deviation after steps 1, 2, ..., in pixels
SHOWN_STEPS = (2, 6, 10)


def blur_matrices() -> Tensor:
    """`(13, 32, 32)`: matrices that blur rows or columns by k steps; the identity for k = 0."""
    distance = (np.arange(SIDE)[:, None] - np.arange(SIDE)) ** 2
    gaussians = [np.exp(-distance / (2 * width**2)) for width in WIDTHS]
    stack = np.stack([np.eye(SIDE), *gaussians, np.ones((SIDE, SIDE))])
    return torch.from_numpy(stack / stack.sum(-1, keepdims=True)).float()


def blur(pixels: Tensor, k: Any) -> Tensor:
    """Blur `(B, 3, 32, 32)` by k steps; k is a number or `(B,)`."""
    matrix = blur_matrices()[k]
    matrix = matrix[:, None] if matrix.ndim == 3 else matrix
    return matrix @ pixels @ matrix.transpose(-1, -2)


@dataclass(frozen=True)
class DeblurringNetwork:
    """Predicts what a step of blur removed, divided by `scales` `(13,)`.

    The scales bring all steps to unit RMS, so that the loss weights them equally.
    """

    network: DenoiserNetwork
    scales: Tensor

    @classmethod
    def train(cls, experiment: Experiment) -> "DeblurringNetwork":
        """Same architecture and budget as the denoiser."""
        model, pictures = experiment.new_network("x0", experiment.seed), experiment.pictures
        stack = [blur(pictures.pixels[:1024], k) for k in range(CHAIN + 1)]
        removed = [(a - b).square().mean().sqrt() for a, b in pairwise(stack)]
        scales = torch.stack([torch.ones(()), *removed])

        def loss(step: int, rng: Generator) -> dict[str, Tensor]:
            count = experiment.budget.batch
            rows = torch.from_numpy(rng.integers(len(pictures.which), size=count))
            k = torch.from_numpy(rng.integers(1, CHAIN + 1, size=count))
            after, before = (blur(pictures.pixels[rows], step) for step in (k, k - 1))
            target = patchify((before - after) / scales[k][:, None, None, None])
            cond = experiment.prompt_vectors[torch.from_numpy(pictures.which)[rows]]
            with autocast():
                prediction = model(patchify(after), k.float() / CHAIN, cond)
            return {"loss": (prediction - target).square().mean()}

        return cls(experiment.train(model, loss, experiment.seed, "deblurring"), scales)

    def predict_removed(self, pixels: Tensor, k: int, cond: Tensor) -> Tensor:
        """What step k of the blur removed, in units of the pixels."""
        level = torch.full((len(pixels),), k / CHAIN)
        with torch.inference_mode(), autocast():
            return self.scales[k] * unpatchify(self.network(patchify(pixels), level, cond))

    def one_step_error(self, pixels: Tensor, cond: Tensor) -> Metric:
        """Squared error after undoing one step, relative to what the step removed."""
        error, removed = np.zeros(len(pixels)), np.zeros(len(pixels))
        for k in range(1, CHAIN + 1):
            after, scale = blur(pixels, k), self.scales[k]
            target = blur(pixels, k - 1) - after
            residual = (self.predict_removed(after, k, cond) - target) / scale
            error += residual.square().mean((1, 2, 3)).numpy()
            removed += (target / scale).square().mean((1, 2, 3)).numpy()
        return ratio_metric("relative error of one deblurring step", error, removed, unit="ratio")

    def deblur(self, pixels: Tensor, k: int, cond: Tensor) -> Tensor:
        """Undo k steps of blur, one by one."""
        for step in range(k, 0, -1):
            pixels = pixels + self.predict_removed(pixels, step, cond)
        return pixels


def measure_deblurring(experiment: Experiment, denoiser: Denoiser) -> ClaimResult:
    """Train the network, and deblur the blank picture and blurred real pictures."""
    network = DeblurringNetwork.train(experiment)
    blank = blur(experiment.pictures.pixels, CHAIN).mean(0, keepdim=True)
    start = blank.expand(len(experiment.which), -1, -1, -1)
    naive = experiment.samples("deblurring", network.deblur(start, CHAIN, experiment.cond))
    drawn = experiment.sample("denoising", denoiser)
    real, cond = experiment.held_out.pixels[: len(CLASSES)], experiment.prompt_vectors
    error = network.one_step_error(real, cond)
    pairs = {}
    for k in range(0, CHAIN + 1, 2):
        blurred = blur(real, k)
        pairs[k] = blurred, network.deblur(blurred, k, cond)
    return _result(error, naive, drawn, pairs)


def _result(
    error: Metric, naive: Samples, drawn: Samples, pairs: dict[int, tuple[Tensor, Tensor]]
) -> ClaimResult:
    gain, which = gain_metric("denoising over deblurring", drawn, naive), np.arange(len(CLASSES))
    curve = []
    for k, (_, sharp) in pairs.items():
        hits = is_correct(sharp, which)
        curve.append((k, share_metric(f"prompt accuracy, {k} steps undone", hits, which)))
    strips = [
        (label, image_strip(pixels[EXAMPLES]))
        for k in SHOWN_STEPS
        for label, pixels in zip((f"{k} steps of blur", "deblurred"), pairs[k], strict=True)
    ]
    return ClaimResult(
        "unblurring", "The naive idea: deblur again and again",
        "A network can learn to undo a little blur. Repeated from a blank picture, it draws worse "
        "than denoising, and always the same picture of a prompt.",
        f"Blur in {CHAIN} steps, up to the mean color of a picture. A network with the denoiser's "
        "architecture and budget, with the prompt as condition, learns to undo one step. It is "
        "applied to the blank mean picture, and to blurred real pictures.",
        [error, naive.accuracy, drawn.accuracy, gain, naive.diversity, drawn.diversity,
         *(metric for _, metric in curve)],
        [Check.inside(error, 0.0, 0.5), Check.above(gain, 0.0),
         Check.above(drawn.diversity, naive.diversity)],
        [
            ReportFigure(f"{len(EXAMPLES)} prompts, from the blank picture and from noise. The "
                         "blank picture has no randomness, so the result is the same each time.",
                         "Drawn pictures", [naive.labeled_strip(), drawn.labeled_strip()]),
            ReportFigure("Real pictures, blurred and deblurred.",
                         "Blurred and deblurred pictures", strips),
            ReportFigure("Prompt accuracy of deblurred real pictures; the band is the 95% "
                         "interval.", "A curve over steps of blur",
                         svg=line_chart({"prompt accuracy": curve}, "steps of blur", "share")),
        ],
    )  # fmt: skip
