"""Tiny models with random weights, written as the files that ship are, with their graphs; and the
program, called as a person calls it.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from undiffuse.cli.main import main
from undiffuse.clip.tokenizer import END, END_OF_WORD, START, Tokenizer, bytes_to_unicode
from undiffuse.config import ClipConfig, CodecConfig, DenoiserConfig, to_dict
from undiffuse.runtime.weights import read_weights

CLIP = ClipConfig(
    image_width=32, image_depth=1, image_heads=2, vocabulary=1024, token_width=16,
    text_width=32, text_depth=1, text_heads=2, context=48,
)  # fmt: skip
CODEC = CodecConfig(widths=(8, 16, 16))
LATENT = DenoiserConfig(width=48, depth=2, heads=2)

# `pytest tests/cli/test_hostile.py --hypothesis-profile=hostile` makes 2,000 calls.
settings.register_profile("hostile", max_examples=2000, phases=[Phase.generate])

# Threads that wait for each other sleep soon: other processes on the machine may need the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

Run = Callable[..., tuple[int, list[str], str]]


def byte_tokenizer(context: int = CLIP.context) -> Tokenizer:
    """A token for each byte: long texts are soon too long."""
    letters = list(bytes_to_unicode().values())
    tokens = [START, END, *letters, *(letter + END_OF_WORD for letter in letters)]
    return Tokenizer({token: number for number, token in enumerate(tokens)}, [], context)


def write_part(folder: Path, kind: str, config: Any, seed: int = 0, **meta: Any) -> str:
    """KIND.safetensors with random weights; returns its hash."""
    torch = pytest.importorskip("torch")
    from undiffuse.runtime.weights import write_weights
    from undiffuse.training.model_io import MODEL_CLASSES

    tensors = {}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in MODEL_CLASSES[kind][0](config).named_parameters():
            if not parameter.any():  # layers that begin at zero would hide what is behind them
                parameter.normal_(std=0.05)
            tensors[name] = parameter.numpy()
    meta = {"kind": kind, "config": to_dict(config), **meta}
    if kind == "clip":
        meta["tokenizer"] = byte_tokenizer(config.context).to_json()
    return write_weights(folder / f"{kind}.safetensors", tensors, meta)


def write_model(folder: Path, denoiser: DenoiserConfig, **meta: Any) -> Path:
    """A whole model; `meta` is for the denoiser's file."""
    from undiffuse.training.onnx_export import export_onnx

    hashes = {"clip": write_part(folder, "clip", CLIP)}
    write_part(folder, "codec", CODEC)
    hashes["codec"] = read_weights(folder / "codec.safetensors", "codec").encoder
    write_part(folder, "denoiser", denoiser, **{**hashes, **meta})
    export_onnx(folder, folder)
    return folder


def write_variant(folder: Path, model: Path, denoiser: DenoiserConfig, **meta: Any) -> Path:
    """A copy of a whole model with another denoiser."""
    from undiffuse.runtime.session import graph_file
    from undiffuse.training.onnx_export import build_graph

    shutil.copytree(model, folder)
    hashes = {"clip": read_weights(folder / "clip.safetensors", "clip").hash}
    hashes["codec"] = read_weights(folder / "codec.safetensors", "codec").encoder
    write_part(folder, "denoiser", denoiser, **{**hashes, **meta})
    graph = build_graph("denoiser", denoiser).SerializeToString()
    graph_file(folder, "denoiser").write_bytes(graph)
    return folder


def write_fast(folder: Path, model: Path, **meta: Any) -> Path:
    """A copy of a whole model that has a fast denoiser too, of three steps."""
    from undiffuse.runtime.session import FAST, weight_file

    shutil.copytree(model, folder)
    full = weight_file(folder, "denoiser")
    known, kept = read_weights(full, "denoiser").meta, full.read_bytes()
    named = {"clip": known["clip"], "codec": known["codec"], "few_steps": 3}
    write_part(folder, "denoiser", LATENT, seed=7, **named | meta)
    full.replace(weight_file(folder, FAST))
    full.write_bytes(kept)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model. Not to be changed: copy it to break it."""
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    return write_model(tmp_path_factory.mktemp("model"), LATENT)


@pytest.fixture
def run(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Call the program in an empty folder: exit status, lines of stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, model: Path | None = model_folder) -> tuple[int, list[str], str]:
        given = () if model is None else ("--model", str(model))
        words = (*given, *arguments) if "--" in arguments else (*arguments, *given)
        monkeypatch.setattr(sys, "argv", ["undiffuse", *words])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out.splitlines(), err

    return call
