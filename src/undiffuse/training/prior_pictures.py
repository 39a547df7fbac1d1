"""Pictures that the shipped model draws, which fine-tuning trains on beside a small data set.

On a few hundred pictures alone, the denoiser learns these by heart, and forgets what other words
look like. Its own earlier drawings, with their styles in the captions, keep that knowledge, and set
the new style apart (the prior preservation of DreamBooth, Ruiz et al. 2023, arXiv 2208.12242).
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from undiffuse.clip.lexicon import FILE, Lexicon
from undiffuse.config import STYLES
from undiffuse.data.captions import STYLE_TEMPLATES
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.split import TRAIN, unit_hash
from undiffuse.training.latent_cache import FrozenModels, cached
from undiffuse.training.model_io import load_module
from undiffuse.training.validation import draw_prompts

COUNT = 576  # drawings, in the shipped styles in turn
TIME_SHARE = 0.08  # of a time limit, for drawing them
BELOW = 1500  # pictures: a larger set is diverse enough
BATCH = 32


def with_prior(
    pictures: PictureSet, model: Path, frozen: FrozenModels, folder: Path,
    follow: Callable[[str, float], None], minutes: float | None,
) -> PictureSet:  # fmt: skip
    """The pictures, and behind them drawings of the names that the model in the folder `model`
    knows, if there are fewer than `BELOW` pictures. The drawings are kept in `folder`.

    `minutes`: the time limit of the whole run, in a share of which fewer may be drawn.
    """
    if len(pictures.records) >= BELOW or not (model / FILE).exists():
        return pictures
    known = sorted(Lexicon(model / FILE).names, key=lambda name: unit_hash("prior", name))
    texts = [(known[i % len(known)], STYLES[i % len(STYLES)]) for i in range(COUNT)]
    end = time.monotonic() + 60 * TIME_SHARE * minutes if minutes else math.inf
    drawn = cached(
        folder / f"prior-{frozen.hashes['codec']}.safetensors",
        lambda: {"pictures": _draw(texts, model, frozen, follow, end)},
    )["pictures"].numpy()
    texts = texts[: len(drawn)]
    records = [_record(name, style) for name, style in texts]
    keys = [f"prior {name} {style}" for name, style in texts]
    return PictureSet(
        np.concatenate([np.asarray(pictures.pictures), drawn]),
        [*pictures.records, *records], [*pictures.keys, *keys],
    )  # fmt: skip


def _draw(
    texts: list[tuple[str, str]], model: Path, frozen: FrozenModels,
    follow: Callable[[str, float], None], end: float,
) -> torch.Tensor:  # fmt: skip
    network, _ = load_module(model / "denoiser.safetensors", "denoiser", frozen.device)
    parts = []
    for start in range(0, len(texts), BATCH):
        follow("drawing what the shipped model knows", start / len(texts))
        prompts = [f"{name} in {style} style" for name, style in texts[start : start + BATCH]]
        pixels = draw_prompts(network, frozen, prompts, "").clamp(-1, 1)
        parts.append(((pixels + 1) * 127.5).round().to(torch.uint8).cpu())
        if time.monotonic() > end:
            break
    return torch.cat(parts)


def _record(name: str, style: str) -> dict:
    """A record whose captions always name the style: captions without one are of the new style."""
    captions = [template.format(name, style) for template in STYLE_TEMPLATES]
    empty = {"group": "", "subgroup": "", "tone": "", "colour": "", "keywords": []}
    return {
        **empty, "name": name, "captions": captions, "concept": name, "family": style, "key": name,
        "label": "", "split": TRAIN, "prior": True,
    }  # fmt: skip
