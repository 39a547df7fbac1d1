"""Weight files: without code, exact to float16, identified by a hash; others are refused."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from undiffuse.errors import UserError
from undiffuse.runtime.weights import FORMAT, INT8_FORMAT, Weights, read_weights, write_weights

TENSORS = {
    "b.weight": np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 4),
    "a.bias": np.array([1e-3, -65504.0, 0.0], np.float32),
    "scale": np.array(2.5, np.float32),
}
META: dict[str, Any] = {"kind": "clip", "config": {"width": 4, "name": "ü"}}


def write(path: Path, tensors: dict[str, np.ndarray] = TENSORS, **meta: Any) -> str:
    return write_weights(path, tensors, {**META, **meta})


def test_weights_are_read_as_they_were_written_in_float16(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.safetensors"
    written = write(path)
    read: Weights = read_weights(path, "clip")
    assert read.hash == written
    assert len(written) == 16
    assert read.meta == {**META, "format": FORMAT}
    assert read.tensors.keys() == TENSORS.keys()
    for name, tensor in read.tensors.items():
        assert tensor.dtype == np.float32
        assert tensor.shape == TENSORS[name].shape
        assert np.array_equal(tensor, TENSORS[name].astype(np.float16).astype(np.float32))
    again = tmp_path / "y.safetensors"
    assert write(again, read.tensors) == written
    assert again.read_bytes() == path.read_bytes()


def test_the_hash_changes_with_any_tensor_and_with_the_metadata(tmp_path: Path) -> None:
    hashes = [write(tmp_path / "x")]
    for name in TENSORS:
        changed = {k: v.copy() for k, v in TENSORS.items()}
        changed[name].flat[-1] += 0.01
        hashes.append(write(tmp_path / "x", changed))
        renamed = {("other" if k == name else k): v for k, v in TENSORS.items()}
        hashes.append(write(tmp_path / "x", renamed))
    for meta in ({"config": {"width": 5}}, {"tokenizer": "x"}, {"kind": "codec"}):
        hashes.append(write(tmp_path / "x", **meta))
    assert len({*hashes}) == len(hashes)


def test_the_hash_does_not_depend_on_path_order_or_layout(tmp_path: Path) -> None:
    turned = dict(reversed([(k, np.asfortranarray(v)) for k, v in TENSORS.items()]))
    assert write(tmp_path / "elsewhere", turned) == write(tmp_path / "x")


@pytest.mark.filterwarnings("ignore:overflow")
def test_values_out_of_float16s_range_are_refused(tmp_path: Path) -> None:
    for value in (np.nan, np.inf, 1e6):
        with pytest.raises(UserError, match="weight a is not finite in float16"):
            write(tmp_path / "x", {"a": np.array([1.0, value], np.float32)})
    assert not list(tmp_path.iterdir())


def test_another_kind_a_newer_format_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "codec", kind="codec")
    with pytest.raises(UserError, match="holds a codec, not a denoiser"):
        read_weights(tmp_path / "codec", "denoiser")
    write(tmp_path / "newer", format=INT8_FORMAT + 1)
    with pytest.raises(UserError, match=f"has format {INT8_FORMAT + 1}; this version of undiffuse"):
        read_weights(tmp_path / "newer", "clip")
    with pytest.raises(UserError, match="there is no weight file"):
        read_weights(tmp_path / "missing", "clip")


class Trap:
    """A pickle that reports when it is read."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


def test_broken_and_foreign_files_are_refused_and_no_pickle_is_read(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "x.safetensors"
    write(path)
    whole = path.read_bytes()
    torch.save({"weight": torch.ones(2), "trap": Trap()}, path)
    foreign = [b"", b"\x00" * 64, b"PK\x03\x04 a zip", pickle.dumps(Trap()), b"\xff" * 8 + b"{}"]
    for data in (path.read_bytes(), *foreign, whole[:-1], whole[:-40], whole[:-200]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="is not a weight file of undiffuse, or is broken"):
            read_weights(path, "clip")


def test_foreign_metadata_is_refused(tmp_path: Path) -> None:
    path, tensors = tmp_path / "x", {"a": np.zeros(2, np.float16)}
    texts = ["", "{", "[]", "{}", '{"kind": "clip"}', '{"kind": "clip", "format": null}', "3"]
    metadata = [{"undiffuse": text} for text in texts]
    for one in (*metadata, {"other": json.dumps(META)}):
        save_file(tensors, path, metadata=one)
        with pytest.raises(UserError, match="is not a weight file"):
            read_weights(path, "clip")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from undiffuse.runtime import weights

    path = tmp_path / "x"
    write(path)
    before = path.read_bytes()

    def full(*args: Any, **more: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(weights.Path, "write_bytes", full)
    with pytest.raises(UserError, match="no space"):
        write(path, kind="codec")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_the_usual_permissions(tmp_path: Path) -> None:
    write(tmp_path / "x", kind="codec")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "other").stat().st_mode


def int8_tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((64, 8, 3, 3)).astype(np.float32)
    matrix[5] *= 100  # a row of another magnitude keeps a scale of its own
    matrix[6] = 0
    return {**TENSORS, "c.weight": matrix}


def test_int8_weights_are_within_half_a_step_of_their_row(tmp_path: Path) -> None:
    path, tensors = tmp_path / "x", int8_tensors()
    written = write_weights(path, tensors, META, int8=True)
    read = read_weights(path, "clip")
    assert read.hash == written
    assert read.tensors.keys() == tensors.keys()
    step = np.abs(tensors["c.weight"]).max((1, 2, 3)) / 127
    error = np.abs(read.tensors["c.weight"] - tensors["c.weight"]).max((1, 2, 3))
    assert (error <= 0.5 * step + 1e-6 * step.max()).all()
    assert error.max() > 0
    for name in TENSORS:  # small tensors and biases stay float16
        assert np.array_equal(read.tensors[name], TENSORS[name].astype(np.float16))
    again = tmp_path / "y"
    assert write_weights(again, read.tensors, META, int8=True) == written


def test_broken_int8_scales_are_refused(tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "x"
    write_weights(path, int8_tensors(), META, int8=True)
    with safe_open(path, framework="np") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = file.metadata()
    scales = stored["c.weight/scale"]
    for bad in (np.nan, np.inf, -1.0, 1e30):
        changed = scales.copy()
        changed[3] = bad
        save_file({**stored, "c.weight/scale": changed}, path, metadata=text)
        with pytest.raises(UserError, match=r"int8 scales of c\.weight are missing or not finite"):
            read_weights(path, "clip")
    save_file({**stored, "c.weight/scale": scales[1:].copy()}, path, metadata=text)
    with pytest.raises(UserError, match=r"int8 scales of c\.weight"):
        read_weights(path, "clip")
    del stored["c.weight/scale"]
    save_file(stored, path, metadata=text)
    with pytest.raises(UserError, match=r"int8 scales of c\.weight"):
        read_weights(path, "clip")
    save_file({**stored, "z/scale": scales}, path, metadata=text)
    with pytest.raises(UserError, match="is not a weight file"):
        read_weights(path, "clip")
