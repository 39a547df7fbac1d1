"""Checkpoints are written atomically and hold nothing but plain tensors."""

import os
import pickle
import subprocess
from pathlib import Path

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.training import checkpoint

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7), "c": torch.zeros(0)}


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.safetensors"
    written = {**TENSORS, "not contiguous": TENSORS["a"].T}
    checkpoint.save(path, written, {"step": 3, "name": "ü"})
    tensors, meta = checkpoint.load(path)
    assert meta == {"step": 3, "name": "ü"}
    assert tensors.keys() == written.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, written[name])
        assert tensor.dtype == written[name].dtype
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def fail_in_the_middle(tensors, path, metadata) -> None:
    Path(path).write_bytes(b"half")
    raise OSError("no space left on device")


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, TENSORS, {"step": 1})
    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "save_file", fail_in_the_middle)
    with pytest.raises(UserError, match=r"x\.safetensors can't be written: no space left"):
        checkpoint.save(path, TENSORS, {"step": 2}, keep=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_checkpoint_before_the_last_one_is_kept_and_read_if_the_last_is_broken(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.safetensors"
    for step in (1, 2, 3):
        checkpoint.save(path, TENSORS, {"step": step}, keep=True)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["x.previous.safetensors", "x.safetensors"]
    assert checkpoint.load_last(path)[1:] == ({"step": 3}, "")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        path.unlink()  # the other name of the file before must not change with it
        path.write_bytes(damaged)
        _, meta, note = checkpoint.load_last(path)
        assert meta == {"step": 2}
        assert "broken: continuing from the checkpoint before it, of step 2" in note
    path.unlink()
    assert checkpoint.load_last(path)[1] == {"step": 2}
    checkpoint.previous_path(path).write_bytes(b"half")
    path.write_bytes(b"half")
    with pytest.raises(UserError, match="is broken"):
        checkpoint.load_last(path)


def test_a_file_system_without_hard_links_keeps_the_one_before_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise PermissionError("no hard links")

    monkeypatch.setattr(checkpoint.os, "link", no_links)
    for step in (1, 2):
        checkpoint.save(tmp_path / "x.safetensors", TENSORS, {"step": step}, keep=True)
    assert checkpoint.load(tmp_path / "x.previous.safetensors")[1] == {"step": 1}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a tmpfs")
def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True
    )
    if mount.returncode:
        pytest.skip("a tmpfs can't be mounted here")
    try:
        path = tmp_path / "x.safetensors"
        checkpoint.save(path, TENSORS, {"step": 1}, keep=True)
        with pytest.raises(UserError, match="the same command continues from it"):
            checkpoint.save(path, {"a": torch.zeros(10**6)}, {"step": 2}, keep=True)
        assert checkpoint.load_last(path)[1] == {"step": 1}
        assert sorted(file.name for file in tmp_path.iterdir())[-1] == "x.safetensors"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_the_partial_file_of_a_crash_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".x.part").write_bytes(b"half")
    checkpoint.save(tmp_path / "x", TENSORS, {})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_broken_and_foreign_files_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    checkpoint.save(path, TENSORS, {})
    truncated = path.read_bytes()[:-3]
    for data in (truncated, b"", b"\x00" * 100, b"no tensors", pickle.dumps({"step": 1})):
        path.write_bytes(data)
        with pytest.raises(UserError, match="not a weight file of undiffuse, or is broken"):
            checkpoint.load(path)
    save_file(TENSORS, path)
    with pytest.raises(UserError, match="not a weight file of undiffuse"):
        checkpoint.load(path)
    with pytest.raises(UserError, match="not a weight file"):
        checkpoint.load(tmp_path)
    with pytest.raises(UserError, match="there is no file"):
        checkpoint.load(tmp_path / "missing")


def test_optimizer_state_is_restored() -> None:
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
