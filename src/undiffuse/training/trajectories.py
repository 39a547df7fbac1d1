"""Trajectories of a model's sampler, from which a network learns to take few steps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse import diffusion
from undiffuse.data.picture_set import PictureSet
from undiffuse.errors import UserError
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.batches import MixedSampler
from undiffuse.training.denoiser import sample_cond, with_states
from undiffuse.training.distributed import count as processes
from undiffuse.training.latent_cache import Embeddings, Follow, FrozenModels, cached
from undiffuse.training.precision import autocast
from undiffuse.training.torch_denoiser import DRAWING, sample_steps

BATCH = 256  # trajectories of a file


@dataclass(frozen=True)
class Trajectories:
    """N samples of a teacher, in float16.

    `x`: x_t `(N, FEW + 1, C, S, S)` at the noise levels `levels`, from noise to the latents of a
    picture. `cond` `(N, D)`: the CLIP vectors. `ids` `(N, L)` and `lengths` `(N,)`: the tokens of
    the texts, with length 0 where there are none.
    """

    x: Tensor
    cond: Tensor
    levels: tuple[float, ...]
    ids: Tensor | None = None
    lengths: Tensor | None = None


def sample_trajectories(
    pictures: PictureSet, frozen: FrozenModels, network: DenoiserNetwork, digest: str, few: int,
    count: int, folder: Path, follow: Follow = lambda what, share: None, compiled: bool = False,
) -> Trajectories:  # fmt: skip
    """Sample `count` trajectories for the captions and vectors that the denoiser is trained on, by
    the sampler that draws by default, in `few` parts of equally many steps. `digest`: the hash of
    the network's weights.

    Each file of `BATCH` is stored in `folder`, so that an interrupted command continues there.
    UserError if the number of steps is no multiple of `few`, or the network predicts no x0.
    """
    if DRAWING.steps % few:
        raise UserError(f"few={few}: the model's {DRAWING.steps} steps must be a multiple of it")
    if network.config.target != "x0":
        raise UserError(f"the denoiser predicts {network.config.target}: give one for x0")
    model: Any = torch.compile(network) if compiled else network
    embeddings = frozen.embeddings(pictures, folder, follow)
    sampler, parts = MixedSampler(pictures), []
    for part in range(-(-count // BATCH)):
        follow("sampling trajectories", part * BATCH / count)
        path = folder / f"steps-{few}-{digest}-{pictures.digest[:16]}-{part}.safetensors"
        rng = Generator(Philox(key=[2000 + part, few]))
        rows = sampler.draw(BATCH * processes(), rng)  # of which the main process samples a part
        parts.append(cached(path, lambda rows=rows, rng=rng: _sample(  # type: ignore[misc]
            embeddings, rows, rng, frozen, model, few)))  # fmt: skip
    joined = {name: torch.cat([part[name] for part in parts])[:count] for name in parts[0]}
    levels = diffusion.shifted_times(DRAWING.steps, DRAWING.shift)
    return Trajectories(levels=levels[:: DRAWING.steps // few], **joined)


@torch.inference_mode()
def _sample(
    embeddings: Embeddings, rows: Any, rng: Generator, frozen: FrozenModels,
    network: DenoiserNetwork, few: int,
) -> dict[str, Tensor]:  # fmt: skip
    config, device = network.config, frozen.device
    batch = sample_cond(embeddings, rows, rng, config.text_tokens > 0)
    shape = (len(batch["cond"]), config.channels, config.side, config.side)
    noise = torch.from_numpy(rng.standard_normal(shape, dtype="float32"))
    moved = {name: tensor.to(device) for name, tensor in batch.items()}
    with autocast(device.type):
        cond = with_states(moved, frozen.embed_texts, config.text_tokens)
        steps = sample_steps(network, cond.float(), DRAWING.guidance, noise.to(device))
        every = DRAWING.steps // few
        seen = [step.x_t.cpu() for step in steps if step.index % every == 0]
    made = {"x": torch.stack([noise, *seen], dim=1).half(), "cond": batch["cond"].half()}
    if embeddings.ids is not None and "ids" in batch:
        ids = torch.zeros(len(noise), embeddings.ids.shape[2], dtype=torch.int32)
        lengths = torch.zeros(len(noise), dtype=torch.int64)
        ids[batch["rows"], : batch["ids"].shape[1]] = batch["ids"].int()
        lengths[batch["rows"]] = batch["lengths"]
        made |= {"ids": ids, "lengths": lengths}
    return made
