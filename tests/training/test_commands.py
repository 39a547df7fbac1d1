"""The training commands from end to end, on the sample, with tiny networks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from tests.sample import FOLDER, originals
from tests.training import tiny
from undiffuse.cli.train import command as train_command
from undiffuse.config import STAGE_PRESETS, ClipConfig
from undiffuse.data.shards import write_shards
from undiffuse.errors import UserError
from undiffuse.pipeline import load
from undiffuse.runtime.weights import read_weights, write_weights
from undiffuse.training import checkpoint
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.metrics import read_metrics
from undiffuse.training.model_io import load_module

pytestmark = pytest.mark.slow
EAGER = ["--eager", "--threads", "1"]


@pytest.fixture(scope="module", autouse=True)
def tiny_presets() -> Iterator[None]:
    judge = ClipConfig(**{**vars(tiny.CLIP), "tower": "conv", "seed": 1})
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STAGE_PRESETS, "clip", {"clip": tiny.CLIP})
        patch.setitem(STAGE_PRESETS, "judge", {"clip": judge})
        patch.setitem(STAGE_PRESETS, "codec", {"codec": tiny.CODEC})
        patch.setitem(STAGE_PRESETS, "denoiser", {"denoiser": tiny.DENOISER})
        yield
    torch.set_num_threads(threads)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(train_command, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clip, judge, codec and denoiser, three steps each."""
    out = tmp_path_factory.mktemp("runs")
    tiny.write_words(out / "words.safetensors")
    common = ("--data", FOLDER, "--steps", "3", *EAGER)
    for result in (
        run("clip", *common, "--batch", "32", "-o", out / "clip",
            "--words", out / "words.safetensors"),
        run("clip", *common, "--batch", "32", "-o", out / "judge", "--preset", "judge"),
        run("codec", *common, "--batch", "16", "-o", out / "codec"),
        run("denoiser", *common, "--batch", "16", "-o", out / "denoiser", *frozen(out)),
    ):  # fmt: skip
        assert result.exit_code == 0, result.output
    return out


def frozen(out: Path) -> list[str | Path]:
    return [
        "--clip", out / "clip" / "clip.safetensors",
        "--codec", out / "codec" / "codec.safetensors",
        "--judge", out / "judge" / "clip.safetensors",
    ]  # fmt: skip


def test_weight_files_name_what_they_were_trained_with(trained: Path) -> None:
    clip = read_weights(trained / "clip" / "clip.safetensors", "clip")
    assert clip.meta["training"]["steps"] == 3
    assert not [name for name in clip.tensors if name.startswith("distillation")]
    codec = read_weights(trained / "codec" / "codec.safetensors", "codec")
    denoiser = read_weights(trained / "denoiser" / "denoiser.safetensors", "denoiser")
    assert denoiser.meta["clip"] == clip.hash
    assert denoiser.meta["codec"] == codec.encoder
    assert denoiser.meta["chain"] == 0


def test_weight_files_hold_the_averaged_weights(trained: Path) -> None:
    for kind, length in (("clip", 0.05), ("codec", 0.05), ("denoiser", 0.10)):
        tensors, _ = checkpoint.load(trained / kind / "checkpoint.safetensors")
        shipped = read_weights(trained / kind / f"{kind}.safetensors", kind).tensors
        differ = False
        for name, tensor in shipped.items():
            average, last = (
                tensors[key].half().float().numpy()
                for key in (f"ema.{length}/{name}", f"model.{name}")
            )
            assert np.array_equal(tensor, average)
            differ |= not np.array_equal(tensor, last)
        assert differ


def test_validation_results_are_logged_and_drawn(trained: Path) -> None:
    figures = {kind: read_metrics(trained / kind)[-1] for kind in ("clip", "codec", "denoiser")}
    assert all(line["step"] == 3 for line in figures.values())
    assert 0 <= figures["clip"]["figures"]["held-out cell top-1"] <= 1
    assert figures["codec"]["figures"]["PSNR at noise 0.0"] > 0
    assert 0 <= figures["denoiser"]["figures"]["names top-1"] <= 1
    sheet = Image.open(trained / "denoiser" / "samples" / "step-00000003.png")
    assert sheet.width % 64 == 0
    assert sheet.height % 64 == 0


def test_a_module_with_a_missing_tensor_is_refused(trained: Path, tmp_path: Path) -> None:
    path = trained / "denoiser" / "denoiser.safetensors"
    model, weights = load_module(path, "denoiser")
    assert not model.training
    for name, parameter in model.named_parameters():
        assert np.array_equal(parameter.numpy(), weights.tensors[name])
        assert not parameter.requires_grad
    tensors = dict(weights.tensors)
    tensors.pop("norm.gain")
    write_weights(tmp_path / "x.safetensors", tensors, weights.meta)
    with pytest.raises(UserError, match=r"does not match its own configuration: norm\.gain"):
        load_module(tmp_path / "x.safetensors", "denoiser")


def test_the_latent_cache_is_reproducible(trained: Path, tmp_path: Path) -> None:
    from tests.sample import pictures

    few = pictures().subset(np.arange(20))
    paths = [Path(path) for path in frozen(trained)[1:4:2]]
    one, other, again = (
        FrozenModels.load(*paths).cache(few, tmp_path / name, lambda line: None) for name in "aba"
    )
    assert all(
        torch.equal(a, b) for a, b in zip(vars(one).values(), vars(again).values(), strict=True)
    )
    for name in ("x0", "captions", "pictures"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert one.x0.shape == (4, 20, 8, 4, 4)
    assert one.captions.shape == (20, 8, 512)
    assert torch.allclose(one.pictures.float().norm(dim=1), torch.ones(20), atol=1e-2)
    hurried = FrozenModels.load(*paths).cache(few, tmp_path / "c", lambda line: None, seconds=0.0)
    assert torch.equal(hurried.x0, one.x0[:1])


def test_a_finished_run_writes_the_same_weights_again(trained: Path) -> None:
    path = trained / "codec" / "codec.safetensors"
    before = path.read_bytes()
    common = ("--data", FOLDER, "--steps", "3", *EAGER)
    result = run("codec", *common, "--batch", "16", "-o", trained / "codec")
    assert "resumed at step 3 of 3" in result.output
    assert path.read_bytes() == before


def test_another_setting_in_the_same_folder_is_refused(trained: Path) -> None:
    with pytest.raises(UserError, match="trained with another batch, with 16"):
        run("codec", "--data", FOLDER, "--batch", "8", "-o", trained / "codec", *EAGER)
    with pytest.raises(UserError, match="trained with another learning_rate"):
        run("denoiser", "--data", FOLDER, "--batch", "16", "-o", trained / "denoiser",
            "--learning-rate", "0.1", *frozen(trained), *EAGER)  # fmt: skip
    with pytest.raises(UserError, match="trained with another clip"):
        run("denoiser", "--data", FOLDER, "--batch", "16", "-o", trained / "denoiser",
            *frozen(trained), "--clip", trained / "judge" / "clip.safetensors", *EAGER)  # fmt: skip


def test_a_finetuned_decoder_keeps_the_encoder(trained: Path, tmp_path: Path) -> None:
    start = trained / "codec" / "codec.safetensors"
    common = ("--data", FOLDER, "--steps", "2", "--batch", "16", "-o", tmp_path, *EAGER)
    assert (
        run("codec", *common, "--start-decoder", start, "--sharpness-weight", "0.5").exit_code == 0
    )
    before, after = (read_weights(p, "codec") for p in (start, tmp_path / start.name))
    assert before.encoder == after.encoder
    assert before.hash != after.hash
    same = {k: np.array_equal(v, after.tensors[k]) for k, v in before.tensors.items()}
    assert all(same[name] for name in same if name.startswith("encoder."))
    assert not all(same[name] for name in same if name.startswith("decoder."))
    config = {**before.meta["config"], "flat": 0.5}
    write_weights(other := tmp_path / "other", before.tensors, {**before.meta, "config": config})
    assert read_weights(other, "codec").encoder == before.encoder
    config = {**config, "channels": 9}
    write_weights(other, before.tensors, {**before.meta, "config": config})
    assert read_weights(other, "codec").encoder != before.encoder


def test_a_decoder_is_finetuned_on_sampled_latents(trained: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for kind in ("clip", "codec", "denoiser"):
        shutil.copy(trained / kind / f"{kind}.safetensors", model)
    common = ("--sampled-count", "8", "--data", FOLDER, "--steps", "2", "--batch", "16", *EAGER)
    start = ("--start-decoder", model / "codec.safetensors")
    result = run("codec", *common, *start, "--sampled-by", model, "-o", tmp_path / "decoder")
    assert "sampling the latents of 8 pictures" in result.output
    made = read_weights(tmp_path / "decoder" / "codec.safetensors", "codec")
    before = read_weights(model / "codec.safetensors", "codec")
    assert (made.encoder, made.hash != before.hash) == (before.encoder, True)
    assert list((tmp_path / "cache").glob("drawn-8-*.safetensors"))
    with pytest.raises(UserError, match="trained with another sampled_by"):
        run("codec", *common, *start, "-o", tmp_path / "decoder")
    with pytest.raises(UserError, match="has no CLIP in it"):
        run("codec", *common, *start, "--sampled-by", trained, "-o", tmp_path / "other")


def test_a_model_is_distilled_and_draws_in_few_steps(trained: Path, tmp_path: Path) -> None:
    model, student = tmp_path / "model", tmp_path / "student"
    model.mkdir()
    for kind in ("clip", "codec", "denoiser"):
        shutil.copy(trained / kind / f"{kind}.safetensors", model)
    common = ("few-steps", "--data", FOLDER, "-o", student)
    short = ("--trajectories", "512", "--steps", "2", "--batch", "16", *EAGER)
    with pytest.raises(UserError, match="20 steps must be a multiple"):
        run(*common, *short, "--few", "3", "--model", model)
    result = run(*common, *short, "--few", "2", "--model", model)
    assert result.exit_code == 0, result.output
    drawing = load(student)
    assert (drawing.defaults.steps, drawing.defaults.guidance) == (2, 1.0)
    assert drawing.generate("cat", style="")[0].record["steps"] == 2
    path = student / "denoiser.safetensors"
    weights = read_weights(path, "denoiser")
    assert weights.meta["teacher"] == read_weights(model / path.name, "denoiser").hash
    with pytest.raises(UserError, match="draws in few steps already"):
        run(*common, *short, "--model", student)
    again = ("few-steps", "--data", FOLDER, "-o", tmp_path / "again", *short, "--model", model)
    result = run(*again, "--few", "2", "--learning-rate", "1e-9", "--start-weights", path)
    assert result.exit_code == 0, result.output
    continued = read_weights(tmp_path / "again" / path.name, "denoiser")
    assert max(np.abs(continued.tensors[k] - v).max() for k, v in weights.tensors.items()) < 1e-4
    write_weights(path, weights.tensors, {**weights.meta, "few_steps": "four"})
    with pytest.raises(UserError, match="few_steps='four'"):
        load(student)


def test_a_denoiser_starts_from_weights(trained: Path, tmp_path: Path) -> None:
    """Steps and hours continue from the file's, and the learning rate warms up."""
    start = trained / "denoiser" / "denoiser.safetensors"
    common = ("--data", FOLDER, "--batch", "16", "-o", tmp_path, *frozen(trained), *EAGER)
    result = run("denoiser", *common, "--start-weights", start, "--steps", "5")
    assert "starting at step 3 of 5" in result.output
    before, after = (read_weights(p, "denoiser") for p in (start, tmp_path / start.name))
    assert after.meta["training"]["steps"] == 5
    assert after.meta["training"]["hours"] > before.meta["training"]["hours"]
    moved = [np.abs(after.tensors[k] - before.tensors[k]).max() for k in before.tensors]
    assert 0 < max(moved) < 0.01
    result = run("denoiser", *common, "--start", start, "--steps", "5")  # the old name
    assert "--start is deprecated, use --start-weights" in result.output
    assert "resumed at step 5" in result.output
    other = ("--clip", trained / "judge" / "clip.safetensors", "--start-weights", start)
    with pytest.raises(UserError, match="was trained with another clip"):
        run("denoiser", *common, *other)


def test_a_new_run_counts_from_zero(trained: Path, tmp_path: Path) -> None:
    start = trained / "denoiser" / "denoiser.safetensors"
    common = ("--data", FOLDER, "--batch", "16", "-o", tmp_path, *frozen(trained), *EAGER)
    result = run("denoiser", *common, "--start-weights", start, "--new-run", "--steps", "2")
    assert result.exit_code == 0, result.output
    before, after = (read_weights(p, "denoiser") for p in (start, tmp_path / start.name))
    assert after.meta["training"]["steps"] == 2
    moved = [np.abs(after.tensors[k] - before.tensors[k]).max() for k in before.tensors]
    assert 0 < max(moved) < 0.01


def test_clip_starts_from_weights(trained: Path, tmp_path: Path) -> None:
    start = trained / "judge" / "clip.safetensors"
    before = read_weights(start, "clip")
    steps = before.meta["training"]["steps"] + 1
    common = ("--data", FOLDER, "--preset", "judge", "--batch", "32", "-o", tmp_path, *EAGER)
    result = run(
        "clip", *common, "--composite-share", "0.5", "--start-weights", start, "--steps", str(steps)
    )
    assert result.exit_code == 0
    after = read_weights(tmp_path / start.name, "clip")
    assert after.meta["training"]["steps"] == steps
    assert after.meta["tokenizer"] == before.meta["tokenizer"]
    plain = ("--data", FOLDER, "--batch", "32", "-o", tmp_path / "other", *EAGER)
    assert run("clip", *plain, "--start-weights", start, "--steps", str(steps)).exit_code == 0
    again = read_weights(tmp_path / "other" / start.name, "clip")
    assert again.meta["config"] == before.meta["config"]  # of the file, not of the preset


def test_a_clip_checkpoint_without_a_tokenizer_is_refused(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "judge" / "checkpoint.safetensors", tmp_path)
    with pytest.raises(UserError, match=r"has a checkpoint but no tokenizer\.json"):
        run("clip", "--data", FOLDER, "--preset", "judge", "--batch", "32", "-o", tmp_path, *EAGER)


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    for kind in ("clip", "codec"):
        with pytest.raises(UserError, match=r"no \*\.tar shard"):
            run(kind, "--data", tmp_path, "-o", tmp_path / "out", *EAGER)


def test_bad_samples_are_reported_and_left_out(tmp_path: Path) -> None:
    write_shards(originals()[:60], tmp_path / "data", prefix="x")
    path = tmp_path / "data" / "x-000000.tar"
    path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"\x89XXX", 2))
    result = run("codec", "--data", tmp_path / "data", "--steps", "1", "--batch", "8",
                 "-o", tmp_path / "out", *EAGER)  # fmt: skip
    assert result.exit_code == 0
    assert result.output.count("left out: ") == 2
    assert "not a readable PNG" in result.output
