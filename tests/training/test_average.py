"""`undiffuse train average`: a denoiser between two others."""

from pathlib import Path

import numpy as np

from tests.conftest import Run
from undiffuse.runtime.weights import read_weights, write_weights


def test_two_denoisers_are_averaged(run: Run, model_folder: Path, tmp_path: Path) -> None:
    one = model_folder / "denoiser.safetensors"
    before = read_weights(one, "denoiser")
    other, out = tmp_path / "other.safetensors", tmp_path / "out.safetensors"
    moved = {name: tensor + np.float32(1) for name, tensor in before.tensors.items()}
    write_weights(other, moved, before.meta)
    words = ("train", "average", str(one), str(other), "--share", "0.25", "-o")
    status, lines, err = run(*words, str(out), model=None)
    assert status == 0, err
    after = read_weights(out, "denoiser")
    assert lines == [after.hash]
    for name, tensor in before.tensors.items():
        assert np.abs(after.tensors[name] - tensor - 0.25).max() < 2e-3
    assert after.meta["averaged"] == {"from": before.hash, "share": 0.25}
    assert run(*words, str(out), model=None)[0] == 2  # it exists


def test_denoisers_of_another_clip_are_refused(
    run: Run, model_folder: Path, tmp_path: Path
) -> None:
    one, other = model_folder / "denoiser.safetensors", tmp_path / "other.safetensors"
    before = read_weights(one, "denoiser")
    write_weights(other, before.tensors, before.meta | {"clip": "0123456789abcdef"})
    status, _, err = run("train", "average", str(one), str(other), "-o", "new.safetensors",
                         model=None)  # fmt: skip
    assert status == 2
    assert "can't be averaged: they differ in their clip" in err
    assert not Path("new.safetensors").exists()
