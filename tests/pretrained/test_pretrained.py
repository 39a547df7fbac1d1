"""Pretrained CLIPs against transformers' own, with random weights: no network is needed."""

import shutil
from collections.abc import Iterator
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
    vocabulary,
    write_hf,
    write_open_clip,
)
from undiffuse.clip.tokenizer import END  # noqa: E402
from undiffuse.pretrained.encoder import PretrainedClip  # noqa: E402
from undiffuse.pretrained.network import load  # noqa: E402

TEXTS = ["a red apple", "", "the cat's 12 hats ½ ²!!", "naïve café 日本 " * 9]
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "usual": ({}, {}, 24),
    "gelu": ({"hidden_act": "gelu"}, {"hidden_act": "gelu"}, 24),
    "one of each": ({"hidden_act": "gelu"}, {"hidden_act": "quick_gelu"}, 24),
    "old end": ({"eos_token_id": 2}, {}, 24),
    "small patches": ({}, {"patch_size": 4}, 8),
    "patches that leave a rest": ({}, {"image_size": 30, "patch_size": 7}, 24),
    "one head, one layer": (
        {"num_attention_heads": 1, "num_hidden_layers": 1},
        {"num_attention_heads": 1, "num_hidden_layers": 1},
        40,
    ),
    "deep": ({"num_hidden_layers": 5}, {"num_hidden_layers": 7}, 24),
    "wide text": ({"hidden_size": 96, "num_attention_heads": 8}, {}, 64),
    "long text": ({"max_position_embeddings": 77}, {}, 24),
    "another epsilon": ({"layer_norm_eps": 1e-2}, {"layer_norm_eps": 1e-3}, 24),
}


def peer_features(model: Any, pixels: np.ndarray, texts: list[str]) -> tuple[Any, Any]:
    length = model.config.text_config.max_position_embeddings
    given = peer_tokenizer()(
        texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    with torch.inference_mode():
        image = model.get_image_features(pixel_values=torch.from_numpy(pixels)).pooler_output
        return image, model.get_text_features(**given).pooler_output


def compare(model: Any, clip: PretrainedClip, texts: list[str] = TEXTS) -> float:
    """The largest difference of any feature, of its unit vectors too."""
    side = clip.config.side
    pixels = np.random.default_rng(0).normal(size=(3, 3, side, side)).astype(np.float32)
    ids = torch.from_numpy(clip.tokens(texts).ids)
    with torch.inference_mode():
        found = clip.network.encode_image(torch.from_numpy(pixels)), clip.network.encode_text(ids)
    wanted = peer_features(model, pixels, texts)
    found += (
        torch.from_numpy(clip.encode_image(pixels)),
        torch.from_numpy(clip.encode_text(texts)),
    )
    wanted += tuple(F.normalize(one, dim=-1) for one in wanted)
    return max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_features_as_transformers(shape: str, tmp_path: Path) -> None:
    model = write_hf(tmp_path, peer_model(*SHAPES[shape]))
    assert compare(model, PretrainedClip(tmp_path)) < 1e-4


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize("act", ["gelu", "quick_gelu"])
def test_open_clips_layout(custom: bool, act: str, tmp_path: Path) -> None:
    hf, other = tmp_path / "hf", tmp_path / "open"
    other.mkdir()
    model = write_hf(hf, peer_model({"hidden_act": act}, {"hidden_act": act}))
    write_open_clip(other, hf, custom=custom, quick=act == "quick_gelu")
    assert compare(model, PretrainedClip(other)) < 1e-4


def test_the_test_can_tell(tmp_path: Path) -> None:
    """Another activation is seen in the features, and any weight that is a little off."""
    write_hf(tmp_path)
    clip = PretrainedClip(tmp_path)
    assert compare(peer_model({"hidden_act": "gelu"}, {}), clip) > 1e-3
    right = peer_model({}, {})
    for name, parameter in clip.network.named_parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.add_(0.01 * torch.sign(torch.randn_like(parameter)))
            if name != "log_logit_scale":
                assert compare(right, clip) > 1e-4, name
            parameter.copy_(kept)
    assert compare(right, clip) < 1e-4


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied: pytest would keep 600 MB of each run."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_full_size(large: Path) -> None:
    """ViT-B/32 as OpenAI released it, but for the weights, which are random."""
    text = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
            "num_attention_heads": 8, "max_position_embeddings": 77,
            "eos_token_id": 2}  # fmt: skip
    image = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
             "num_attention_heads": 12, "image_size": 224, "patch_size": 32}  # fmt: skip
    model = write_hf(large, peer_model({**text, "vocab_size": 49408}, image, 512, large=False))
    clip = PretrainedClip(large)
    assert compare(model, clip) < 1e-4
    with torch.no_grad():  # what begins at random is told from what is nearly it
        clip.network.image.blocks[5].up.weight.mul_(1.1)
        clip.network.text.blocks[5].up.weight.mul_(1.1)
    assert compare(model, clip) > 1e-4


def test_half_precision_is_read_as_it_is(tmp_path: Path) -> None:
    model = peer_model({}, {}).half()
    write_hf(tmp_path, model)
    assert load(tmp_path).image.first.dtype == torch.float32
    assert compare(model.float(), PretrainedClip(tmp_path)) < 1e-4


def test_a_row_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    write_hf(tmp_path)
    clip = PretrainedClip(tmp_path)
    texts = [f"{word} apple" * n for n, word in enumerate(["red", "a", "big", "the"] * 10)]
    pictures = np.random.default_rng(0).integers(0, 256, (40, 3, 20, 30), np.uint8)
    for encode, rows in ((clip.encode_text, texts), (clip.encode_image, pictures)):
        whole = encode(rows)
        alone = np.concatenate([encode(rows[row : row + 1]) for row in range(len(rows))])
        np.testing.assert_allclose(alone, whole, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
        assert encode(rows[:0]).shape == (0, clip.dim)


def test_what_is_cut_is_said(tmp_path: Path) -> None:
    write_hf(tmp_path)
    clip = PretrainedClip(tmp_path)
    tokens = clip.tokens(["red apple", "one two three four five six seven eight nine ten hat"])
    assert tokens.cut[0] == ""
    assert tokens.cut[1].endswith("hat")
    assert tokens.ids[1, -1] == vocabulary()[0][END]


def test_the_hash_is_of_all_files(tmp_path: Path) -> None:
    write_hf(tmp_path)
    seen = {PretrainedClip(tmp_path).hash, PretrainedClip(tmp_path).hash}
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text + "\n")
        seen.add(PretrainedClip(tmp_path).hash)
    assert len(seen) == 4


def test_files_and_bytes_are_seen_alike(tmp_path: Path) -> None:
    write_hf(tmp_path)
    clip = PretrainedClip(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    seen = clip.read(tmp_path / "x.png")
    assert seen.shape == (3, 32, 32)
    bytes_ = pixels.transpose(2, 0, 1)[None]
    assert np.array_equal(clip.encode_image(seen[None]), clip.encode_image(bytes_))
    for wrong in (np.zeros((1, 3, 9, 9), np.float32), np.zeros((3, 32, 32), np.uint8)):
        with pytest.raises(ValueError, match="pictures"):
            clip.encode_image(wrong)


def test_a_linear_layer_learns_on_top(tmp_path: Path) -> None:
    """Dark pictures and light ones, told apart by frozen features."""
    write_hf(tmp_path)
    network = load(tmp_path).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(32) % 2
    pictures = torch.randn(32, 3, 32, 32, generator=generator) + 2.0 * labels[:, None, None, None]
    probe = torch.nn.Linear(network.config.dim, 2)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=0.05)
    for _ in range(40):
        loss = F.cross_entropy(probe(network.encode_image(pictures[:16])), labels[:16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    guessed = probe(network.encode_image(pictures[16:])).argmax(1)
    assert (guessed == labels[16:]).float().mean() > 0.9


def test_gradients_reach_both_towers(tmp_path: Path) -> None:
    write_hf(tmp_path)
    network = load(tmp_path)
    ids = torch.from_numpy(PretrainedClip(tmp_path).tokens(["a hat"]).ids)
    image = F.normalize(network.encode_image(torch.randn(1, 3, 32, 32)), dim=-1)
    text = F.normalize(network.encode_text(ids), dim=-1)
    (network.logit_scale * image @ text.T).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
