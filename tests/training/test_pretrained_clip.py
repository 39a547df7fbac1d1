"""Training with a pretrained CLIP, frozen: tiny ones with random weights."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from tests.pretrained.pretrained_files import peer_model, write_hf
from tests.sample import pictures
from tests.training import tiny
from tests.training.test_distributed import write_pictures
from undiffuse import load
from undiffuse.cli.train import command as train_command
from undiffuse.errors import UserError
from undiffuse.pretrained.encoder import PretrainedClip
from undiffuse.runtime.weights import read_weights
from undiffuse.training import embedder, plan
from undiffuse.training.augment import to_float
from undiffuse.training.embedder import PretrainedEmbedder, find_clip_of

DIM = 24


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "tiny-clip"
    write_hf(folder, peer_model({}, {}, DIM))
    (folder / "notes.bin").write_bytes(b"not a file of the CLIP")
    return folder


@pytest.fixture(scope="module", autouse=True)
def tiny_preset() -> Iterator[None]:
    codec = replace(tiny.CODEC, image_size=32, widths=(8, 16), channels=16)
    preset = plan.ModelPreset(0.0, tiny.CLIP, codec, replace(tiny.DENOISER, channels=16))
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(plan.PRESETS, "tiny", preset)
        yield
    torch.set_num_threads(threads)


def train(data: Path, out: Path, clip: Path, *options: str) -> Result:
    steps = [f"--steps={stage}=2" for stage in ("codec", "denoiser", "decoder")]
    fixed = ["--preset=tiny", "--batch=32", "--device=cpu", "--threads=1", *steps]
    command = [str(data), "-o", str(out), "--clip", str(clip), *fixed, *options]
    return CliRunner().invoke(train_command, command, catch_exceptions=False)


@pytest.mark.slow
def test_a_model_is_trained_with_it_and_draws_with_its_copy(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "shapes")
    result = train(tmp_path / "shapes", tmp_path / "model", clip, "--from-scratch")
    assert result.exit_code == 0, result.output
    meta = read_weights(tmp_path / "model" / "denoiser.safetensors", "denoiser").meta
    assert meta["config"]["embed"] == DIM
    assert meta["clip"] == PretrainedClip(clip).hash
    assert meta["clip_name"] == "tiny-clip"
    copied = {path.name for path in (tmp_path / "model" / "clip").iterdir()}
    assert "model.safetensors" in copied
    assert "notes.bin" not in copied
    model = load(tmp_path / "model", threads=1)
    assert model.clip.dim == DIM
    for options in ({}, {"negative": "a square"}, {"style": "shapes", "style_strength": 1.0}):
        drawn = model.generate("a red circle", n=2, steps=2, **options)
        assert drawn[0].pixels.shape == (32, 32, 3)
    assert model.generate("", steps=2)
    with pytest.raises(UserError, match=r"gradient=1: the CLIP of .* is a pretrained one"):
        model.generate("a red circle", steps=2, gradient=1.0)
    # Without the copy, drawing says which CLIP is missing, and takes it from elsewhere.
    shutil.rmtree(tmp_path / "model" / "clip")
    with pytest.raises(UserError, match=r"pretrained CLIP tiny-clip \([0-9a-f]{16}\).*--clip"):
        load(tmp_path / "model")
    again = load(tmp_path / "model", threads=1, clip=clip).generate("a red circle", n=2, steps=2)
    plain = model.generate("a red circle", n=2, steps=2)
    assert np.array_equal(again[1].pixels, plain[1].pixels)
    write_hf(tmp_path / "other", peer_model({}, {}, DIM, seed=1))
    with pytest.raises(UserError, match="was trained with clip"):
        load(tmp_path / "model", clip=tmp_path / "other")


def test_fine_tuning_with_another_clip_is_refused(clip: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes")
    for mode in ("--finetune", "--lora"):
        command = [str(tmp_path / "shapes"), "-o", str(tmp_path / "m"), "--clip", str(clip), mode]
        with pytest.raises(UserError, match="--clip needs --from-scratch"):
            CliRunner().invoke(train_command, command, catch_exceptions=False)
    with pytest.raises(UserError, match="there is no such folder"):
        train(tmp_path / "shapes", tmp_path / "m", tmp_path / "none", "--from-scratch")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no CLIP in it"):
        train(tmp_path / "shapes", tmp_path / "m", tmp_path / "empty", "--from-scratch")


def test_its_vectors_are_those_of_the_encoder(clip: Path) -> None:
    encoder, embed = PretrainedClip(clip), PretrainedEmbedder.load(clip)
    texts, seen = ["a red circle", "cat"], pictures().pictures[:3]
    assert np.allclose(embed(texts), encoder.encode_text(texts), atol=1e-6)
    assert np.allclose(embed.embed_pixels(to_float(seen)), encoder.encode_image(seen), atol=1e-6)
    alpha = np.concatenate([seen // 2, np.full_like(seen[:, :1], 255)], axis=1)
    opaque = embed.embed_pixels(to_float(alpha))
    assert np.allclose(opaque, encoder.encode_image(seen // 2), atol=1e-6)
    assert embed.dim == embedder.vector_size(clip) == DIM


def test_a_large_clip_is_not_copied(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder, "MAX_COPY", 1000)
    assert not embedder.copy_pretrained(clip, tmp_path)
    assert not any(tmp_path.iterdir())
    assert find_clip_of(tmp_path, clip) == clip
    monkeypatch.undo()
    assert embedder.copy_pretrained(clip, tmp_path)
    assert find_clip_of(tmp_path, clip) == tmp_path / "clip"
    assert PretrainedClip(tmp_path / "clip").hash == PretrainedClip(clip).hash
