"""Training runs of seconds on the emoji in this repository.

As a program, `python -m tests.training.tiny KIND FOLDER STEPS` trains and saves after each step.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.sample import pictures, tokenizer
from undiffuse.clip.model import Clip
from undiffuse.config import ClipConfig, CodecConfig, DenoiserConfig, to_dict
from undiffuse.data.teacher_table import TeacherTable, write_table
from undiffuse.networks.codec import Codec
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training import precision
from undiffuse.training.clip import ClipRecipe
from undiffuse.training.codec import CodecRecipe
from undiffuse.training.denoiser import DenoiserRecipe
from undiffuse.training.distributed import count, wrap
from undiffuse.training.latent_cache import LatentCache
from undiffuse.training.loop import Run, train
from undiffuse.training.text_distillation import TextBatches

CLIP = ClipConfig(
    image_width=32, image_depth=1, image_heads=2, vocabulary=900, token_width=16,
    text_width=32, text_depth=2, text_heads=2, context=16,
)  # fmt: skip
CODEC = CodecConfig(channels=8, widths=(8, 8, 16))
DENOISER = DenoiserConfig(channels=8, width=32, depth=2, heads=2)
KINDS = ("clip", "codec", "denoiser")
STEPS = 6


def words() -> TeacherTable:
    """Four words, each near to two names, and a German one."""
    names = ["red apple", "green apple", "cat", "man"]
    vectors = torch.eye(5, 384)[:4]
    near = torch.nn.functional.normalize(vectors + vectors.roll(1, 0), dim=-1)
    texts = [*names, "fruit", "tabby", "guy", "pear", "Katze"]
    kinds = ["name"] * 4 + ["word"] * 4 + ["translation"]
    found = torch.cat([vectors, near, vectors[2:3]]).half().numpy()
    pairs = np.array([-1] * 8 + [2], np.int32)
    return TeacherTable(texts, found, kinds, ["en"] * 8 + ["de"], pairs, {"tabby": [2]})


def write_words(path: Path) -> None:
    """The file of `undiffuse data words` with the texts of `words`."""
    write_table(path, words())


def cache(side: int = 4, channels: int = 8) -> LatentCache:
    """Random latents and vectors."""
    count = len(pictures().records)
    draw = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(count, 3, 512, generator=draw), dim=-1)
    x0 = torch.randn(2, count, channels, side, side, generator=draw)
    return LatentCache(vectors[:, :2].half(), vectors[:, 2].half(), x0=x0.half())


def make(kind: str, folder: Path, steps: int = STEPS, batch: int = 32, **changed: Any) -> Run:
    """A new run. `changed`: fields of its configuration."""
    config: Any = {"clip": CLIP, "codec": CODEC, "denoiser": DENOISER}[kind]
    config = type(config)(**{**vars(config), **changed})
    torch.manual_seed(config.seed)
    more: dict[str, Any] = {}
    if kind == "clip":
        model: Any = Clip(config)
        texts = TextBatches(words())
        recipe: Any = ClipRecipe(model, tokenizer(), pictures(), texts, batch, compiled=False)
    elif kind == "codec":
        model = Codec(config)
        recipe = CodecRecipe(model, pictures(), batch, compiled=False)
    else:
        model = DenoiserNetwork(config)
        latents = cache(config.side, config.channels)
        recipe = DenoiserRecipe(model, pictures(), latents, batch, compiled=False)
    if count() > 1:
        losses, template = wrap(model, recipe.losses)
        more |= {"sample": recipe.sample, "template": template}
    return Run(
        folder, model, (lambda step, batch: losses(batch)) if count() > 1 else recipe.loss, steps,
        batch, config.seed, to_dict(config), save_minutes=math.inf, warmup=3,
        data_digest=pictures().digest, **more,
    )  # fmt: skip


def state(run: Run) -> dict[str, np.ndarray]:
    """All state of a run: weights, averages, optimizer state, extra tensors."""
    from undiffuse.training.checkpoint import flatten_optimizers

    tensors = {f"model.{name}": p.detach() for name, p in run.model.named_parameters()}
    tensors |= run.ema.tensors() | flatten_optimizers(run.optimizers) | run.extra_tensors()
    return {name: tensor.clone().numpy() for name, tensor in tensors.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    run = make(sys.argv[1], Path(sys.argv[2]), steps=int(sys.argv[3]))
    run.resume()
    for record in train(run):
        run.save()
        print(record.step, flush=True)


@contextmanager
def in_float32() -> Iterator[None]:
    """Whatever the processor has: bfloat16 rounds each part of a batch in its own way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
        precision.choose_dtype.cache_clear()
        yield
    precision.choose_dtype.cache_clear()
