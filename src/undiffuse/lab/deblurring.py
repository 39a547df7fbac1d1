"""The naive idea: learn to undo one step of blur, and do it again and again."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from undiffuse.evaluation.statistics import Figure, ratio_figure
from undiffuse.lab.claims import Exhibit, Finding, above, inside, row_of, share_figure
from undiffuse.lab.experiment import SHOWN, Bench, Network, gain_figure
from undiffuse.lab.svg import curves
from undiffuse.lab.toy_data import LOOKS, SIDE, agreement, fold, unfold

CHAIN = 12  # steps of blur; after the last, a picture is its own mean colour
WIDTHS = np.geomspace(0.5, 12.0, CHAIN - 1)  # of the Gaussian after step 1, 2, ..., in pixels


def blur_matrices() -> Tensor:
    """`(13, 32, 32)`: what blurs rows and columns by k steps; none for k = 0."""
    away = (np.arange(SIDE)[:, None] - np.arange(SIDE)) ** 2
    middle = [np.exp(-away / (2 * width**2)) for width in WIDTHS]
    stack = np.stack([np.eye(SIDE), *middle, np.ones((SIDE, SIDE))])
    return torch.from_numpy(stack / stack.sum(-1, keepdims=True)).float()


def blurred(pixels: Tensor, k: Any) -> Tensor:
    """`(B, 3, 32, 32)` after k steps, k one number or `(B,)`."""
    matrix = blur_matrices()[k]
    matrix = matrix[:, None] if matrix.ndim == 3 else matrix
    return matrix @ pixels @ matrix.transpose(-1, -2)


@dataclass(frozen=True)
class Unblurring:
    """A network that says what a step of blur took away; `sizes` `(13,)` bring that to unit RMS,
    so that the small steps are learned as well as the large ones.
    """

    network: Network
    sizes: Tensor

    @classmethod
    def train(cls, bench: Bench) -> "Unblurring":
        """With the same network and budget as the denoiser."""
        model, pictures = bench.network("x0", bench.seed), bench.pictures
        stack = [blurred(pictures.pixels[:1024], k) for k in range(CHAIN + 1)]
        taken = [(a - b).square().mean().sqrt() for a, b in pairwise(stack)]
        sizes = torch.stack([torch.ones(()), *taken])

        def loss(step: int, rng: Generator) -> dict[str, Tensor]:
            rows = torch.from_numpy(rng.integers(len(pictures.which), size=bench.budget.batch))
            k = torch.from_numpy(rng.integers(1, CHAIN + 1, size=len(rows)))
            shown, before = (blurred(pictures.pixels[rows], at) for at in (k, k - 1))
            wanted = fold((before - shown) / sizes[k][:, None, None, None])
            cond = bench.vectors[torch.from_numpy(pictures.which)[rows]]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                said = model(fold(shown), k.float() / CHAIN, cond)
            return {"loss": (said - wanted).square().mean()}

        return cls(bench.train(model, loss, bench.seed, "unblurring"), sizes)

    def one_step(self, pixels: Tensor, cond: Tensor) -> Figure:
        """Square error after one step, from real pictures, as a share of what the step took."""
        left, taken = np.zeros(len(pixels)), np.zeros(len(pixels))
        for k in range(1, CHAIN + 1):
            shown, before = blurred(pixels, k), blurred(pixels, k - 1)
            said = unfold(self.network.said(fold(shown), k / CHAIN, cond))
            wanted = (before - shown) / self.sizes[k]
            left += (said - wanted).square().mean((1, 2, 3)).numpy()
            taken += wanted.square().mean((1, 2, 3)).numpy()
        return ratio_figure("error left after one step of unblurring", left, taken, unit="ratio")

    def back(self, pixels: Tensor, k: int, cond: Tensor) -> Tensor:
        """From k steps of blur to none, one by one."""
        for step in range(k, 0, -1):
            taken = unfold(self.network.said(fold(pixels), step / CHAIN, cond))
            pixels = pixels + self.sizes[step] * taken
        return pixels


def unblurring(bench: Bench, denoiser: Network) -> Finding:
    """Train it, run it from the blank picture and from real ones that were blurred."""
    way = Unblurring.train(bench)
    blank = blurred(bench.pictures.pixels, CHAIN).mean(0, keepdim=True)
    start = blank.expand(len(bench.asked), -1, -1, -1)
    naive = bench.drawings("unblurring", way.back(start, CHAIN, bench.cond))
    drawn = bench.draw("denoising", denoiser.denoiser)
    one = way.one_step(bench.held_out.pixels[: len(LOOKS)], bench.vectors)
    gain = gain_figure("denoising over unblurring", drawn, naive)
    real, which = bench.held_out.pixels[: len(LOOKS)], np.arange(len(LOOKS))
    kept = {k: way.back(blurred(real, k), k, bench.vectors) for k in range(0, CHAIN + 1, 2)}
    curve = [
        (k, share_figure(f"still right, {k} steps undone", agreement(x, which), which))
        for k, x in kept.items()
    ]
    some = np.arange(SHOWN) * 37 % len(LOOKS)
    rows = [
        (label, row_of(pixels[some]))
        for k in (2, 6, 10)
        for label, pixels in ((f"{k} steps blurred", blurred(real, k)), ("unblurred", kept[k]))
    ]
    return Finding(
        "unblurring", "The naive idea: unblur again and again",
        "Undoing a little blur can be learned, but done again and again from a blank picture it "
        "makes poorer pictures than denoising does, and of a prompt always the same one.",
        f"Blur in {CHAIN} steps, up to a picture's mean colour; a network of the same kind and "
        "budget as the denoiser, given the prompt too, learns to undo one step. Run from the "
        "blank mean picture, and from real pictures that were blurred.",
        [one, naive.agreement, drawn.agreement, gain, naive.spread, drawn.spread,
         *(f for _, f in curve)],
        [inside(one, 0.0, 0.5), above(gain, 0.0), above(drawn.spread, naive.spread)],
        [
            Exhibit(f"{SHOWN} prompts each, from the blank picture and from noise. A blank picture "
                    "holds no chance: every unblurring of a prompt is the same picture.",
                    "Drawings", [naive.row(), drawn.row()]),
            Exhibit("Real pictures, blurred by so many steps and unblurred from there.",
                    "Pictures blurred and unblurred", rows),
            Exhibit("How many of those still show what they showed; the band is the 95% interval.",
                    "A curve over steps of blur",
                    svg=curves({"still right": curve}, "steps of blur undone", "share")),
        ],
    )  # fmt: skip
