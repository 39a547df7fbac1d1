"""Training of the denoiser: noisy latents, CLIP vectors as condition and a weighted squared error.

Of the conditions, 80% are vectors of captions, 10% are vectors of the pictures with a little noise
(LAFITE, arXiv 2111.13792) and 10% are zero, for classifier-free guidance. A network that reads the
tokens of the text gets those of 85% of the captions, so that it also draws by vectors alone:
sums, directions and pictures have no tokens.
"""

from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from undiffuse import diffusion
from undiffuse.data.picture_set import PictureSet
from undiffuse.errors import UserError
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.batches import MixedSampler
from undiffuse.training.devices import CPU, Batch, to_device
from undiffuse.training.distributed import part
from undiffuse.training.embedder import Embedder, TextEmbedder
from undiffuse.training.latent_cache import Embeddings, LatentCache
from undiffuse.training.precision import autocast

UNCONDITIONAL_SHARE, PICTURE_SHARE = 0.1, 0.1
PICTURE_NOISE = 0.3  # length of the noise that is added to the vector of a picture
WITHOUT_TOKENS = 0.15  # share of captions
CHAIN = 20  # steps of the chain that a network for the target "previous" is trained on
NOISE_LEVEL_MEAN, NOISE_LEVEL_STD, UNIFORM_SHARE = 0.4, 1.0, 0.1


def sample_noise_levels(count: int, rng: Generator, mean: float = NOISE_LEVEL_MEAN) -> np.ndarray:
    """Noise levels `(B,)`: 90% logit-normal, 10% uniform (arXiv 2511.13720)."""
    normal = 1.0 / (1.0 + np.exp(-(mean + NOISE_LEVEL_STD * rng.standard_normal(count))))
    return np.where(rng.random(count) < UNIFORM_SHARE, rng.random(count), normal)


def chain_length(target: str) -> int:
    """Steps of the chain that a network of this target is trained on; 0 for all levels."""
    return CHAIN if target == "previous" else 0


def sample_cond(cache: Embeddings, rows: np.ndarray, rng: Generator, tokens: bool = False) -> Batch:
    """The conditions of this process's part of a batch: "cond" `(B, 512)`, in which rows of zeros
    are unconditional. With `tokens` also "rows" `(R,)`, the captions that have tokens, and their
    "ids" `(R, L)` and "lengths" `(R,)`.
    """
    count, size = len(rows), cache.pictures.shape[1]
    which = rng.integers(cache.captions.shape[1], size=count)
    noise = torch.from_numpy(part(rng.standard_normal((count, size), dtype=np.float32)))
    roll = torch.from_numpy(part(rng.random(count)))[:, None]
    index = torch.from_numpy(part(rows))
    captions = cache.captions[index, torch.from_numpy(part(which))].float()
    pictures = cache.pictures[index].float() + PICTURE_NOISE / size**0.5 * noise
    pictures = torch.nn.functional.normalize(pictures, dim=-1)
    cond = torch.where(roll < UNCONDITIONAL_SHARE + PICTURE_SHARE, pictures, captions)
    batch = {"cond": torch.where(roll < UNCONDITIONAL_SHARE, torch.zeros(()), cond)}
    if tokens and cache.ids is not None and cache.lengths is not None:
        without = torch.from_numpy(part(rng.random(count))) < WITHOUT_TOKENS
        without |= roll[:, 0] < UNCONDITIONAL_SHARE + PICTURE_SHARE
        chosen = torch.from_numpy(part(which))
        lengths = cache.lengths[index, chosen].masked_fill(without, 0)
        batch |= tokens_of(cache.ids[index, chosen], lengths)
    return batch


def tokens_of(ids: Tensor, lengths: Tensor) -> Batch:
    """The "rows" `(R,)` of `ids` `(B, L)` that have tokens, and their "ids" and "lengths"."""
    rows = (lengths > 0).nonzero()[:, 0]
    longest = int(lengths.max()) if len(rows) else 1
    return {"rows": rows, "ids": ids[rows, :longest].long(), "lengths": lengths[rows]}


def with_states(batch: Batch, embedder: Embedder | None, count: int) -> Tensor:
    """The "cond" of a batch, and behind it the states of `count` tokens of its texts."""
    cond = batch["cond"]
    if not isinstance(embedder, TextEmbedder) or not count:
        return cond
    states = embedder.states(batch["ids"], batch["lengths"], count)
    absent = states.new_zeros(len(cond), states.shape[1])
    return torch.cat([cond, absent.index_copy(0, batch["rows"], states)], dim=1)


def squared_errors(network: Any, batch: Batch, embedder: Embedder | None, tokens: int) -> Tensor:
    """The mean squared error of the prediction of each row of a batch on the device, `(B,)`."""
    with autocast(batch["x_t"].device.type):
        prediction = network(batch["x_t"], batch["t"], with_states(batch, embedder, tokens))
    error: Tensor = (prediction - batch["target"]).square().mean((1, 2, 3))
    return error


class DenoiserRecipe:
    """Builds batches and computes the loss of step k.

    `noise_level_mean`: of the logit of the noise levels. `embedder`: gives the states of tokens to
    a network that reads them. Raises UserError when the shapes of the
    latents and of the network differ.
    """

    def __init__(
        self,
        model: DenoiserNetwork,
        pictures: PictureSet,
        cache: LatentCache,
        batch: int = 128,
        compiled: bool = True,
        noise_level_mean: float = NOISE_LEVEL_MEAN,
        device: torch.device = CPU,
        embedder: Embedder | None = None,
    ) -> None:
        self.cache, self.batch, self.noise_level_mean = cache, batch, noise_level_mean
        self.device, self.embedder = device, embedder
        self.sampler = MixedSampler(pictures)
        self.network: Any = torch.compile(model) if compiled else model
        self.config = config = model.config
        self.target, self.schedule = config.target, diffusion.SCHEDULES[config.schedule]
        shape, found = (config.channels, config.side, config.side), tuple(cache.x0.shape[2:])
        if found != shape:
            raise UserError(
                f"the network's latents have shape {shape}, the codec's {found}: "
                "choose another codec"
            )

    def example_inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs of the network with one row: `x_t`, `t`, `cond`."""
        return (
            self.cache.x0[0, :1].float().to(self.device),
            torch.ones(1, device=self.device),
            torch.zeros(1, self.config.cond_size, device=self.device),
        )

    def chance_losses(self) -> dict[str, float]:
        """The error of a constant prediction, for targets where it is known; see `Diagnostics`."""
        variance = float(self.cache.x0[0, :2048].float().var(0, correction=0).mean())
        known = {"x0": variance, "eps": 1.0}
        return {"error": known[self.target]} if self.target in known else {}

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        """ "loss", the weighted squared error, and "error", without the weight."""
        return self.losses(to_device(self.sample(step, rng), self.device))

    def sample(self, step: int, rng: Generator) -> Batch:
        """This process's part of the batch of step k, in the processor's memory.

        Noise is mixed in here: its coefficients are computed in NumPy, and a GPU would wait.
        """
        rows = self.sampler.draw(self.batch, rng)
        shape = (len(rows), *self.cache.x0.shape[2:])
        variant = rng.integers(len(self.cache.x0), size=len(rows))
        x0 = self.cache.x0[torch.from_numpy(part(variant)), torch.from_numpy(part(rows))].float()
        levels = sample_noise_levels(len(rows), rng, self.noise_level_mean)
        noise = torch.from_numpy(part(rng.standard_normal(shape, dtype=np.float32)))
        fresh, chain = None, chain_length(self.target)
        if chain:
            levels = np.ceil(levels * chain) / chain
            fresh = torch.from_numpy(part(rng.standard_normal(shape, dtype=np.float32)))
        t = torch.from_numpy(part(levels))
        target = diffusion.target(
            self.target, self.schedule, x0, noise, t, chain=chain, fresh=fresh
        )
        return {
            "x_t": diffusion.add_noise(self.schedule, x0, noise, t),
            "t": t.float(),
            **sample_cond(self.cache, rows, rng, self.config.text_tokens > 0),
            "target": target,
            "weight": torch.as_tensor(diffusion.loss_weight(self.target, self.schedule, t)).float(),
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the device."""
        error = squared_errors(self.network, batch, self.embedder, self.config.text_tokens)
        return {"loss": (batch["weight"] * error).mean(), "error": error.detach().mean()}
