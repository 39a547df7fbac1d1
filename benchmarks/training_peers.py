"""The peers of benchmarks/training.py: the loop that all have, and denoising-diffusion-pytorch.

Each is trained as its own documentation shows: optimizer, learning rate, clipping and average are
those of its example. What differs: pictures come from memory and not from files, are not flipped,
and all peers have the same batch.
"""

import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training_worker import Job, System, count_flops

UNCONDITIONAL_SHARE = 0.1  # of the conditions, for classifier-free guidance (arXiv 2207.12598)
EMBED_DIM, LEVELS = 512, 1000


class Pictures:
    """The training pictures, and the CLIP vectors of their captions if the job has a file."""

    def __init__(self, job: Job) -> None:
        folder = Path(job.pictures)
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.rows, self.batch = np.load(folder / "rows.npy"), job.batch
        self.rng = np.random.default_rng(0)
        self.captions = Tensor()
        if job.vectors:
            from safetensors.torch import load_file

            self.captions = load_file(job.vectors)["captions"]  # (N, K, 512), in the order of rows

    def draw(self) -> tuple[np.ndarray, Tensor]:
        """Positions among the rows, and pixels `(B, 3, S, S)` in [-1, 1]."""
        which = self.rng.integers(len(self.rows), size=self.batch)
        return which, torch.from_numpy(self.images[self.rows[which]]).float() / 127.5 - 1

    def cond(self, which: np.ndarray) -> Tensor:
        """A caption's vector of each picture, `(B, 512)`; `UNCONDITIONAL_SHARE` are zero."""
        if not len(self.captions):
            return torch.zeros(len(which), EMBED_DIM)
        choice = torch.from_numpy(self.rng.integers(self.captions.shape[1], size=len(which)))
        vectors = self.captions[torch.from_numpy(which), choice].float()
        dropped = torch.from_numpy(self.rng.random((len(which), 1)) < UNCONDITIONAL_SHARE)
        return vectors.masked_fill(dropped, 0.0)


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def steps(
    job: Job, model: nn.Module, optimizer: Any, loss: Callable[[], Tensor],
    after: Callable[[], None],
) -> Iterator[int]:  # fmt: skip
    """The examples' loop: loss, backward, gradients clipped to length 1, step, average."""
    model.train()
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=job.dtype == "bfloat16"):
            value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        after()
        yield job.batch


def stub_torchvision() -> None:
    """denoising-diffusion-pytorch imports two of torchvision's modules at its top. Its Trainer uses
    them to read and write picture files; its Unet and GaussianDiffusion don't.
    """
    package = ModuleType("torchvision")
    package.__spec__ = ModuleSpec("torchvision", None, is_package=True)
    for name in ("transforms", "utils"):
        module = ModuleType(f"torchvision.{name}")
        setattr(package, name, module)
        sys.modules[f"torchvision.{name}"] = module
    sys.modules["torchvision"] = package


def ddp(job: Job) -> System:
    """denoising-diffusion-pytorch: Unet and GaussianDiffusion, with the loop of its Trainer."""
    stub_torchvision()
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from ema_pytorch import EMA

    pictures = Pictures(job)
    model = Unet(dim=16 if job.tiny else 64, dim_mults=(1, 2, 4, 8), flash_attn=True)
    diffusion = GaussianDiffusion(model, image_size=job.size, timesteps=LEVELS)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=8e-5, betas=(0.9, 0.99))
    average = EMA(diffusion, beta=0.995, update_every=10)
    example = torch.zeros(1, 3, job.size, job.size), torch.zeros(1, dtype=torch.int64)
    flops = count_flops(lambda: model(*example))
    run: Any = torch.compile(diffusion) if job.compiled else diffusion

    def loss() -> Tensor:
        value: Tensor = run((pictures.draw()[1] + 1) / 2)  # it takes [0, 1]
        return value

    return System(
        steps(job, diffusion, optimizer, loss, average.update), count_parameters(model), flops
    )


SYSTEMS = {"ddp": ddp}
