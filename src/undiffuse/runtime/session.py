"""A graph and its weights in ONNX Runtime: arrays in, one array out, the same bytes every time.

A graph file holds no weights: its initializers are external data that isn't there, named as in
the weight file, and are handed over from memory. So there is one source of weights.
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

ROWS = 32  # the most that one run is given: more costs memory and gains nothing


@dataclass(frozen=True)
class Graph:
    """Which weight file a graph belongs to, and how the names of the weights in it begin."""

    kind: str
    part: str = ""


GRAPHS = {
    "clip_text": Graph("clip", "text."),
    "clip_image": Graph("clip", "image."),
    "codec_encode": Graph("codec", "encoder."),
    "codec_decode": Graph("codec", "decoder."),
    "denoiser": Graph("denoiser"),
}


def weight_file(folder: Path, kind: str) -> Path:
    """Where a model's folder has the weights of a kind: "clip", "codec" or "denoiser"."""
    return folder / f"{kind}.safetensors"


def graph_file(folder: Path, name: str) -> Path:
    """Where a model's folder has a graph, by its name in `GRAPHS`."""
    return folder / "graphs" / f"{name}.onnx"


class Session:
    """One of `GRAPHS` with its weights, ready to run.

    A row gives the same bytes in any batch, at any place in it and with any number of threads, on
    one kind of processor with one version of ONNX Runtime. Products with weights do so by
    themselves once the weights are constants that ONNX Runtime packs, which its basic
    optimisation sees to. Convolutions do not: they are cut up by batch and threads, and their
    sums with them. Networks with convolutions are `by_row`: each row alone, in a single thread,
    several rows beside each other. That is as fast.
    """

    def __init__(
        self, folder: Path, name: str, weights: Weights, threads: int = 2, *, by_row: bool = False
    ) -> None:
        """UserError if the graph is missing, broken, or made for another configuration."""
        path, part = graph_file(folder, name), GRAPHS[name].part
        if not path.is_file():
            raise UserError(f"there is no graph {path}: make it with `undiffuse train graphs`")
        self._threads, self._rows = check_int("threads", threads, 1, 257), 1 if by_row else ROWS
        self._tensors = {k: v for k, v in weights.tensors.items() if k.startswith(part)}
        try:
            self._session = _open(path, self._tensors, 1 if by_row else self._threads)
            found = json.loads(self._session.get_modelmeta().custom_metadata_map["undiffuse"])
            if found != {"graph": name, "config": weights.meta["config"]}:
                raise ValueError("another graph or configuration")
        except Exception as error:  # ONNX Runtime's errors share no class of their own
            raise UserError(
                f"{path} is broken, or does not belong to the weights beside it: make it again "
                "with `undiffuse train graphs`"
            ) from error

    @cached_property
    def _map(self) -> Callable[[Callable[[int], Any], Iterable[int]], Iterator[Any]]:
        if self._rows > 1 or self._threads == 1:
            return map
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(self._threads).map

    def __call__(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Arrays by the names of the graph's inputs, all of one length `(B, ...)`; B at least 1."""
        starts = range(0, len(next(iter(inputs.values()))), self._rows)

        def run(start: int) -> NDArray[np.float32]:
            part = slice(start, start + self._rows)
            rows = {name: np.ascontiguousarray(array[part]) for name, array in inputs.items()}
            result: NDArray[np.float32] = self._session.run(None, rows)[0]
            return result

        return run(0) if len(starts) == 1 else np.concatenate(list(self._map(run, starts)))


def _open(path: Path, tensors: dict[str, NDArray[np.float32]], threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Threads that wait without spinning: half the time to start, and less to draw, on two cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised; it need not be printed too
    values = [ort.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
    options.add_external_initializers(list(tensors), values)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
