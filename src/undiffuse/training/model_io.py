"""Weight files in torch: load modules from them, and export the averaged weights of a run."""

import copy
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import (
    ClipConfig,
    CodecConfig,
    DenoiserConfig,
    from_dict,
    to_dict,
    with_large_decoder,
)
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.networks.codec import Codec
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.networks.lora import merge_lora
from undiffuse.runtime.session import FAST, weight_file
from undiffuse.runtime.weights import Weights, read_weights, write_weights
from undiffuse.training.devices import CPU
from undiffuse.training.distributed import is_main
from undiffuse.training.loop import Run
from undiffuse.training.sharding import whole
from undiffuse.training.text_distillation import DISTILLATION

# Kind of weight file -> (module class, configuration class).
MODEL_CLASSES: dict[str, tuple[Any, Any]] = {
    "clip": (Clip, ClipConfig),
    "codec": (Codec, CodecConfig),
    "denoiser": (DenoiserNetwork, DenoiserConfig),
}
SHORT_EMA, LONG_EMA = 0.05, 0.10  # relative lengths, see training.ema


def load_module(path: Path, kind: str, device: torch.device = CPU) -> tuple[Any, Weights]:
    """The torch module of a weight file, frozen, in float32 and eval mode, and the file's content.

    Raises UserError when the file's tensors do not match its configuration.
    """
    weights = read_weights(path, kind)
    module_class, config_class = MODEL_CLASSES[kind]
    model: nn.Module = module_class(from_dict(config_class, weights.meta["config"]))
    expected = {name: tuple(p.shape) for name, p in model.named_parameters()}
    found = {name: tensor.shape for name, tensor in weights.tensors.items()}
    if expected != found:
        name, shape = sorted(set(expected.items()) ^ set(found.items()))[0]
        raise UserError(f"{path} does not match its own configuration: {name} {shape}")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights.tensors[name]))
    return model.eval().requires_grad_(False).to(device), weights


def load_tokenizer(weights: Weights) -> Tokenizer:
    """The tokenizer in CLIP's weight file."""
    return Tokenizer.from_json(weights.meta["tokenizer"], weights.meta["config"]["context"])


def load_start_weights(
    path: Path, kind: str, model: nn.Module, hashes: dict[str, str] | None = None
) -> Weights:
    """Copy the weights of a file into `model`; returns the file's content.

    A denoiser may read tokens of the text that the file's does not; what it has for them begins
    with nothing. A CLIP may have more blocks, which begin as the identity.

    `hashes`: of the networks that the file's network must have been trained with, by kind. Raises
    UserError for another configuration or other hashes.
    """
    source, weights = load_module(path, kind)
    own = to_dict(model.config)  # JSON turns tuples into lists
    theirs = to_dict(source.config)
    if isinstance(model, Clip) and _is_deeper(own, theirs):
        model.skip_new_blocks(theirs["image_depth"], theirs["text_depth"])
    elif theirs not in (own, _without_tokens(own)):
        raise UserError(f"{path} has another configuration, {source.config}: use the same one")
    for name, expected in (hashes or {}).items():
        if weights.meta.get(name) != expected:
            raise UserError(f"{path} was trained with another {name}: give --{name} that file")
    with torch.no_grad():
        for name, parameter in source.named_parameters():
            model.get_parameter(name).copy_(parameter)
    return weights


def _is_deeper(own: dict[str, Any], theirs: dict[str, Any]) -> bool:
    depths = "image_depth", "text_depth"
    least = {name: min(own[name], theirs[name]) for name in depths}
    return own | least == theirs


def _without_tokens(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("text_")}


def load_start_decoder(path: Path, model: Codec) -> str:
    """Copy a codec's weights into `model` and freeze its encoder; returns the file's hash.

    A model of `with_large_decoder` takes the file's decoder as its small one; that stays frozen.
    UserError for a file with another configuration.
    """
    source, weights = load_module(path, "codec")
    if to_dict(with_large_decoder(source.config)) == to_dict(model.config):
        model.encoder.load_state_dict(source.encoder.state_dict())
        model.decoder.small.load_state_dict(source.decoder.state_dict())
    else:
        load_start_weights(path, "codec", model)
    if model.config.input_channels:
        model.decoder.small.requires_grad_(False)
    model.encoder.requires_grad_(False)
    return weights.hash


def ema_model(run: Run, length: float = SHORT_EMA) -> Any:
    """A copy of the run's model with the weight average of a relative length, in eval mode."""
    model = copy.deepcopy(run.model if run.template is None else run.template)
    average = run.ema.averages[run.ema.lengths.index(length)]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(whole(average[name]))
    return merge_lora(model).eval()


def export_weights(run: Run, kind: str, length: float = SHORT_EMA, **meta: Any) -> str:
    """Write the averaged weights to KIND.safetensors in the run's folder; returns the hash.

    `meta` is added to the file's metadata. Every process calls this, and the main one writes; the
    others return "".
    """
    model = ema_model(run, length)
    tensors = {
        name: parameter.detach().float().cpu().numpy()
        for name, parameter in model.named_parameters()
        if not name.startswith(DISTILLATION)  # of the loss, not of CLIP
    }
    training = {"steps": run.step, "hours": run.seconds / 3600, "ema": length}
    meta = {"kind": kind, "config": to_dict(model.config), **meta, "training": training}
    if not is_main():
        return ""
    return write_weights(run.folder / f"{kind}.safetensors", tensors, meta)


def export_int8(folder: Path, out: Path, kinds: Collection[str] = ()) -> dict[str, int]:
    """Write the weight files of a model with int8 matrices to `out`; returns the bytes of each.

    kinds  the files to convert, of "clip", "codec", "denoiser" and `FAST`; others are copied.
           Empty: all.
    Denoisers name the hashes of the new CLIP and codec. UserError for a folder without weight
    files, and for a CLIP or codec that a denoiser was not trained with.
    """
    paths = {kind: weight_file(folder, kind) for kind in (*MODEL_CLASSES, FAST)}
    found = {kind: read_weights(path, kind.removesuffix("-fast"))
             for kind, path in paths.items() if path.exists()}  # fmt: skip
    if not found:
        raise UserError(f"{folder} has no weight file: give a folder with clip.safetensors")
    for kind in ("denoiser", FAST):
        _check_denoiser(found, kind, folder)
    renamed: dict[str, str] = {}  # kind -> the hash that denoisers name
    for kind, weights in found.items():
        meta = {name: value for name, value in weights.meta.items() if name != "format"}
        path, int8 = weight_file(out, kind), not kinds or kind in kinds
        if "denoiser" in kind:
            meta |= renamed
        elif not int8:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, paths[kind].read_bytes())
            continue
        write_weights(path, weights.tensors, meta, int8=int8)
        if kind in ("clip", "codec"):
            renamed[kind] = _named_hash(read_weights(path, kind), kind)
    return {kind: weight_file(out, kind).stat().st_size for kind in found}


def _check_denoiser(found: dict[str, Weights], denoiser: str, folder: Path) -> None:
    """UserError if a denoiser was trained with another CLIP or codec than those found."""
    for kind, weights in found.items() if denoiser in found else ():
        named = found[denoiser].meta.get(kind)
        if kind in ("clip", "codec") and named != _named_hash(weights, kind):
            raise UserError(f"the {denoiser} in {folder} was trained with {kind} {named}: "
                            "use the one it was trained with")  # fmt: skip


def _named_hash(weights: Weights, kind: str) -> str:
    return weights.encoder if kind == "codec" else weights.hash
