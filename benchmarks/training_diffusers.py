"""diffusers' networks as peers of benchmarks/training.py.

Sizes: UNet2DModel as in the unconditional example; DiT-S (arXiv 2212.09748, table 1) for the two
transformers; UNet2DConditionModel in half of the example's widths, because it is trained for hours.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training_peers import EMBED_DIM, LEVELS, Pictures, count_parameters, steps
from training_worker import Job, System, count_flops, to_bytes

GUIDANCE, SAMPLING_STEPS = 4.5, 20  # of PixArt-alpha's pipeline
ENCODED = 64  # pictures to measure the autoencoder's speed on
LABELS = 1000


def average_of(model: nn.Module) -> Any:
    """diffusers' average with the settings of its unconditional example."""
    from diffusers.training_utils import EMAModel

    return EMAModel(
        model.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75
    )


Predict = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]  # model, x_t, levels, cond -> eps


def noise_predictor(
    job: Job, model: nn.Module, predict: Predict, optimizer: Any, shape: tuple[int, ...],
    batch: Callable[[], tuple[Tensor, Tensor]], notes: str = "", conditional: bool = False,
    cond_example: Tensor | None = None,
) -> System:  # fmt: skip
    """diffusers' examples: DDPMScheduler adds noise of random levels, the network predicts it.

    `batch`: x0 `(B, *shape)` and what it is conditioned on.
    """
    from diffusers import DDPMScheduler

    scheduler, average = DDPMScheduler(num_train_timesteps=LEVELS), average_of(model)
    two = torch.zeros(2, EMBED_DIM) if cond_example is None else cond_example
    example = torch.zeros(2, *shape), torch.zeros(2, dtype=torch.int64), two
    model.eval()
    flops = count_flops(lambda: predict(model, *example)) / 2  # group norm refuses one row of 1x1
    run: Any = torch.compile(model) if job.compiled else model

    def loss() -> Tensor:
        x0, cond = batch()
        noise, levels = torch.randn_like(x0), torch.randint(LEVELS, (len(x0),))
        x_t = scheduler.add_noise(x0, noise, levels)
        return F.mse_loss(predict(run, x_t, levels, cond).float(), noise)

    system = System(
        steps(job, model, optimizer, loss, lambda: average.step(model.parameters())),
        count_parameters(model), flops, notes=notes,
    )  # fmt: skip
    if conditional:
        system.draw = lambda cond: draw(model, average, predict, cond, shape)
    return system


@torch.no_grad()
def draw(
    model: nn.Module, average: Any, predict: Predict, cond: Tensor, shape: tuple[int, ...]
) -> np.ndarray:
    """DPM-Solver++ in 20 steps with classifier-free guidance and the averaged weights.

    Thresholding (arXiv 2205.11487) is what diffusers recommends for networks on pixels.
    """
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(num_train_timesteps=LEVELS, thresholding=True)
    scheduler.set_timesteps(SAMPLING_STEPS)
    average.store(model.parameters())
    average.copy_to(model.parameters())
    model.eval()
    x_t, both = torch.randn(len(cond), *shape), torch.cat([torch.zeros_like(cond), cond])
    for t in scheduler.timesteps:
        eps = predict(model, torch.cat([x_t, x_t]), t.expand(len(both)), both)
        without, with_ = eps.chunk(2)
        x_t = scheduler.step(without + GUIDANCE * (with_ - without), t, x_t).prev_sample
    average.restore(model.parameters())
    model.train()
    return to_bytes(x_t)


def unet2d(job: Job) -> System:
    """diffusers' unconditional example: UNet2DModel with its widths, AdamW with its settings."""
    from diffusers import UNet2DModel

    pictures = Pictures(job)
    model = UNet2DModel(
        sample_size=job.size, in_channels=3, out_channels=3, layers_per_block=2,
        block_out_channels=(32,) * 6 if job.tiny else (128, 128, 256, 256, 512, 512),
        down_block_types=("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
    )

    def batch() -> tuple[Tensor, Tensor]:
        which, x0 = pictures.draw()
        return x0, torch.zeros(len(which), 1)

    return noise_predictor(
        job, model, lambda net, x_t, t, cond: net(x_t, t).sample, optimizer,
        (3, job.size, job.size), batch,
    )  # fmt: skip


def transformer_size(job: Job) -> dict[str, Any]:
    """DiT-S, or a tiny one."""
    heads, layers = (2, 2) if job.tiny else (6, 12)
    return {"num_attention_heads": heads, "attention_head_dim": 64, "num_layers": layers}


def encode(job: Job, pictures: Pictures) -> tuple[Tensor, str]:
    """Latents of some pictures by an untrained autoencoder of Stable Diffusion's shape, and the
    speed of encoding. Its values don't matter for the speed of training, its shape does.
    """
    from diffusers import AutoencoderKL

    widths = (32, 32, 32, 32) if job.tiny else (128, 256, 512, 512)
    autoencoder = AutoencoderKL(
        block_out_channels=widths, layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ).eval()  # fmt: skip
    pixels = torch.from_numpy(pictures.images[pictures.rows[:ENCODED]]).float() / 127.5 - 1
    with torch.no_grad():
        autoencoder.encode(pixels[:4])
        start = time.perf_counter()
        latents = torch.cat([autoencoder.encode(x).latent_dist.mean for x in pixels.split(8)])
    speed = len(pixels) / (time.perf_counter() - start)
    return latents / latents.std(), f"encodes {speed:.1f} pictures/s, once per picture"


def dit(job: Job) -> System:
    """DiTTransformer2DModel on latents with labels: 4 channels, an eighth of the side, patches of
    2, AdamW at 1e-4 without decay (arXiv 2212.09748).
    """
    from diffusers import DiTTransformer2DModel

    pictures, side = Pictures(job), job.size // 8
    latents, notes = encode(job, pictures)
    model = DiTTransformer2DModel(
        **transformer_size(job), in_channels=4, out_channels=4, sample_size=side, patch_size=2,
        num_embeds_ada_norm=LABELS,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)

    def batch() -> tuple[Tensor, Tensor]:
        which = torch.from_numpy(pictures.draw()[0])
        return latents[which % len(latents)], which % LABELS

    return noise_predictor(
        job, model, lambda net, x_t, t, labels: net(x_t, t, labels).sample, optimizer,
        (4, side, side), batch, notes, cond_example=torch.zeros(2, dtype=torch.int64),
    )  # fmt: skip


def unit_rms(cond: Tensor) -> Tensor:
    """`(B, 512)` of unit length -> one token of unit RMS, `(B, 1, 512)`."""
    return cond[:, None] * math.sqrt(cond.shape[1])


def conditional(job: Job, model: nn.Module, predict: Predict) -> System:
    """A network on pixels with CLIP vectors; diffusers' text-to-image example without its LDM."""
    pictures = Pictures(job)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-2)

    def batch() -> tuple[Tensor, Tensor]:
        which, x0 = pictures.draw()
        return x0, pictures.cond(which)

    shape = (3, job.size, job.size)
    return noise_predictor(job, model, predict, optimizer, shape, batch, conditional=True)


def pixart(job: Job) -> System:
    """PixArtTransformer2DModel on pixels in patches of 8; the CLIP vector is its one text token.

    On pixels, because no trained autoencoder is at hand and an untrained one can't draw.
    """
    from diffusers import PixArtTransformer2DModel

    size = transformer_size(job)
    model = PixArtTransformer2DModel(
        **size, in_channels=3, out_channels=3, sample_size=job.size, patch_size=8,
        cross_attention_dim=size["num_attention_heads"] * size["attention_head_dim"],
        caption_channels=EMBED_DIM, use_additional_conditions=False,
    )  # fmt: skip
    return conditional(
        job, model, lambda net, x_t, t, cond: net(x_t, unit_rms(cond), timestep=t).sample
    )


def unet_cond(job: Job) -> System:
    """UNet2DConditionModel on pixels; it attends to the CLIP vector below full resolution."""
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=job.size, in_channels=3, out_channels=3, layers_per_block=2,
        block_out_channels=(32, 32, 32) if job.tiny else (64, 128, 256),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=EMBED_DIM,
    )  # fmt: skip
    return conditional(job, model, lambda net, x_t, t, cond: net(x_t, t, unit_rms(cond)).sample)


SYSTEMS = {"unet2d": unet2d, "dit": dit, "pixart": pixart, "unet-cond": unet_cond}
