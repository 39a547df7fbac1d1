"""What is sampled for a call of `TextToImage.generate`, and the steps of doing so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from undiffuse import diffusion
from undiffuse.config import DrawConfig
from undiffuse.diffusion import Step
from undiffuse.diffusion.arrays import Array, Denoiser
from undiffuse.imaging.png import Pixels, on_white
from undiffuse.pipeline.init_image import InitImage
from undiffuse.pipeline.options import FRESHNESS
from undiffuse.pipeline.picture import Preview
from undiffuse.pipeline.scenes import CANDIDATE_SHIFT, Canvas
from undiffuse.runtime.networks import CodecRuntime, DenoiserRuntime, Encoder
from undiffuse.runtime.session import MAX_ROWS


@dataclass(frozen=True, eq=False)
class DrawPlan:
    """The inputs of the sampler, and what becomes of its result.

    A drawing is sampled `candidates` times, from different noise: R drawings are K * R rows, of
    which the first R are candidate 0.
    """

    config: DrawConfig
    network: DenoiserRuntime
    cond: Array | None  # (R, 512)
    late_cond: Array | None  # (R, 512), replaces cond at noise levels under config.style_below
    negative_cond: Array | None  # (R, 512), for unsteered pictures
    clip_gradient: Callable[[Denoiser], Denoiser]
    init_image: InitImage | None
    seed: int
    canvases: list[Canvas]  # of the pictures
    records: list[dict[str, Any]]
    notes: list[tuple[str, ...]]
    candidates: int = 1

    def noise(self, step: int) -> Array:
        """The noise of all rows: `diffusion.noise_source`."""
        indices = [
            (index + (candidate << CANDIDATE_SHIFT)) % 2**64
            for candidate in range(self.candidates)
            for canvas in self.canvases
            for index in canvas.indices
        ]
        return diffusion.noise_source(self.seed, indices, self.network.shape)(step)

    def repeated(self, cond: Array | None) -> Array | None:
        """A `cond` of R drawings for all candidates."""
        return cond if cond is None else np.tile(cond, (self.candidates, 1))


def sample(
    plan: DrawPlan, codec: CodecRuntime, decode: Callable[[Array], Pixels], clip: Encoder
) -> Iterator[Preview]:
    """One `Preview` after each step. It shows candidate 0, the last one the best candidates."""
    config, schedule = plan.config, plan.network.schedule
    denoiser: Denoiser = diffusion.classifier_free_guidance(
        plan.network, config.guidance, negative=plan.repeated(plan.negative_cond),
        band=(config.band_low, config.band_high),
    )  # fmt: skip
    if plan.late_cond is not None:
        late_cond = plan.repeated(plan.late_cond)
        denoiser = diffusion.switch_cond(denoiser, late_cond, config.style_below)
    denoiser = plan.clip_gradient(denoiser)
    start, noise = 1.0, plan.noise(0)
    if plan.network.config.target == "eps":
        start = diffusion.EPS_START
    if plan.init_image is not None:
        start = min(start, plan.init_image.strength)
        denoiser = plan.init_image.keep_unmasked(denoiser, codec)
        alpha, sigma = schedule.alpha_sigma(start)
        x0 = codec.encode(plan.init_image.normalized)
        noise = noise + np.float32(alpha / sigma) * x0  # the sampler multiplies by sigma
    times = diffusion.shifted_times(config.steps, config.shift, start=start)
    fresh: dict[str, Any] = {"fresh": plan.noise}
    if config.freshness is not None:
        fresh[FRESHNESS[config.sampler]] = config.freshness
    drawings = len(noise) // plan.candidates
    for step in diffusion.SAMPLERS[config.sampler](
        denoiser, noise, plan.repeated(plan.cond), schedule=schedule, times=times, **fresh
    ):
        rows = np.arange(drawings)
        if step.index == step.steps and plan.candidates > 1:
            rows = best_candidates(step, plan, decode, clip)
        yield Preview(replace(step, x_t=step.x_t[rows], x0=step.x0[rows]), plan, decode)


def best_candidates(
    step: Step, plan: DrawPlan, decode: Callable[[Array], Pixels], clip: Encoder
) -> Array:
    """The row of each drawing's candidate with the largest cosine to its `cond`, (R,). DALL-E
    (arXiv 2102.12092, section 2.6) chooses its samples by CLIP in this way.
    """
    drawings = len(step.x_t) // plan.candidates
    if plan.cond is None:
        return np.arange(drawings)  # nothing was asked for
    parts = [step.x_t[row : row + MAX_ROWS] for row in range(0, len(step.x_t), MAX_ROWS)]
    pictures = (on_white(decode(part)).transpose(0, 3, 1, 2) for part in parts)
    found = [clip.encode_image(np.ascontiguousarray(some)) for some in pictures]
    vectors = np.concatenate(found).reshape(plan.candidates, drawings, -1)
    wanted = plan.cond[:, : vectors.shape[-1]]
    best = np.einsum("krd,rd->kr", vectors, wanted).argmax(0)
    return best * drawings + np.arange(drawings)
