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

from undiffuse.training.model_io import load_module  # noqa: E402
from undiffuse.training.onnx_export import build_graph, export_onnx  # noqa: E402
from undiffuse.training.torch_denoiser import load_denoiser  # noqa: E402

CONFIGS = {"clip": CLIP, "codec": CODEC, "denoiser": LATENT}


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def as_tensor(x: np.ndarray) -> "torch.Tensor":
    return torch.from_numpy(x)


def test_a_graph_has_the_names_of_the_weight_file_and_no_weights(model_folder: Path) -> None:
    external = onnx.TensorProto.EXTERNAL
    for name, entry in GRAPHS.items():
        if name == "clip_cond":  # this denoiser does not read it
            continue
        path = graph_file(model_folder, name)
        model = onnx.load(path, load_external_data=False)
        weights = read_weights(weight_file(model_folder, entry.kind), entry.kind, entry.part)
        tensors = [t for t in model.graph.initializer if t.data_location == external]
        shapes = {tensor.name: tuple(tensor.dims) for tensor in tensors}
        assert shapes == {key: tensor.shape for key, tensor in weights.tensors.items()}
        assert path.stat().st_size < 300_000
        assert {node.domain for node in model.graph.node} == {""}
        assert to_dict(CONFIGS[entry.kind]) == json.loads(model.metadata_props[0].value)["config"]


def test_a_graph_is_the_same_every_time(model_folder: Path) -> None:
    before = torch.random.get_rng_state()
    made = build_graph("denoiser", LATENT).SerializeToString()
    assert made == graph_file(model_folder, "denoiser").read_bytes()
    assert torch.equal(torch.random.get_rng_state(), before), "it used up others' random numbers"


def test_clip_agrees_with_torch(model_folder: Path) -> None:
    encoder = ClipEncoder(model_folder)
    module, _ = load_module(weight_file(model_folder, "clip"), "clip")
    for count in (1, 2, 5):
        texts = ["a red apple", "", "x", "two cats beside a dog in noto style", "é ☕"][:count]
        tokens = encoder.tokens(texts)
        pictures = np.tanh(normal(count, 3, 64, 64))
        with torch.inference_mode():
            text = module.encode_text(as_tensor(tokens.ids), as_tensor(tokens.lengths))
            image = module.encode_image(as_tensor(pictures))
        np.testing.assert_allclose(encoder.encode_text(texts), text, atol=1e-5)
        np.testing.assert_allclose(encoder.encode_image(pictures), image, atol=1e-5)


def test_text_may_have_any_length_up_to_the_context(model_folder: Path) -> None:
    module, weights = load_module(weight_file(model_folder, "clip"), "clip")
    session = Session(model_folder, "clip_text", weights)
    for length in (2, 9, CLIP.context):
        ids = np.random.default_rng(0).integers(0, 500, (3, length))
        lengths = np.array([length, 2, 1 + length // 2])
        with torch.inference_mode():
            wanted = module.encode_text(as_tensor(ids), as_tensor(lengths))
        np.testing.assert_allclose(session(ids=ids, lengths=lengths), wanted, atol=1e-5)


def test_the_codec_agrees_with_torch(model_folder: Path) -> None:
    codec, (module, _) = (
        CodecRuntime(model_folder),
        load_module(weight_file(model_folder, "codec"), "codec"),
    )
    pixels, latents = np.tanh(normal(3, 3, 64, 64)), normal(3, 64, 4, 4)
    with torch.inference_mode():
        encoded, decoded = module.encode(as_tensor(pixels)), module.decode(as_tensor(latents))
    np.testing.assert_allclose(codec.encode(pixels), encoded, atol=1e-4)
    np.testing.assert_allclose(codec.decode(latents), decoded, atol=1e-4)


def test_the_denoiser_agrees_with_torch(model_folder: Path) -> None:
    runtime = DenoiserRuntime(model_folder)
    in_torch = load_denoiser(weight_file(model_folder, "denoiser"))
    x_t, cond = normal(3, *runtime.shape), normal(3, 512) / np.float32(512**0.5)
    levels = np.array([1.0, 0.3, 0.05], np.float32)
    x0 = in_torch(as_tensor(x_t), as_tensor(levels), as_tensor(cond))
    np.testing.assert_allclose(runtime(x_t, levels, cond), x0, atol=1e-3)
    for t in (1.0, 0.5):
        x0 = in_torch(as_tensor(x_t), t, as_tensor(cond))
        unsteered = in_torch(as_tensor(x_t), t, None)
        np.testing.assert_allclose(runtime(x_t, t, cond), x0, atol=1e-3)
        np.testing.assert_allclose(runtime(x_t, t, None), unsteered, atol=1e-3)
        assert abs(unsteered - x0).max() > 1e-3


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
            load_denoiser(path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weight file"):
        export_onnx(tmp_path, tmp_path)
