"""Validation during training: accuracy of CLIP, error of the codec, samples of the denoiser."""

from pathlib import Path

import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.split import unit_hash
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.png import encode_png
from undiffuse.training.augment import float_batches, to_clip_input, to_float
from undiffuse.training.latent_cache import FrozenModels, TextEmbedder
from undiffuse.training.loop import Run
from undiffuse.training.model_io import ema_model
from undiffuse.training.torch_denoiser import sample

SPLITS = ("held-out cell", "held-out concept", "evaluation", "validation")
NOISE_LEVELS = (0.0, 0.1, 0.3)  # added to the latents before decoding
SAMPLES, GUIDANCE = 192, 3.0


@torch.no_grad()
def validate_clip(run: Run, tokenizer: Tokenizer, pictures: PictureSet) -> str:
    """Accuracy of finding the name of a held-out picture among all names, per split."""
    model = ema_model(run)
    names = _plain_names(pictures)
    text = TextEmbedder(model, tokenizer)(names)
    lines = []
    for split in SPLITS:
        rows = [i for i, r in enumerate(pictures.records) if r["split"] == split and is_plain(r)]
        if rows:
            batches = float_batches(pictures.pictures[rows])
            vectors = torch.cat([model.encode_image(to_clip_input(p)) for p in batches])
            labels = [names.index(pictures.records[row]["name"]) for row in rows]
            lines.append(f"{split} {top_k_accuracy(vectors, text, labels)}")
    return ", ".join(lines)


@torch.no_grad()
def validate_codec(run: Run, pictures: PictureSet) -> str:
    """Peak signal-to-noise ratio of decoded pictures at three noise levels of the latents."""
    if not pictures.records:
        return ""
    model = ema_model(run)
    pixels = to_float(pictures.pictures)
    latents = model.encode(pixels)
    rng = Generator(Philox(key=[0, 0]))
    noise = torch.from_numpy(rng.standard_normal(latents.shape, "float32"))
    lines = []
    for level in NOISE_LEVELS:
        decoded = model.decode(latents + level * noise).clamp(-1, 1)
        error = (decoded - pixels).square().mean((1, 2, 3))
        lines.append(f"noise {level}: {(10 * torch.log10(4.0 / error)).mean():.2f} dB")
        pairs = torch.stack([pixels[:64], decoded[:64]], 1).flatten(0, 1)
        save_image_grid(pairs, run.folder / f"held-out-{level}.png")
    return ", ".join(lines)


@torch.inference_mode()
def validate_denoiser(
    run: Run, frozen: FrozenModels, judge: TextEmbedder | None, pictures: PictureSet,
    style: str = "twemoji",
) -> str:  # fmt: skip
    """Draw names with the averaged weights into an image grid; the judge's accuracy on them."""
    names = _plain_names(pictures)
    prompts = sorted(names, key=lambda name: unit_hash("look", name))[:SAMPLES]
    cond = frozen.embed_texts([f"{name} in {style} style" if style else name for name in prompts])
    pixels = frozen.codec.decode(sample(ema_model(run), cond, GUIDANCE))
    save_image_grid(pixels, run.folder / f"sheet-{run.step:06d}.png")
    if judge is None:
        return ""
    rounded = ((pixels.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1  # as in a saved file
    labels = [names.index(name) for name in prompts]
    accuracy = top_k_accuracy(
        judge.model.encode_image(to_clip_input(rounded)), judge(names), labels
    )
    return f"names {accuracy}"


def top_k_accuracy(images: Tensor, texts: Tensor, labels: list[int]) -> str:
    """Shares of `images` (B, D) whose text `labels[i]` of `texts` (N, D) is among the nearest."""
    nearest = (images @ texts.T).topk(min(5, len(texts))).indices
    hits = nearest == torch.tensor(labels)[:, None]
    return f"top-1 {hits[:, 0].float().mean():.3f} top-5 {hits.any(1).float().mean():.3f}"


def is_plain(record: dict) -> bool:
    """Whether the record's name alone describes the picture."""
    return not (record["tone"] or record.get("composite") or record["group"] == "flags")


def _plain_names(pictures: PictureSet) -> list[str]:
    return sorted({record["name"] for record in pictures.records if is_plain(record)})


def save_image_grid(pixels: Tensor, path: Path, columns: int = 16) -> None:
    """Write pictures `(B, 3, H, W)` in [-1, 1] as one image; the last row is filled with white."""
    columns = min(columns, len(pixels))
    white = pixels.new_ones(-len(pixels) % columns, *pixels.shape[1:])
    tiles = ((torch.cat([pixels, white]).clamp(-1, 1) + 1) * 127.5).round().byte()
    grid = tiles.unflatten(0, (-1, columns)).permute(0, 3, 1, 4, 2)  # (rows, H, columns, W, 3)
    write_atomic(path, encode_png(grid.flatten(2, 3).flatten(0, 1).numpy()))
