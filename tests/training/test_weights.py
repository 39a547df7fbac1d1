"""Weight files: inert, exact to float16, known by a hash, refused when they are anything else."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from undiffuse.errors import UserError
from undiffuse.runtime.weights import FORMAT, Weights, read_weights, write_weights

TENSORS = {
    "b.weight": np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 4),
    "a.bias": np.array([1e-3, -65504.0, 0.0], np.float32),
    "scale": np.array(2.5, np.float32),
}
META: dict[str, Any] = {"kind": "clip", "config": {"width": 4, "name": "ü"}}


def write(path: Path, tensors: dict[str, np.ndarray] = TENSORS, **meta: Any) -> str:
    return write_weights(path, tensors, {**META, **meta})


def test_there_and_back_in_float16(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", TENSORS)
def test_hash_changes_with_any_tensor(name: str, tmp_path: Path) -> None:
    changed = {k: v.copy() for k, v in TENSORS.items()}
    changed[name].flat[-1] += 0.01
    assert write(tmp_path / "y", changed) != write(tmp_path / "x")
    renamed = {("other" if k == name else k): v for k, v in TENSORS.items()}
    assert write(tmp_path / "y", renamed) != write(tmp_path / "x")


@pytest.mark.parametrize("meta", [{"config": {"width": 5}}, {"tokenizer": "x"}, {"kind": "codec"}])
def test_hash_changes_with_the_metadata(meta: dict[str, Any], tmp_path: Path) -> None:
    assert write(tmp_path / "y", **meta) != write(tmp_path / "x")


def test_hash_depends_on_nothing_else(tmp_path: Path) -> None:
    turned = dict(reversed([(k, np.asfortranarray(v)) for k, v in TENSORS.items()]))
    assert write(tmp_path / "elsewhere", turned) == write(tmp_path / "x")


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_what_float16_cannot_hold(value: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="weight a is not finite in float16"):
        write(tmp_path / "x", {"a": np.array([1.0, value], np.float32)})
    assert not list(tmp_path.iterdir())


def test_another_kind(tmp_path: Path) -> None:
    write(tmp_path / "x", kind="codec")
    with pytest.raises(UserError, match="holds a codec, not a denoiser"):
        read_weights(tmp_path / "x", "denoiser")


def test_a_newer_format(tmp_path: Path) -> None:
    write(tmp_path / "x", format=FORMAT + 1)
    with pytest.raises(
        UserError, match=f"has format {FORMAT + 1}; this version of undiffuse reads"
    ):
        read_weights(tmp_path / "x", "clip")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no weight file"):
        read_weights(tmp_path / "x", "clip")


class Trap:
    """A pickle that says that it was read."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 64, b"PK\x03\x04 a zip", pickle.dumps(Trap()), b"\xff" * 8 + b"{}"],
)
def test_no_weights_whatever_the_name(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(UserError, match="is not a weight file of undiffuse, or is broken"):
        read_weights(path, "clip")


def test_torchs_own_format(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "x.safetensors"
    torch.save({"weight": torch.ones(2), "trap": Trap()}, path)
    with pytest.raises(UserError, match="is broken"):
        read_weights(path, "clip")


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_cut_short(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match="is broken"):
        read_weights(path, "clip")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"kind": "clip"}', '{"kind": "clip", "format": null}', "3"]
)
def test_metadata_that_is_not_ours(text: str, tmp_path: Path) -> None:
    save_file({"a": np.zeros(2, np.float16)}, tmp_path / "x", metadata={"undiffuse": text})
    with pytest.raises(UserError, match="is not a weight file"):
        read_weights(tmp_path / "x", "clip")
    save_file({"a": np.zeros(2, np.float16)}, tmp_path / "x", metadata={"other": json.dumps(META)})
    with pytest.raises(UserError, match="is not a weight file"):
        read_weights(tmp_path / "x", "clip")


def test_an_error_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from undiffuse.runtime import weights

    path = tmp_path / "x"
    write(path)
    before = path.read_bytes()

    def full(*args: Any, **more: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(weights.Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space"):
        write(path, kind="codec")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_as_readable_as_others(tmp_path: Path) -> None:
    write(tmp_path / "x", kind="codec")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "other").stat().st_mode
