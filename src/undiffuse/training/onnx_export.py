"""Export of the networks to ONNX graphs without weights.

A graph depends on the configuration alone, which is in its metadata. Its weights are declared as
external data under the names of the weight file, and the runtime supplies them. Constants such as
the tables of rotary positions are in the graph.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from onnx import ModelProto, TensorProto, helper
from torch import Tensor, nn

from undiffuse.config import IMAGE_SIZE, from_dict, to_dict
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.runtime.session import GRAPHS, graph_file, weight_file
from undiffuse.runtime.weights import read_weights
from undiffuse.training.model_io import MODEL_CLASSES

OPSET = 20
MAX_CONSTANT_BYTES = 1 << 16  # a larger constant is a weight that lost its name

PIXELS = 3, 3, IMAGE_SIZE, IMAGE_SIZE

# Graph -> the method to trace, and example inputs of three rows.
TRACE_INPUTS: dict[str, tuple[str, Callable[[Any], dict[str, Tensor]]]] = {
    "clip_text": ("encode_text", lambda c: {
        "ids": torch.ones(3, 7, dtype=torch.int64), "lengths": torch.tensor([7, 5, 2])}),
    "clip_cond": ("encode_cond", lambda c: {
        "ids": torch.ones(3, 7, dtype=torch.int64), "lengths": torch.tensor([7, 5, 2])}),
    "clip_image": ("encode_image", lambda c: {"pictures": torch.zeros(PIXELS)}),
    "codec_encode": ("encode", lambda c: {
        "pixels": torch.zeros(3, c.image_channels, c.image_size, c.image_size)}),
    "codec_decode": ("decode", lambda c: {"latents": torch.zeros(3, c.channels, c.side, c.side)}),
    "denoiser": ("forward", lambda c: {
        "x_t": torch.zeros(3, c.channels, c.side, c.side), "t": torch.full((3,), 0.5),
        "cond": torch.zeros(3, c.cond_size)}),
}  # fmt: skip


def export_onnx(folder: Path, out: Path) -> list[Path]:
    """Export the graphs of all weight files in `folder` to `out`/graphs; returns their paths.

    Raises UserError when there is no weight file or a broken one.
    """
    configs = {}
    for kind in dict.fromkeys(graph.kind for graph in GRAPHS.values()):
        file = weight_file(folder, kind)
        if file.exists():
            meta = read_weights(file, kind).meta
            configs[kind] = from_dict(MODEL_CLASSES[kind][1], meta["config"])
    if not configs:
        raise UserError(f"there is no weight file in {folder}: train a network first")
    return export_graphs(configs, out)


def export_graphs(configs: Mapping[str, Any], out: Path) -> list[Path]:
    """Export the graphs of networks with these configurations, by kind, to `out`/graphs."""
    paths, denoiser = [], configs.get("denoiser")
    for name, graph in GRAPHS.items():
        if name == "clip_cond" and not (denoiser and denoiser.text_tokens):
            continue
        if graph.kind in configs:
            paths.append(graph_file(out, name))
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            write_atomic(paths[-1], build_graph(name, configs[graph.kind]).SerializeToString())
    return paths


def build_graph(name: str, config: Any) -> ModelProto:
    """The graph `name` of `GRAPHS` for a configuration; deterministic to the byte."""
    with torch.random.fork_rng():
        model = MODEL_CLASSES[GRAPHS[name].kind][0](config).eval()
        traced = _trace(_MethodModule(model, TRACE_INPUTS[name][0]), TRACE_INPUTS[name][1](config))
    shapes = {
        key: tuple(p.shape)
        for key, p in model.named_parameters()
        if key.startswith(GRAPHS[name].part)
    }
    graph = _optimize(_turn_weights_into_inputs(traced, shapes), shapes)
    helper.set_model_props(
        graph, {"undiffuse": json.dumps({"graph": name, "config": to_dict(config)}, sort_keys=True)}
    )
    return graph


class _MethodModule(nn.Module):
    """A module whose `forward` is a method of another one, because tracing needs a `forward`."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *inputs: Tensor) -> Tensor:
        result: Tensor = getattr(self.model, self.method)(*inputs)
        return result


def _trace(module: nn.Module, inputs: dict[str, Tensor]) -> ModelProto:
    """Trace the module with a dynamic batch size and a dynamic length of texts."""
    dynamic_axes = {name: {0: "batch"} for name in [*inputs, "out"]}
    if "ids" in dynamic_axes:
        dynamic_axes["ids"][1] = "length"
    # The exporter merges equal tensors, and one of them would lose its name.
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.02)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # The TorchScript exporter takes 0.25 s per graph, the newer one 5 s. It warns about sizes
        # taken as constants; these come from the configuration, and tests try other batch sizes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, tuple(inputs.values()), f"{folder}/traced.onnx", dynamo=False,
            opset_version=OPSET, input_names=list(inputs), output_names=["out"],
            dynamic_axes=dynamic_axes, do_constant_folding=False,
        )  # fmt: skip
        return onnx.load(f"{folder}/traced.onnx")


def _turn_weights_into_inputs(model: ModelProto, shapes: dict[str, tuple[int, ...]]) -> ModelProto:
    """Make the weights inputs, so that constant folding leaves them alone."""
    graph = model.graph
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = name.removeprefix("model.")
    found = {tensor.name.removeprefix("model.") for tensor in graph.initializer}
    if found != set(shapes):
        raise RuntimeError(f"tracing lost or added weights: {sorted(found ^ set(shapes))}")
    del graph.initializer[:]
    for name, shape in shapes.items():
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return model


def _optimize(model: ModelProto, shapes: dict[str, tuple[int, ...]]) -> ModelProto:
    """Apply the basic optimizations that ONNX Runtime would repeat at each load."""
    import onnxruntime as ort

    with TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = f"{folder}/simple.onnx"
        options.log_severity_level = 3
        ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    if any(node.domain for node in model.graph.node):
        raise RuntimeError("the graph has an operator outside the ONNX standard")
    _deduplicate_constants(model)
    remaining = [value for value in model.graph.input if value.name not in shapes]
    del model.graph.input[:]
    model.graph.input.extend(remaining)
    model.graph.initializer.extend(
        _external_initializer(name, shape) for name, shape in shapes.items()
    )
    return model


def _deduplicate_constants(model: ModelProto) -> None:
    """Merge equal constants, and remove node names, shapes and unused operator sets."""
    graph = model.graph
    first: dict[bytes, str] = {}
    merged = {}
    for tensor in sorted(graph.initializer, key=lambda tensor: tensor.name):
        nameless = TensorProto()
        nameless.CopyFrom(tensor)
        nameless.ClearField("name")
        content = nameless.SerializeToString()
        if len(content) > MAX_CONSTANT_BYTES:
            raise RuntimeError(f"{tensor.name} is too large for a constant")
        merged[tensor.name] = first.setdefault(content, tensor.name)
    remaining = [t for t in graph.initializer if merged[t.name] == t.name]
    del graph.initializer[:]
    graph.initializer.extend(sorted(remaining, key=lambda tensor: tensor.name))
    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        for position, name in enumerate(node.input):
            node.input[position] = merged.get(name, name)
    graph.ClearField("value_info")
    used = [opset for opset in model.opset_import if not opset.domain]
    del model.opset_import[:]
    model.opset_import.extend(used)


def _external_initializer(name: str, shape: tuple[int, ...]) -> TensorProto:
    """A float32 initializer declared as external data.

    The runtime hands the weight over by its name; onnxruntime-web does by its location, which is
    therefore the name too.
    """
    tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=name)
    return tensor
