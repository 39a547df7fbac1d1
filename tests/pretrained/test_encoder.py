"""Pretrained CLIPs against transformers' own code, with random weights."""

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from torch.nn import functional as F  # noqa: E402

from tests.pretrained.pretrained_files import (  # noqa: E402
    peer_model,
    peer_tokenizer,
    write_hf,
    write_open_clip,
)
from undiffuse.pretrained.encoder import PretrainedClip  # noqa: E402

pytestmark = pytest.mark.slow

TEXTS = ["a red apple", "", "the cat's 12 hats ½ ²!!", "naïve café 日本 " * 9]
SHAPES: list[tuple[dict[str, Any], dict[str, Any], int]] = [
    ({}, {}, 24),
    ({"hidden_act": "gelu"}, {"hidden_act": "quick_gelu"}, 24),
    ({"eos_token_id": 2}, {"image_size": 30, "patch_size": 7}, 24),
    ({"hidden_size": 96, "num_attention_heads": 8, "num_hidden_layers": 3}, {}, 64),
    ({"layer_norm_eps": 1e-2, "max_position_embeddings": 77}, {"layer_norm_eps": 1e-3}, 24),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> PretrainedClip:
    folder = tmp_path_factory.mktemp("clip")
    write_hf(folder)
    return PretrainedClip(folder)


def assert_same(clip: PretrainedClip, model: Any) -> None:
    """The same weights as a model of transformers, and the same unit vectors."""
    wanted = model.state_dict()
    assert clip.network.state_dict().keys() == wanted.keys()
    for name, tensor in clip.network.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name
    side = clip.preprocess.side
    pixels = np.random.default_rng(0).normal(size=(3, 3, side, side)).astype(np.float32)
    length = model.config.text_config.max_position_embeddings
    inputs = peer_tokenizer()(
        TEXTS, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    with torch.inference_mode():
        image = model.get_image_features(pixel_values=torch.from_numpy(pixels)).pooler_output
        text = model.get_text_features(**inputs).pooler_output
    for found, features in ((clip.encode_image(pixels), image), (clip.encode_text(TEXTS), text)):
        np.testing.assert_allclose(found, F.normalize(features, dim=-1), atol=1e-4)


def test_vectors_equal_those_of_transformers(tmp_path: Path) -> None:
    for number, shape in enumerate(SHAPES):
        folder = tmp_path / str(number)
        model = write_hf(folder, peer_model(*shape))
        assert_same(PretrainedClip(folder), model)


def test_open_clips_layout_gives_the_same_network(tmp_path: Path) -> None:
    for act, custom in (("gelu", False), ("quick_gelu", True)):
        hf, other = tmp_path / act, tmp_path / f"open-{act}"
        other.mkdir()
        model = write_hf(hf, peer_model({"hidden_act": act}, {"hidden_act": act}))
        write_open_clip(other, hf, custom=custom, quick=act == "quick_gelu")
        assert_same(PretrainedClip(other), model)


def test_half_precision_weights_are_loaded_as_float32(tmp_path: Path) -> None:
    model = write_hf(tmp_path, peer_model({}, {}).half())
    assert_same(PretrainedClip(tmp_path), model.float())


def test_loading_and_encoding_never_use_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was opened")

    write_hf(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    PretrainedClip(tmp_path).encode_text(["a cat"])


def test_a_row_does_not_depend_on_its_batch(clip: PretrainedClip) -> None:
    texts = [f"{word} apple" * n for n, word in enumerate(["red", "a", "big", "the"] * 10)]
    pictures = np.random.default_rng(0).integers(0, 256, (40, 3, 20, 30), np.uint8)
    for encode, rows in ((clip.encode_text, texts), (clip.encode_image, pictures)):
        whole = encode(rows)
        alone = np.concatenate([encode(rows[row : row + 1]) for row in range(0, len(rows), 5)])
        np.testing.assert_allclose(alone, whole[::5], atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
        assert encode(rows[:0]).shape == (0, clip.dim)


def test_the_hash_covers_all_files(tmp_path: Path) -> None:
    write_hf(tmp_path)
    hashes = {PretrainedClip(tmp_path).hash, PretrainedClip(tmp_path).hash}
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text + "\n")
        hashes.add(PretrainedClip(tmp_path).hash)
    assert len(hashes) == 4


def test_files_and_bytes_give_the_same_vectors(clip: PretrainedClip, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    read = clip.read(tmp_path / "x.png")
    assert read.shape == (3, 32, 32)
    as_bytes = pixels.transpose(2, 0, 1)[None]
    assert np.array_equal(clip.encode_image(read[None]), clip.encode_image(as_bytes))
    for wrong in (np.zeros((1, 3, 9, 9), np.float32), np.zeros((3, 32, 32), np.uint8)):
        with pytest.raises(ValueError, match="pictures"):
            clip.encode_image(wrong)


def test_gradients_reach_every_weight(tmp_path: Path) -> None:
    write_hf(tmp_path)
    clip = PretrainedClip(tmp_path)
    ids = torch.from_numpy(clip.tokens(["a hat"]).ids)
    image = F.normalize(clip.image_features(torch.randn(1, 3, 32, 32)), dim=-1)
    text = F.normalize(clip.text_features(ids), dim=-1)
    (clip.network.logit_scale.exp() * image @ text.T).sum().backward()
    for name, parameter in clip.network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
