"""Checkpoints: whole or not at all, and never anything but plain tensors."""

import pickle
from pathlib import Path

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.training import checkpoint

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7), "c": torch.zeros(0)}


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.safetensors"
    checkpoint.save(path, TENSORS, {"step": 3, "name": "ü"})
    tensors, meta = checkpoint.load(path)
    assert meta == {"step": 3, "name": "ü"}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, TENSORS[name])
        assert tensor.dtype == TENSORS[name].dtype
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_what_does_not_lie_in_order_in_memory(tmp_path: Path) -> None:
    turned = TENSORS["a"].T
    checkpoint.save(tmp_path / "x", {"a": turned}, {})
    assert torch.equal(checkpoint.load(tmp_path / "x")[0]["a"], turned)


def break_off(tensors, path, metadata) -> None:
    Path(path).write_bytes(b"half")
    raise OSError("no space left on device")


def test_an_error_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, TENSORS, {"step": 1})
    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "save_file", break_off)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(path, TENSORS, {"step": 2})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_behind_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".x.part").write_bytes(b"half")
    checkpoint.save(tmp_path / "x", TENSORS, {})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"no tensors", pickle.dumps({"step": 1})])
def test_broken(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(UserError, match="not a weight file of undiffuse, or is broken"):
        checkpoint.load(path)


def test_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="is broken"):
        checkpoint.load(path)


def test_another_programs_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(TENSORS, tmp_path / "x")
    with pytest.raises(UserError, match="not a weight file of undiffuse"):
        checkpoint.load(tmp_path / "x")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        checkpoint.load(tmp_path / "x")
    with pytest.raises(UserError, match="not a weight file"):
        checkpoint.load(tmp_path)


def test_optimiser_state_there_and_back(tmp_path: Path) -> None:
    def made() -> list[torch.optim.Optimizer]:
        torch.manual_seed(0)
        one, two = (torch.nn.Parameter(torch.randn(4, 3)) for _ in range(2))
        return [torch.optim.AdamW([one], lr=0.1), torch.optim.Muon([two], lr=0.1)]

    used, fresh = made(), made()
    for optimizer in used:
        parameter = optimizer.param_groups[0]["params"][0]
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    tensors = checkpoint.flatten_optimizers(used)
    assert set(tensors) == {
        "optimizer.0.0.step", "optimizer.0.0.exp_avg", "optimizer.0.0.exp_avg_sq",
        "optimizer.1.0.momentum_buffer",
    }  # fmt: skip
    checkpoint.restore_optimizers(fresh, tensors)
    again = checkpoint.flatten_optimizers(fresh)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)
