"""True pictures as a denoiser leaves them: noised, and drawn to the end again.

Latents that are drawn are not latents that were encoded: they are a little off everywhere, and a
decoder that never saw such shows soft edges and mottled colours. One that has seen them beside the
true pictures makes up for part of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse import diffusion
from undiffuse.data.captions import caption
from undiffuse.data.picture_set import EvenSampler, PictureSet
from undiffuse.errors import UserError
from undiffuse.training.augment import to_float
from undiffuse.training.latent_cache import Frozen, draw, kept, load_module

COUNT = 24576
LEVELS = (0.3, 0.45, 0.6, 0.75)  # above, another picture would be drawn than the one shown
GUIDANCE = 4.0
BATCH = 256


@dataclass(frozen=True)
class Drawn:
    """`rows` of pictures `(N,)`, and the latents that were drawn of each, `(N, C, S, S)`; `by`:
    the denoiser's hash."""

    rows: Tensor
    x0: Tensor
    by: str

    def pick(self, count: int, rng: Generator) -> tuple[np.ndarray, Tensor]:
        """`count` of them: rows, and latents in float32."""
        which = torch.from_numpy(rng.integers(len(self.rows), size=count))
        return self.rows[which].numpy(), self.x0[which].float()


def draw_again(
    pictures: PictureSet, weights: Path, folder: Path, count: int, say: Callable[[str], None]
) -> Drawn:
    """Pictures drawn again by the model in `weights`; kept in `folder` by hash: minutes of work.

    UserError when a file is missing or broken, or the networks there do not belong together.
    """
    frozen = Frozen.load(weights / "clip.safetensors", weights / "codec.safetensors", None)
    model, file = load_module(weights / "denoiser.safetensors", "denoiser")
    for name, hash in frozen.hashes.items():
        if file.meta.get(name) != hash:
            raise UserError(f"the denoiser in {weights} was trained on another {name}")
    if file.meta.get("chain"):
        raise UserError(f"the denoiser in {weights} predicts the step before, not the picture")
    say(f"drawing {count} pictures again")
    path = folder / f"drawn-{count}-{file.hash}-{pictures.digest}.safetensors"
    made = kept(path, lambda: _walks(pictures, frozen, model, count))
    return Drawn(made["rows"], made["x0"], file.hash)


@torch.inference_mode()
def _walks(pictures: PictureSet, frozen: Frozen, model: Any, count: int) -> dict[str, Tensor]:
    rng = Generator(Philox(key=[0, count]))
    rows = EvenSampler(pictures, pictures.rows(lambda r: not r.get("composite"))).draw(count, rng)
    if len(made := pictures.rows(lambda r: bool(r.get("composite")))):
        rows[::4] = rng.choice(made, len(rows[::4]))
    schedule, parts = diffusion.SCHEDULES[model.config.schedule], []
    for start in range(0, count, BATCH):
        part = rows[start : start + BATCH]
        texts = [caption(pictures.records[row], rng, 1.0).text for row in part]
        x0 = frozen.codec.encode(to_float(pictures.pictures[part]))
        noise = torch.from_numpy(rng.standard_normal(tuple(x0.shape), dtype=np.float32))
        level = LEVELS[start // BATCH % len(LEVELS)]
        alpha, sigma = schedule.alpha_sigma(level)
        cond, noise = frozen.embed(texts), noise + (alpha / sigma) * x0
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts.append(draw(model, cond, GUIDANCE, noise, level).half())
    return {"rows": torch.from_numpy(rows), "x0": torch.cat(parts)}
