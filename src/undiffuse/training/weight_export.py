"""From a run's averages to the weight files that ship, and looks at a run on its way."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import ClipConfig, to_dict
from undiffuse.data.captions import caption
from undiffuse.data.picture_set import PictureSet
from undiffuse.runtime.weights import write_weights
from undiffuse.training.augment import to_float
from undiffuse.training.bpe import learn
from undiffuse.training.clip import WordTable
from undiffuse.training.loop import Run


def averaged(run: Run, length: float) -> nn.Module:
    """A copy of the run's model with the weights averaged over a relative length."""
    import copy

    model = copy.deepcopy(run.model)
    average = run.ema.averages[run.ema.lengths.index(length)]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(average[name])
    return model.eval()


def arrays(model: nn.Module) -> dict[str, np.ndarray]:
    """Parameters by name, as NumPy arrays."""
    return {name: p.detach().float().numpy() for name, p in model.named_parameters()}


def clip_tokenizer(
    folder: Path,
    pictures: PictureSet,
    rows: np.ndarray,
    table: WordTable | None,
    config: ClipConfig,
) -> Tokenizer:
    """The run's tokenizer: read from its folder, or learned from captions and common words."""
    path = folder / "tokenizer.json"
    if path.exists():
        return Tokenizer.from_json(path.read_text(), config.context)
    rng = np.random.Generator(np.random.Philox(key=[0, 0]))
    texts = [caption(pictures.records[row], rng).text for row in rows for _ in range(3)]
    if table is not None:
        texts += table.words * 2
    tokenizer = learn(texts, config.vocabulary, config.context)
    path.write_text(tokenizer.to_json())
    return tokenizer


def export_clip(run: Run, tokenizer: Tokenizer, path: Path, length: float = 0.05) -> str:
    """Write CLIP's weights with configuration and tokenizer; returns the hash."""
    model = averaged(run, length)
    assert isinstance(model, Clip)
    tensors = {k: v for k, v in arrays(model).items() if k != "log_word_scale"}
    meta: dict[str, Any] = {
        "kind": "clip",
        "config": to_dict(model.config),
        "tokenizer": tokenizer.to_json(),
        "training": {"steps": run.step, "hours": run.seconds / 3600, "ema": length},
    }
    return write_weights(path, tensors, meta)


@torch.no_grad()
def look_at_clip(run: Run, tokenizer: Tokenizer, pictures: PictureSet) -> str:
    """Names found from held-out pictures: how often among the first 1 and 5 of all names."""
    model = averaged(run, 0.05)
    assert isinstance(model, Clip)
    records = pictures.records
    plain = pictures.rows(
        lambda r: not (r["tone"] or r.get("composite") or r["group"] == "flags")
    )  # fmt: skip
    names = sorted({records[row]["name"] for row in plain})
    place = {name: i for i, name in enumerate(names)}
    shown = []
    for split in ("held-out cell", "held-out concept", "evaluation"):
        rows = [row for row in plain if records[row]["split"] == split]
        if not rows:
            continue
        tokens = tokenizer(names)
        text = model.encode_text(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.lengths))
        parts = [rows[start : start + 512] for start in range(0, len(rows), 512)]
        images = torch.cat([model.encode_image(to_float(pictures.pictures[p])) for p in parts])
        top = (images @ text.T).topk(min(5, len(names))).indices
        hits = top == torch.tensor([place[records[row]["name"]] for row in rows])[:, None]
        shown.append(f"{split} {hits[:, 0].float().mean():.3f}/{hits.any(1).float().mean():.3f}")
    return ", ".join(shown)


def export(run: Run, kind: str, path: Path, length: float, **more: Any) -> str:
    """Write a codec's or a denoiser's averaged weights; returns the hash."""
    model: Any = averaged(run, length)
    training = {"steps": run.step, "hours": run.seconds / 3600, "ema": length}
    meta = {"kind": kind, "config": to_dict(model.config), "training": training, **more}
    return write_weights(path, arrays(model), meta)


@torch.no_grad()
def look_at_codec(run: Run, pictures: PictureSet) -> str:
    """Signal to noise on pictures that are not trained on, clean and with noise on the latents."""
    if not pictures.records:
        return ""
    model: Any = averaged(run, 0.05)
    pixels = to_float(pictures.pictures)
    latents = model.encode(pixels)
    noise = torch.from_numpy(
        np.random.Generator(np.random.Philox(key=[0, 0])).standard_normal(latents.shape, "float32")
    )
    shown = []
    for level in (0.0, 0.1, 0.3):
        decoded = model.decode(latents + level * noise).clamp(-1, 1)
        error = (decoded - pixels).square().mean((1, 2, 3))
        shown.append(f"noise {level}: {(10 * torch.log10(4.0 / error)).mean():.2f} dB")
        pairs = torch.stack([pixels[:64], decoded[:64]], 1).flatten(0, 1)
        save_sheet(pairs, run.folder / f"held-out-{level}.png")
    return ", ".join(shown)


def save_sheet(pixels: torch.Tensor, path: Path, columns: int = 16) -> None:
    """A grid of pictures `(B, 3, H, W)` in [-1, 1], the last row filled up with white."""
    from PIL import Image

    white = pixels.new_ones(-len(pixels) % min(columns, len(pixels)), *pixels.shape[1:])
    pixels = torch.cat([pixels, white])
    shown = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    rows = [np.concatenate(list(shown[i : i + columns]), 1) for i in range(0, len(shown), columns)]
    Image.fromarray(np.concatenate(rows)).save(path)
