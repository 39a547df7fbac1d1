"""Sessions of ONNX Runtime: arrays in, one array out, the same bytes every time.

A graph file holds no weights. Its initializers are external data under the names of the weight
file, and are passed from memory: each weight is stored once.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.diffusion.arrays import check_int
from undiffuse.errors import UserError
from undiffuse.runtime.weights import Weights

FAST = "denoiser-fast"  # the weight file of a denoiser for few steps
SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights"
PRETRAINED = "clip"  # folder of a model that holds the pretrained CLIP it was trained with
MAX_ROWS = 32  # at once: more rows need more memory and are no faster


@dataclass(frozen=True)
class Graph:
    """The weight file that a graph belongs to, and the prefix of its weights' names."""

    kind: str
    part: str = ""


GRAPHS = {
    "clip_text": Graph("clip", "text."),
    "clip_cond": Graph("clip", "text."),  # for a denoiser that reads the tokens of the text
    "clip_image": Graph("clip", "image."),
    "codec_encode": Graph("codec", "encoder."),
    "codec_decode": Graph("codec", "decoder."),
    "denoiser": Graph("denoiser"),
}


def weight_file(folder: Path, kind: str) -> Path:
    """The weight file of a kind in a model's folder: "clip", "codec", "denoiser" or `FAST`."""
    return folder / f"{kind}.safetensors"


def graph_file(folder: Path, name: str) -> Path:
    """The graph file of a name in `GRAPHS` in a model's folder."""
    return folder / "graphs" / f"{name}.onnx"


class Session:
    """One of `GRAPHS` with its weights.

    A row gives the same bytes in any batch, at any position and with any number of threads, on one
    kind of processor with one version of ONNX Runtime. Matrix products do so by themselves once
    the weights are constants that ONNX Runtime packs, which its optimization does. Convolutions do
    not: their sums are split by batch. Networks with convolutions run `by_row`.

    A run has one thread: the layers are too small to be split. Threads run parts of a batch.
    """

    def __init__(
        self, folder: Path, name: str, weights: Weights, threads: int = 2, *, by_row: bool = False
    ) -> None:
        """UserError if the graph is missing, broken, or exported for another configuration."""
        path, part = graph_file(folder, name), GRAPHS[name].part
        if not path.is_file():
            raise UserError(f"{path} is missing: export it with `undiffuse train export-onnx`")
        self._threads = check_int("threads", threads, 1, 257)
        self._rows = 1 if by_row else max(1, MAX_ROWS // threads)
        self._tensors = {k: v for k, v in weights.tensors.items() if k.startswith(part)}
        try:
            self._session = _open(path, self._tensors, by_row)
            found = json.loads(self._session.get_modelmeta().custom_metadata_map["undiffuse"])
            if found != {"graph": name, "config": weights.meta["config"]}:
                raise ValueError("another graph or configuration")
        except Exception as error:  # ONNX Runtime's errors share no class of their own
            raise UserError(
                f"{path} is broken, or does not belong to the weights beside it: export it again "
                "with `undiffuse train export-onnx`"
            ) from error

    @cached_property
    def _map(self) -> Callable[[Callable[[int], Any], Iterable[int]], Iterator[Any]]:
        if self._threads == 1:
            return map
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(self._threads).map

    def __call__(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Run on arrays (B, ...) by the names of the graph's inputs, B at least 1: (B, ...)."""
        return self.run(lambda result: result, **inputs)

    def run(
        self, finish: Callable[[NDArray[np.float32]], NDArray[Any]], **inputs: NDArray[Any]
    ) -> NDArray[Any]:
        """The same, with `finish` applied to the results, some rows at a time, in the threads."""
        count = len(next(iter(inputs.values())))
        rows = min(self._rows, -(-count // self._threads))
        starts = range(0, count, rows)

        def run(start: int) -> NDArray[Any]:
            part = slice(start, start + rows)
            own = {name: np.ascontiguousarray(array[part]) for name, array in inputs.items()}
            return finish(self._session.run(None, own)[0])

        return run(0) if len(starts) == 1 else np.concatenate(list(self._map(run, starts)))


def _open(path: Path, tensors: dict[str, NDArray[np.float32]], has_convolutions: bool) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Convolutions gain a sixth from all of the optimizations; elsewhere only opening takes longer.
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = (
        level.ORT_ENABLE_ALL if has_convolutions else level.ORT_ENABLE_BASIC
    )
    options.log_severity_level = 4  # errors are raised, not printed too
    values = [ort.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
    options.add_external_initializers(list(tensors), values)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
