"""Graphs: no weights inside, the weight file's names, torch's numbers at every size."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CLIP, CODEC, LATENT
from undiffuse.config import to_dict
from undiffuse.errors import UserError
from undiffuse.runtime.networks import ClipEncoder, CodecRuntime, DenoiserRuntime
from undiffuse.runtime.session import GRAPHS, Session, graph_file, weight_file
from undiffuse.runtime.weights import read_weights

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from undiffuse.training.latent_cache import load_module  # noqa: E402
from undiffuse.training.onnx_export import make_graph, write_graphs  # noqa: E402
from undiffuse.training.torch_denoiser import torch_denoiser  # noqa: E402

CONFIGS = {"clip": CLIP, "codec": CODEC, "denoiser": LATENT}


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def as_tensor(x: np.ndarray) -> "torch.Tensor":
    return torch.from_numpy(x)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_has_the_files_names_and_no_weights(model_folder: Path, name: str) -> None:
    kind, part = GRAPHS[name].kind, GRAPHS[name].part
    path = graph_file(model_folder, name)
    graph = onnx.load(path, load_external_data=False)
    weights = read_weights(weight_file(model_folder, kind), kind, part)
    outside = onnx.TensorProto.EXTERNAL
    absent = {t.name: tuple(t.dims) for t in graph.graph.initializer if t.data_location == outside}
    assert absent == {name: tensor.shape for name, tensor in weights.tensors.items()}
    assert path.stat().st_size < 300_000
    assert {node.domain for node in graph.graph.node} == {""}
    assert to_dict(CONFIGS[kind]) == json.loads(graph.metadata_props[0].value)["config"]


def test_a_graph_is_the_same_every_time(model_folder: Path) -> None:
    before = torch.random.get_rng_state()
    made = make_graph("denoiser", LATENT).SerializeToString()
    assert made == graph_file(model_folder, "denoiser").read_bytes()
    assert torch.equal(torch.random.get_rng_state(), before), "it used up others' random numbers"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_clip_says_what_torch_says(model_folder: Path, count: int) -> None:
    encoder, (module, _) = (
        ClipEncoder(model_folder),
        load_module(weight_file(model_folder, "clip"), "clip"),
    )
    texts = ["a red apple", "", "x", "two cats beside a dog in noto style", "é ☕"][:count]
    tokens = encoder.tokens(texts)
    pictures = np.tanh(normal(count, 3, 64, 64))
    with torch.inference_mode():
        said = module.encode_text(as_tensor(tokens.ids), as_tensor(tokens.lengths))
        seen = module.encode_image(as_tensor(pictures))
    np.testing.assert_allclose(encoder.encode_text(texts), said, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_image(pictures), seen, atol=1e-5)


@pytest.mark.parametrize("length", [2, 9, CLIP.context])
def test_text_may_have_any_length_up_to_the_context(model_folder: Path, length: int) -> None:
    module, weights = load_module(weight_file(model_folder, "clip"), "clip")
    ids = np.random.default_rng(0).integers(0, 500, (3, length))
    lengths = np.array([length, 2, 1 + length // 2])
    with torch.inference_mode():
        wanted = module.encode_text(as_tensor(ids), as_tensor(lengths))
    session = Session(model_folder, "clip_text", weights)
    np.testing.assert_allclose(session(ids=ids, lengths=lengths), wanted, atol=1e-5)


def test_the_codec_says_what_torch_says(model_folder: Path) -> None:
    codec, (module, _) = (
        CodecRuntime(model_folder),
        load_module(weight_file(model_folder, "codec"), "codec"),
    )
    pixels, latents = np.tanh(normal(3, 3, 64, 64)), normal(3, 64, 4, 4)
    with torch.inference_mode():
        encoded, decoded = module.encode(as_tensor(pixels)), module.decode(as_tensor(latents))
    np.testing.assert_allclose(codec.encode(pixels), encoded, atol=1e-4)
    np.testing.assert_allclose(codec.decode(latents), decoded, atol=1e-4)


@pytest.mark.parametrize("t", [1.0, 0.5, "each"])
def test_the_denoisers_agree_on_x0(model_folder: Path, t: float | str) -> None:
    mine = DenoiserRuntime(model_folder)
    theirs = torch_denoiser(weight_file(model_folder, "denoiser"))
    x_t, cond = normal(3, *mine.shape), normal(3, 512) / np.float32(512**0.5)
    levels = np.array([1.0, 0.3, 0.05], np.float32) if t == "each" else t
    said = theirs(as_tensor(x_t), as_tensor(levels) if t == "each" else t, as_tensor(cond))
    np.testing.assert_allclose(mine(x_t, levels, cond), said, atol=1e-3)
    unsteered = theirs(as_tensor(x_t), t, None) if t != "each" else None
    if unsteered is not None:
        np.testing.assert_allclose(mine(x_t, t, None), unsteered, atol=1e-3)
        assert abs(unsteered - said).max() > 1e-3


def test_torch_is_strict_about_names(model_folder: Path, tmp_path: Path) -> None:
    from undiffuse.runtime.weights import write_weights

    weights = read_weights(weight_file(model_folder, "denoiser"), "denoiser")
    path = tmp_path / "denoiser.safetensors"
    for tensors in (
        {k: v for k, v in weights.tensors.items() if k != "norm.gain"},
        {**weights.tensors, "more": np.zeros(2, np.float32)},
    ):
        write_weights(path, tensors, weights.meta)
        with pytest.raises(UserError, match=r"norm.gain|more"):
            torch_denoiser(path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weight file"):
        write_graphs(tmp_path, tmp_path)
