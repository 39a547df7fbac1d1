"""A CLIP that starts from the weights of one with fewer blocks."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from tests.sample import FOLDER
from tests.training import tiny
from undiffuse.cli.train import command
from undiffuse.clip.model import Clip
from undiffuse.config import STAGE_PRESETS, ClipConfig
from undiffuse.errors import UserError
from undiffuse.runtime.weights import read_weights
from undiffuse.training.model_io import export_weights, load_module, load_start_weights

DEEPER = {"image_depth": 3, "text_depth": 4}
IDS, LENGTHS = torch.tensor([[1, 5, 2], [1, 7, 8]]), torch.tensor([3, 2])


@pytest.mark.parametrize("tower", ["conv", "transformer"])
def test_new_blocks_change_nothing_until_they_are_trained(tower: str, tmp_path: Path) -> None:
    run = tiny.make("clip", tmp_path, tower=tower)
    export_weights(run, "clip")
    source, _ = load_module(tmp_path / "clip.safetensors", "clip")
    deep = Clip(replace(source.config, **DEEPER))
    load_start_weights(tmp_path / "clip.safetensors", "clip", deep)
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for own, theirs in (
            (deep.encode_image(pictures), source.encode_image(pictures)),
            (deep.encode_text(IDS, LENGTHS), source.encode_text(IDS, LENGTHS)),
        ):
            assert torch.allclose(own, theirs, atol=1e-6)
    (deep.encode_image(pictures) @ deep.encode_text(IDS, LENGTHS).T).trace().backward()
    for block in (*deep.image.blocks[1:], *deep.text.blocks[2:]):
        assert block.mlp.down.weight.grad.abs().max() > 0
    for block in deep.image.convolutions[1:]:
        assert block.conv2.weight.grad.abs().max() > 0


def test_a_narrower_or_shallower_network_is_refused(tmp_path: Path) -> None:
    run = tiny.make("clip", tmp_path)
    export_weights(run, "clip")
    for other in ({"text_depth": 1}, {**DEEPER, "image_width": 64}):
        model = Clip(replace(tiny.CLIP, **other))
        with pytest.raises(UserError, match="another configuration"):
            load_start_weights(tmp_path / "clip.safetensors", "clip", model)


def train(*args: str | Path) -> Result:
    common = ("clip", "--data", FOLDER, "--preset", "judge", "--batch", "32", "--eager")
    words = [str(one) for one in (*common, "--threads", "1", *args)]
    return CliRunner().invoke(command, words, catch_exceptions=False)


@pytest.mark.slow
def test_the_judge_is_grown_from_a_smaller_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ClipConfig(**{**vars(tiny.CLIP), "tower": "conv", "seed": 1})
    monkeypatch.setitem(STAGE_PRESETS, "judge", {"clip": small})
    assert train("-o", tmp_path / "small", "--steps", "1").exit_code == 0
    monkeypatch.setitem(STAGE_PRESETS, "judge", {"clip": replace(small, **DEEPER)})
    start = ("--start-weights", tmp_path / "small" / "clip.safetensors", "--steps", "2")
    assert train("-o", tmp_path / "large", *start, "--grow").exit_code == 0
    config = read_weights(tmp_path / "large" / "clip.safetensors", "clip").meta["config"]
    assert DEEPER.items() <= config.items()
    with pytest.raises(UserError, match="--grow needs --start-weights"):
        train("-o", tmp_path / "other", "--grow")
