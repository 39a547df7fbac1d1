"""What the frozen networks say of every picture, computed once before the denoiser trains."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor, nn

from undiffuse import diffusion
from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import ClipConfig, CodecConfig, DenoiserConfig, from_dict, to_dict
from undiffuse.data.captions import caption
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError
from undiffuse.networks.codec import Codec
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.runtime.weights import Weights, read_weights
from undiffuse.training import checkpoint
from undiffuse.training.augment import moved, to_float
from undiffuse.training.denoiser import Cache, chain_of
from undiffuse.training.loop import Run
from undiffuse.training.weight_export import averaged, save_sheet

CAPTIONS, VARIANTS = 8, 4
STYLED_SHARE = 0.6  # of captions that name the family: a bare prompt is given one when drawing
MOVE = 0.3  # of CLIP's augmentation: enough against copying, too little to be seen
BATCH = 512
KINDS: dict[str, tuple[Any, Any]] = {
    "clip": (Clip, ClipConfig),
    "codec": (Codec, CodecConfig),
    "denoiser": (DenoiserNetwork, DenoiserConfig),
}


def load_module(path: Path, kind: str) -> tuple[Any, Weights]:
    """The torch module of a weight file, in float32, and the file's own record.

    Raises UserError when the file's tensors are not those of its configuration.
    """
    weights = read_weights(path, kind)
    module, config = KINDS[kind]
    model: nn.Module = module(from_dict(config, weights.meta["config"]))
    wanted = {name: tuple(p.shape) for name, p in model.named_parameters()}
    found = {name: tensor.shape for name, tensor in weights.tensors.items()}
    if wanted != found:
        odd = sorted(set(wanted.items()) ^ set(found.items()))[0]
        raise UserError(f"{path} does not fit its own configuration: {odd[0]} {odd[1]}")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights.tensors[name]))
    return model.eval().requires_grad_(False), weights


def begin(path: Path, kind: str, model: nn.Module, hashes: dict[str, str]) -> Weights:
    """Give `model` the weights of a file, and return what the file says of them.

    Raises UserError when the file's network is another, or was trained on others than `hashes`.
    """
    begun, weights = load_module(path, kind)
    if to_dict(begun.config) != to_dict(model.config):  # tuples come back as lists
        raise UserError(f"{path} holds another network, {begun.config}: choose its own settings")
    for name, wanted in hashes.items():
        if weights.meta.get(name) != wanted:
            raise UserError(f"{path} was trained on another {name}: give --{name} the one it had")
    with torch.no_grad():
        for name, parameter in begun.named_parameters():
            model.get_parameter(name).copy_(parameter)
    return weights


def begin_decoder(path: Path, model: Codec) -> str:
    """Give `model` the weights of a codec's file, its encoder frozen; returns the file's hash."""
    weights = begin(path, "codec", model, {})
    model.encoder.requires_grad_(False)
    return weights.hash


def kept(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What lies in a file, or else is made and put there: minutes of work, the same every time."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, make(), {})
    return checkpoint.load(path)[0]


@torch.inference_mode()
def latents(pictures: PictureSet, encode: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """x0 `(VARIANTS, N, C, S, S)` float16, each variant moved a little otherwise."""
    count = len(pictures.records)
    variants = []
    for variant in range(VARIANTS):
        rng = Generator(Philox(key=[variant, count]))
        parts = []
        for start in range(0, count, BATCH):
            pixels = to_float(pictures.pictures[start : start + BATCH])
            pixels = moved(pixels, rng, MOVE) if variant else pixels
            with torch.autocast("cpu", torch.bfloat16):  # half the time, and 0.3% of error
                said = encode(pixels.contiguous(memory_format=torch.channels_last))
            parts.append(said.half().contiguous())
        variants.append(torch.cat(parts))
    return {"x0": torch.stack(variants)}


@torch.inference_mode()
def vectors(pictures: PictureSet, clip: Clip, tokenizer: Tokenizer) -> dict[str, Tensor]:
    """CLIP's: captions `(N, CAPTIONS, 512)` and the pictures' own `(N, 512)`, float16."""
    count = len(pictures.records)
    captions = []
    for which in range(CAPTIONS):
        rng = Generator(Philox(key=[1000 + which, count]))
        texts = [caption(record, rng, STYLED_SHARE).text for record in pictures.records]
        captions.append(_embed(clip, tokenizer, texts))
    own = [
        clip.encode_image(to_float(pictures.pictures[start : start + BATCH])).half()
        for start in range(0, count, BATCH)
    ]
    return {"captions": torch.stack(captions, 1), "pictures": torch.cat(own)}


def _embed(clip: Clip, tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """Vectors of many texts, like lengths together so that little is padded: `(N, 512)` float16."""
    tokens = tokenizer(texts)
    order = np.argsort(tokens.lengths, kind="stable")
    out = torch.empty(len(texts), 512, dtype=torch.float16)
    for start in range(0, len(texts), BATCH):
        rows = order[start : start + BATCH]
        longest = int(tokens.lengths[rows].max())
        ids = torch.from_numpy(tokens.ids[rows, :longest])
        out[torch.from_numpy(rows)] = clip.encode_text(
            ids, torch.from_numpy(tokens.lengths[rows])
        ).half()
    return out


@dataclass(frozen=True)
class Frozen:
    """The networks that a denoiser is trained against, and the judge that looks at its pictures."""

    clip: Clip
    tokenizer: Tokenizer
    codec: Codec
    judge: Clip | None
    judge_tokenizer: Tokenizer | None
    hashes: dict[str, str]

    @classmethod
    def load(cls, clip: Path, codec: Path, judge: Path | None) -> "Frozen":
        """From weight files. Raises UserError when one is not what it should be."""
        model, weights = load_module(clip, "clip")
        decoder, codec_weights = load_module(codec, "codec")
        hashes = {"clip": weights.hash, "codec": codec_weights.encoder}
        other = other_tokenizer = None
        if judge is not None:
            other, judge_weights = load_module(judge, "clip")
            other_tokenizer = _tokenizer(judge_weights)
        return cls(model, _tokenizer(weights), decoder, other, other_tokenizer, hashes)

    def cache(self, pictures: PictureSet, folder: Path, say: Callable[[str], None]) -> Cache:
        """What the networks say of every picture, kept in `folder` by their and the data's hashes.

        Raises UserError for a file there that is broken.
        """
        say(f"encoding {len(pictures.records)} pictures {VARIANTS} times, {CAPTIONS} captions each")
        clip, data = self.hashes["clip"], pictures.digest[:16]
        said = kept(
            folder / f"vectors-{clip}-{data}.safetensors",
            lambda: vectors(pictures, self.clip, self.tokenizer),
        )
        path = folder / f"latents-{self.hashes['codec']}-{data}.safetensors"
        return Cache(**kept(path, lambda: latents(pictures, self.codec.encode)), **said)

    def embed(self, texts: list[str]) -> Tensor:
        """CLIP's vectors `(N, 512)` of texts."""
        return _embed(self.clip, self.tokenizer, texts).float()

    @torch.inference_mode()
    def look(self, run: Run, pictures: PictureSet, count: int = 192, guidance: float = 3.0) -> str:
        """Draw names with the averaged weights into a sheet; how many the judge finds again."""
        model: Any = averaged(run, 0.05)
        plain = {r["name"] for r in pictures.records if not r.get("composite") and not r["tone"]
                 and r["group"] != "flags"}  # fmt: skip
        names = sorted(plain)
        asked = sorted(names, key=lambda name: unit_hash("look", name))[:count]
        cond = self.embed([f"{name} in twemoji style" for name in asked])
        x0 = draw(model, cond, guidance)
        pixels = self.codec.decode(x0)
        save_sheet(pixels, run.folder / f"sheet-{run.step:06d}.png")
        if self.judge is None or self.judge_tokenizer is None:
            return ""
        text = _embed(self.judge, self.judge_tokenizer, names).float()
        # Bytes, as a file would hold them: the judge sees what a person sees.
        seen = ((pixels.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
        top = (self.judge.encode_image(seen) @ text.T).topk(min(5, len(names))).indices
        hits = top == torch.tensor([names.index(name) for name in asked])[:, None]
        return f"names {hits[:, 0].float().mean():.3f}/{hits.any(1).float().mean():.3f}"


def draw(
    model: DenoiserNetwork,
    cond: Tensor,
    guidance: float,
    noise: Tensor | None = None,
    level: float = 1.0,
) -> Tensor:
    """What the network makes of pure noise in 20 steps, seed 0, a row for each of `cond`; or of
    other `noise`, in those of the steps that are left below `level`.
    """
    config = model.config
    chain = chain_of(config.target)
    schedule = diffusion.SCHEDULES[config.schedule]
    start = diffusion.EPS_START if config.target == "eps" else 1.0
    times = (
        diffusion.uniform_times(chain) if chain else diffusion.shifted_times(20, 1.5, start=start)
    )

    def network(x_t: Tensor, t: float, cond: Any) -> Tensor:
        result: Tensor = model(x_t, torch.full((len(x_t),), t), cond)
        return result.float()

    denoiser = diffusion.as_denoiser(config.target, schedule, network, chain=chain)
    sampler = diffusion.previous if chain else diffusion.dpmpp_2m
    shape = (config.channels, config.side, config.side)
    if noise is None:
        noise = torch.from_numpy(diffusion.batch_noise(0, range(len(cond)), 0, shape))
    else:
        times = (level, *(t for t in times if t < level))
    steps = sampler(
        diffusion.classifier_free_guidance(denoiser, guidance),
        noise,
        cond,
        schedule=schedule,
        times=times,
    )
    x_t: Tensor = list(steps)[-1].x_t
    return x_t


def _tokenizer(weights: Weights) -> Tokenizer:
    return Tokenizer.from_json(weights.meta["tokenizer"], weights.meta["config"]["context"])
