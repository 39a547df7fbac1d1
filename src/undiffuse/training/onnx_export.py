"""Graphs without weights: the networks as ONNX Runtime runs them, traced from the torch modules.

A graph depends on a configuration alone and says which. Its weights are external data that is not
there, named as in the weight file; constants, such as tables of angles, are inside.
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from onnx import ModelProto, TensorProto, helper
from torch import Tensor, nn

from undiffuse.config import EMBED, SIDE, from_dict, to_dict
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.runtime.session import GRAPHS, graph_file, weight_file
from undiffuse.runtime.weights import read_weights
from undiffuse.training.latent_cache import KINDS

OPSET = 20
LARGEST = 1 << 16  # bytes of a constant: what is larger is a weight that lost its name

# Graph -> the method that is traced, and inputs to trace it with (three rows of each).
TRACED: dict[str, tuple[str, Callable[[Any], dict[str, Tensor]]]] = {
    "clip_text": ("encode_text", lambda c: {
        "ids": torch.ones(3, 7, dtype=torch.int64), "lengths": torch.tensor([7, 5, 2])}),
    "clip_image": ("encode_image", lambda c: {"pictures": torch.zeros(3, 3, SIDE, SIDE)}),
    "codec_encode": ("encode", lambda c: {"pixels": torch.zeros(3, 3, SIDE, SIDE)}),
    "codec_decode": ("decode", lambda c: {"latents": torch.zeros(3, c.channels, c.side, c.side)}),
    "denoiser": ("forward", lambda c: {
        "x_t": torch.zeros(3, c.channels, c.side, c.side), "t": torch.full((3,), 0.5),
        "cond": torch.zeros(3, EMBED)}),
}  # fmt: skip


def write_graphs(folder: Path, out: Path) -> list[Path]:
    """The graphs of every weight file in `folder`, into `out`/graphs; returns their paths.

    Raises UserError when there is no weight file, or a broken one.
    """
    paths = []
    for name, graph in GRAPHS.items():
        file = weight_file(folder, graph.kind)
        if file.exists():
            config = from_dict(KINDS[graph.kind][1], read_weights(file, graph.kind).meta["config"])
            paths.append(graph_file(out, name))
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            write_atomic(paths[-1], make_graph(name, config).SerializeToString())
    if not paths:
        raise UserError(f"there is no weight file in {folder}: train one first")
    return paths


def make_graph(name: str, config: Any) -> ModelProto:
    """The graph `name` of `GRAPHS` for a configuration: the same bytes every time."""
    with torch.random.fork_rng():
        model = KINDS[GRAPHS[name].kind][0](config).eval()
        traced = _trace(_Method(model, TRACED[name][0]), TRACED[name][1](config))
    shapes = {
        key: tuple(p.shape)
        for key, p in model.named_parameters()
        if key.startswith(GRAPHS[name].part)
    }
    graph = _simplified(_without_weights(traced, shapes), shapes)
    helper.set_model_props(
        graph, {"undiffuse": json.dumps({"graph": name, "config": to_dict(config)}, sort_keys=True)}
    )
    return graph


class _Method(nn.Module):
    """A method of a module as a module: tracing starts at `forward`."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *inputs: Tensor) -> Tensor:
        result: Tensor = getattr(self.model, self.method)(*inputs)
        return result


def _trace(module: nn.Module, inputs: dict[str, Tensor]) -> ModelProto:
    """The module in ONNX, the first axis of each input free, and the length of texts."""
    free = {name: {0: "batch"} for name in [*inputs, "out"]}
    if "ids" in free:
        free["ids"][1] = "length"
    # Equal tensors would be merged into one, and lose their names.
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.02)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # The older exporter: a quarter of a second a graph for the newer one's five. What it warns
        # of, sizes taken as constants, are sizes of the configuration; tests try other batches.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, tuple(inputs.values()), f"{folder}/traced.onnx", dynamo=False,
            opset_version=OPSET, input_names=list(inputs), output_names=["out"],
            dynamic_axes=free, do_constant_folding=False,
        )  # fmt: skip
        return onnx.load(f"{folder}/traced.onnx")


def _without_weights(model: ModelProto, shapes: dict[str, tuple[int, ...]]) -> ModelProto:
    """The weights become inputs, so that nothing can be computed from them."""
    graph = model.graph
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = name.removeprefix("model.")
    found = {tensor.name.removeprefix("model.") for tensor in graph.initializer}
    if found != set(shapes):
        raise RuntimeError(f"tracing lost or made weights: {sorted(found ^ set(shapes))}")
    del graph.initializer[:]
    for name, shape in shapes.items():
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return model


def _simplified(model: ModelProto, shapes: dict[str, tuple[int, ...]]) -> ModelProto:
    """What ONNX Runtime would fold each time it loads the graph, folded once."""
    import onnxruntime as ort

    with TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = f"{folder}/simple.onnx"
        options.log_severity_level = 3
        ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    if any(node.domain for node in model.graph.node):
        raise RuntimeError("an operator outside the ONNX standard got into the graph")
    _tidy(model)
    kept = [value for value in model.graph.input if value.name not in shapes]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(_absent(name, shape) for name, shape in shapes.items())
    return model


def _tidy(model: ModelProto) -> None:
    """Equal constants become one; names of nodes, shapes and other operator sets go."""
    graph = model.graph
    first: dict[bytes, str] = {}
    same = {}
    for tensor in sorted(graph.initializer, key=lambda tensor: tensor.name):
        nameless = TensorProto()
        nameless.CopyFrom(tensor)
        nameless.ClearField("name")
        content = nameless.SerializeToString()
        if len(content) > LARGEST:
            raise RuntimeError(f"{tensor.name} is too large for a constant")
        same[tensor.name] = first.setdefault(content, tensor.name)
    kept = [t for t in graph.initializer if same[t.name] == t.name]
    del graph.initializer[:]
    graph.initializer.extend(sorted(kept, key=lambda tensor: tensor.name))
    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
    graph.ClearField("value_info")
    used = [opset for opset in model.opset_import if not opset.domain]
    del model.opset_import[:]
    model.opset_import.extend(used)


def _absent(name: str, shape: tuple[int, ...]) -> TensorProto:
    """A float32 initializer whose data is in a file that there is not."""
    tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights-are-handed-over")
    return tensor
