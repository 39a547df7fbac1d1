"""The same bytes at any batch, place and number of threads; and files that are not right."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CLIP, LATENT, byte_tokenizer, write_part
from undiffuse.config import DenoiserConfig
from undiffuse.errors import UserError
from undiffuse.pipeline import SHIPPED_WEIGHTS, load
from undiffuse.runtime.networks import ClipEncoder, CodecRuntime, DenoiserRuntime
from undiffuse.runtime.session import graph_file, weight_file
from undiffuse.runtime.weights import read_weights, write_weights

COUNT = 8


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((COUNT, *shape), dtype=np.float32)


def denoise(folder: Path, threads: int) -> Callable[[slice], np.ndarray]:
    denoiser = DenoiserRuntime(folder, threads)
    x_t, cond = normal(*denoiser.shape), normal(512) / np.float32(23)
    return lambda rows: denoiser(x_t[rows], 0.7, cond[rows])


def decode(folder: Path, threads: int) -> Callable[[slice], np.ndarray]:
    codec, latents = CodecRuntime(folder, threads), normal(64, 4, 4)
    return lambda rows: codec.decode(latents[rows])


def encode_image(folder: Path, threads: int) -> Callable[[slice], np.ndarray]:
    clip, pictures = ClipEncoder(folder, threads), np.tanh(normal(3, 64, 64))
    return lambda rows: clip.encode_image(pictures[rows])


def encode_text(folder: Path, threads: int) -> Callable[[slice], np.ndarray]:
    clip = ClipEncoder(folder, threads)
    texts = ["a", "a red apple", "two cats", "ok", "x y z", "smiling face", "12", ""]
    return lambda rows: clip.encode_text(texts[rows])


@pytest.mark.slow
def test_a_row_is_the_same_in_any_batch_with_any_threads() -> None:
    # The shipped sizes: smaller products are never split, and prove nothing.
    for network in (denoise, decode, encode_image, encode_text):
        wanted = network(SHIPPED_WEIGHTS, 2)(slice(COUNT))
        assert np.isfinite(wanted).all()
        for threads in (1, 2, 3):
            run = network(SHIPPED_WEIGHTS, threads)
            for rows in (slice(1), slice(2), slice(3, 6), slice(7, 8), slice(COUNT)):
                assert np.array_equal(run(rows), wanted[rows]), (network, threads, rows)


def test_more_rows_than_one_run_takes_are_split(model_folder: Path) -> None:
    denoiser = DenoiserRuntime(model_folder)
    x_t = np.random.default_rng(0).standard_normal((70, *denoiser.shape), dtype=np.float32)
    cond = np.zeros((70, 512), np.float32)
    assert np.array_equal(denoiser(x_t, 0.5, cond)[65:], denoiser(x_t[65:], 0.5, cond[65:]))


# Name -> how to break a model folder, and what the error must say.
def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _rewrite(path: Path, kind: str, **changes: object) -> None:
    weights = read_weights(path, kind)
    config = {**weights.meta["config"], **changes}
    write_weights(path, weights.tensors, {**weights.meta, "config": config})


def _retoken(folder: Path, text: str | None) -> None:
    weights = read_weights(weight_file(folder, "clip"), "clip")
    meta = {**weights.meta, "tokenizer": text}
    write_weights(weight_file(folder, "clip"), weights.tensors, meta)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no weight file"),
    "no denoiser": (lambda f: weight_file(f, "denoiser").unlink(), "no weight file"),
    "no clip": (lambda f: weight_file(f, "clip").unlink(), "no weight file"),
    "no codec": (lambda f: weight_file(f, "codec").unlink(), "no weight file"),
    "a folder for weights": (
        lambda f: (weight_file(f, "clip").unlink(), weight_file(f, "clip").mkdir()),
        "broken",
    ),
    "cut weights": (lambda f: _cut(weight_file(f, "denoiser")), "broken"),
    "empty weights": (lambda f: weight_file(f, "denoiser").write_bytes(b""), "broken"),
    "a picture": (lambda f: weight_file(f, "clip").write_bytes(b"\x89PNG" * 99), "broken"),
    "the wrong kind": (
        lambda f: shutil.copy(weight_file(f, "clip"), weight_file(f, "denoiser")),
        "holds a clip",
    ),
    "no graph": (lambda f: graph_file(f, "denoiser").unlink(), "is missing"),
    "cut graph": (lambda f: _cut(graph_file(f, "clip_text")), "broken"),
    "nonsense for a graph": (
        lambda f: graph_file(f, "denoiser").write_bytes(b"nonsense" * 9),
        "broken",
    ),
    "another network's graph": (
        lambda f: shutil.copy(graph_file(f, "codec_encode"), graph_file(f, "codec_decode")),
        "does not belong",
    ),
    "another CLIP": (lambda f: write_part(f, "clip", CLIP, seed=1), "trained with clip"),
    "another setting": (
        lambda f: _rewrite(weight_file(f, "denoiser"), "denoiser", heads=4),
        "does not belong",
    ),
    "a setting of a newer version": (
        lambda f: _rewrite(weight_file(f, "denoiser"), "denoiser", colour=3),
        "no setting 'colour'",
    ),
    "a setting that is no number": (
        lambda f: _rewrite(weight_file(f, "denoiser"), "denoiser", side="4"),
        "side='4'",
    ),
    "an unknown target": (
        lambda f: _rewrite(weight_file(f, "denoiser"), "denoiser", target="x1"),
        "target='x1'",
    ),
    "another size": (
        lambda f: write_part(f, "denoiser", DenoiserConfig(width=96, depth=2, heads=2)),
        "does not belong",
    ),
    "no tokenizer": (lambda f: _retoken(f, None), "tokenizer"),
    "a tokenizer without letters": (
        lambda f: _retoken(f, '{"vocabulary": {"a": 1}, "merges": []}'),
        "tokenizer",
    ),
    "ids beyond the table": (
        lambda f: _retoken(f, byte_tokenizer().to_json().replace(":513", ":5130")),
        "tokenizer",
    ),
    "a denoiser that names no CLIP": (
        lambda f: write_part(f, "denoiser", LATENT),
        "trained with clip None",
    ),
}


def test_a_broken_model_is_refused_in_one_line(
    model_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for what, (spoil, message) in WRONG.items():
        folder = shutil.copytree(model_folder, tmp_path / what)
        spoil(folder)
        with pytest.raises(UserError, match=message) as caught:
            load(folder)
        assert "\n" not in str(caught.value)
        assert capfd.readouterr().err == "", f"{what}: ONNX Runtime printed on stderr"


def test_float32_weights_and_strange_metadata_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "denoiser.safetensors"
    halves = {"a": np.zeros(3, np.float16)}
    fine = '{"kind": "denoiser", "format": 1, "config": {}}'
    save_file(halves, path, {"undiffuse": fine})
    assert read_weights(path, "denoiser").meta["config"] == {}
    for tensors, text in (
        ({"a": np.zeros(3, np.float32)}, fine),
        (halves, fine.replace("{}", "3")),
        (halves, fine.replace("1", '"one"')),
        (halves, fine.replace("1", "99")),
        (halves, "[1, 2]"),
        (halves, "[" * 100_000),
    ):
        save_file(tensors, path, {"undiffuse": text})
        with pytest.raises(UserError, match=r"broken|format 99"):
            read_weights(path, "denoiser")


def test_a_file_that_changes_while_in_use_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    clip = ClipEncoder(folder)
    write_part(folder, "clip", CLIP, seed=1)
    with pytest.raises(UserError, match="changed"):
        clip.encode_image(np.zeros((1, 3, 64, 64), np.float32))


def test_threads_out_of_range_are_refused(model_folder: Path) -> None:
    for threads in (0, -1, 1.5, True, 10**9):
        with pytest.raises(UserError, match="threads"):
            DenoiserRuntime(model_folder, threads)  # type: ignore[arg-type]
