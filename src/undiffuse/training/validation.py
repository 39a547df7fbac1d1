"""Validation during training: accuracy of CLIP, error of the codec, samples of the denoiser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.random import Generator, Philox
from numpy.typing import NDArray
from torch import Tensor

from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.split import unit_hash
from undiffuse.diffusion import SCHEDULES, add_noise
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.augment import float_batches, to_float
from undiffuse.training.denoiser import chain_length
from undiffuse.training.embedder import Embedder, TextEmbedder
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.loop import Run
from undiffuse.training.model_io import ema_model
from undiffuse.training.text_distillation import TextBatches
from undiffuse.training.torch_denoiser import sample, torch_denoiser

SPLITS = ("held-out cell", "held-out concept", "evaluation", "validation")
NOISE_LEVELS = (0.0, 0.1, 0.3)  # added to the latents before decoding
SAMPLES, GUIDANCE = 192, 3.0  # SAMPLES: that the judge sees
SHEET = 8  # pictures of a sample sheet
ERROR_LEVELS, ERROR_PICTURES = (0.25, 0.5, 0.75), 64
Sheet = NDArray[np.uint8]


@dataclass(frozen=True)
class Validation:
    """Figures by name, and the sample sheet `(H, W, 3)` uint8 if the network gives pictures."""

    figures: dict[str, float] = field(default_factory=dict)
    sheet: Sheet | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:.3f}" for name, value in self.figures.items())


def validate_clip(
    run: Run, tokenizer: Tokenizer, pictures: PictureSet,
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> Validation:  # fmt: skip
    """`clip_accuracy` of the averaged weights, and `synonym_accuracy`."""
    embedder = TextEmbedder(ema_model(run), tokenizer)
    found = clip_accuracy(embedder, pictures)
    return Validation(found | synonym_accuracy(embedder, _plain_names(pictures), synonyms or {}))


def validate_text(
    run: Run, tokenizer: Tokenizer, pictures: PictureSet, synonyms: Mapping[str, Sequence[str]]
) -> Validation:
    """`synonym_accuracy` of the averaged weights."""
    embedder = TextEmbedder(ema_model(run), tokenizer)
    return Validation(synonym_accuracy(embedder, _plain_names(pictures), synonyms))


def unseen_synonyms(texts: TextBatches, pictures: PictureSet) -> dict[str, list[str]]:
    """Synonyms of names that are trained on neither as texts of the teachers nor in captions."""
    said = {text.lower() for r in pictures.records for text in (r["name"], *r["keywords"])}
    names = {record["name"] for record in pictures.records}
    known = {
        word: [name for name in right if name in names]
        for word, right in texts.dev_synonyms.items()
        if word.lower() not in said
    }
    return {word: right for word, right in known.items() if right}


def synonym_accuracy(
    embedder: Embedder, names: list[str], synonyms: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """How often one of the names that a synonym means is among the nearest 1 and 5 of all names."""
    right = {word: {*means} & {*names} for word, means in synonyms.items()}
    right = {word: means for word, means in right.items() if means}
    if not right:
        return {}
    near = (embedder(list(right)) @ embedder(names).T).topk(5, dim=1).indices.tolist()
    found = [
        [names[index] in means for index in indices]
        for indices, means in zip(near, right.values(), strict=True)
    ]
    return {f"synonyms top-{k}": float(np.mean([any(row[:k]) for row in found])) for k in (1, 5)}


@torch.no_grad()
def clip_accuracy(embedder: Embedder, pictures: PictureSet) -> dict[str, float]:
    """Accuracy of finding the name of a held-out picture among all names, per split."""
    names = _plain_names(pictures)
    text = embedder(names)
    index = {name: row for row, name in enumerate(names)}
    found: dict[str, float] = {}
    for split in SPLITS:
        rows = [i for i, r in enumerate(pictures.records) if r["split"] == split and is_plain(r)]
        if rows:
            batches = float_batches(pictures.pictures[rows], device=text.device)
            vectors = torch.cat([embedder.embed_pixels(batch) for batch in batches])
            labels = [index[pictures.records[row]["name"]] for row in rows]
            accuracy = top_k_accuracy(vectors, text, labels)
            found |= {f"{split} {name}": value for name, value in accuracy.items()}
    return found


@torch.no_grad()
def validate_codec(run: Run, pictures: PictureSet) -> Validation:
    """Peak signal-to-noise ratio of decoded pictures at three noise levels of the latents. The
    sheet has the first pictures, their reconstructions below.
    """
    model = ema_model(run)
    pixels = to_float(torch.from_numpy(np.array(pictures.pictures)).to(run.device))
    latents = model.encode(pixels)
    rng = Generator(Philox(key=[0, 0]))
    noise = torch.from_numpy(rng.standard_normal(latents.shape, "float32")).to(run.device)
    figures: dict[str, float] = {}
    decoded = pixels
    for level in reversed(NOISE_LEVELS):
        decoded = model.decode(latents + level * noise).clamp(-1, 1)
        error = (decoded - pixels).square().mean((1, 2, 3))
        figures[f"PSNR at noise {level}"] = float((10 * torch.log10(4.0 / error)).mean())
    shown = torch.cat([pixels[:SHEET], decoded[:SHEET]])
    return Validation(figures, image_grid(shown, min(SHEET, len(pixels))))


@torch.inference_mode()
def validate_denoiser(
    run: Run, frozen: FrozenModels, judge: TextEmbedder | None, pictures: PictureSet,
    style: str = "twemoji", prompts: Sequence[str] = (), held_out: PictureSet | None = None,
) -> Validation:  # fmt: skip
    """`validate_samples` of the averaged weights, and the error on `held_out` pictures."""
    model: DenoiserNetwork = ema_model(run)
    figures = denoising_error(model, frozen, held_out) if held_out and held_out.records else {}
    drawn = validate_samples(model, frozen, judge, pictures, style, prompts)
    return Validation(figures | drawn.figures, drawn.sheet)


@torch.inference_mode()
def validate_samples(
    network: DenoiserNetwork, frozen: FrozenModels, judge: TextEmbedder | None,
    pictures: PictureSet, style: str, prompts: Sequence[str] = (), few: int = 0,
) -> Validation:  # fmt: skip
    """Draw the prompts, by default names in `pictures`, as `draw_prompts` does, and state the
    judge's accuracy on names.
    """
    names = _plain_names(pictures)
    order = sorted(names, key=lambda name: unit_hash("look", name))
    figures: dict[str, float] = {}
    sheet = draw_prompts(network, frozen, list(prompts or order[:SHEET]), style, few)
    if judge is not None:
        pixels = draw_prompts(network, frozen, order[:SAMPLES], style, few)
        rounded = ((pixels.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1  # as in a saved file
        labels = [names.index(name) for name in order[:SAMPLES]]
        accuracy = top_k_accuracy(judge.embed_pixels(rounded), judge(names), labels)
        figures = {f"names {name}": value for name, value in accuracy.items()}
    return Validation(figures, image_grid(sheet, SHEET))


@torch.inference_mode()
def draw_prompts(
    network: DenoiserNetwork, frozen: FrozenModels, prompts: list[str], style: str,
    few: int = 0,
) -> Tensor:  # fmt: skip
    """Pictures `(B, C, H, W)` of prompts in a style; picture i has the noise of seed 0, index i.

    `few`: the steps of a network that was distilled, with its guidance, for so many; 0 for others.
    """
    texts = [f"{prompt} in {style} style" if style else prompt for prompt in prompts]
    cond = frozen.embed_texts.cond(texts, network.config.text_tokens)
    pixels: Tensor = frozen.codec.decode(sample(network, cond, 1.0 if few else GUIDANCE, few=few))
    return pixels


@torch.inference_mode()
def denoising_error(
    network: DenoiserNetwork, frozen: FrozenModels, pictures: PictureSet
) -> dict[str, float]:
    """Mean squared error of the predicted x0 of held-out pictures, with their captions, at three
    noise levels; the noise is fixed.
    """
    records = pictures.records[:ERROR_PICTURES]
    pixels = torch.from_numpy(np.array(pictures.pictures[:ERROR_PICTURES])).to(frozen.device)
    x0 = frozen.codec.encode(to_float(pixels))
    names = [record["name"] for record in records]
    cond = frozen.embed_texts.cond(names, network.config.text_tokens)
    rng = Generator(Philox(key=[0, 1]))
    noise = torch.from_numpy(rng.standard_normal(tuple(x0.shape), "float32")).to(frozen.device)
    config = network.config
    denoiser = torch_denoiser(network, chain_length(config.target))
    schedule = SCHEDULES[config.schedule]
    errors = [
        (denoiser(add_noise(schedule, x0, noise, t), t, cond) - x0).square().mean()
        for t in ERROR_LEVELS
    ]
    return {"held-out error": float(torch.stack(errors).mean())}


def choose_prompts(pictures: PictureSet, count: int = SHEET) -> list[str]:
    """Up to `count` names to draw during training: of held-out pictures, filled up with others.

    The choice depends on the names alone.
    """
    plain = [record for record in pictures.records if is_plain(record)]
    held = {record["name"] for record in plain if record["split"] != "train"}
    others = {record["name"] for record in plain} - held
    chosen = [
        name
        for group in (held, others)
        for name in sorted(group, key=lambda n: unit_hash("look", n))
    ]
    return chosen[:count]


def top_k_accuracy(images: Tensor, texts: Tensor, labels: list[int]) -> dict[str, float]:
    """Shares of `images` (B, D) whose text `labels[i]` of `texts` (N, D) is among the nearest."""
    nearest = (images @ texts.T).topk(min(5, len(texts))).indices
    hits = nearest == torch.tensor(labels, device=nearest.device)[:, None]
    return {
        "top-1": float(hits[:, 0].float().mean()),
        "top-5": float(hits.any(1).float().mean()),
    }


def is_plain(record: dict) -> bool:
    """Whether the record's name alone describes the picture."""
    return not (record["tone"] or record.get("composite") or record["group"] == "flags")


def _plain_names(pictures: PictureSet) -> list[str]:
    return sorted({record["name"] for record in pictures.records if is_plain(record)})


def to_rgb(pixels: Tensor) -> Tensor:
    """Pictures `(B, C, H, W)` in [-1, 1], RGB or premultiplied RGBA, as RGB bytes on white."""
    bounded = (pixels.clamp(-1, 1) + 1) / 2
    rgb = bounded if pixels.shape[1] == 3 else bounded[:, :3] + 1 - bounded[:, 3:]
    return (rgb.clamp(0, 1) * 255).round().byte().cpu()


def image_grid(pixels: Tensor, columns: int) -> Sheet:
    """Pictures `(B, C, H, W)` in [-1, 1] in rows; the last row is filled with white."""
    columns = min(columns, len(pixels))
    tiles = to_rgb(pixels)
    white = tiles.new_full((-len(tiles) % columns, *tiles.shape[1:]), 255)
    grid = torch.cat([tiles, white]).unflatten(0, (-1, columns)).permute(0, 3, 1, 4, 2)
    return grid.flatten(2, 3).flatten(0, 1).numpy()  # (rows * H, columns * W, 3)
