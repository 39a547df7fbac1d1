"""`undiffuse train DATA -o MODEL`, from a folder of captioned images to a model that draws."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw

from tests.training import tiny
from undiffuse import load
from undiffuse.cli.train import command as train_command
from undiffuse.config import STYLES
from undiffuse.errors import UserError
from undiffuse.runtime.weights import read_weights
from undiffuse.training import loop, plan, prior_pictures, stage_builder, train_model

STEPS = [f"--steps={stage}=2" for stage in ("clip", "codec", "denoiser", "decoder")]
FILES = ("clip.safetensors", "codec.safetensors", "denoiser.safetensors")


@pytest.fixture(scope="module", autouse=True)
def tiny_preset() -> Iterator[None]:
    codec = replace(tiny.CODEC, image_size=32, widths=(8, 16), channels=16)
    preset = plan.ModelPreset(0.0, tiny.CLIP, codec, replace(tiny.DENOISER, channels=16))
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(plan.PRESETS, "tiny", preset)
        patch.setattr(train_model, "BATCHES", dict.fromkeys(train_model.BATCHES, 32))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty captioned circles and squares of other sizes, some transparent."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    folder.mkdir()
    for number in range(40):
        color = ("red", "green", "blue", "orange")[number % 4]
        image = Image.new("RGBA", (40 + number, 40), (0, 0, 0, 0))
        draw = ImageDraw.Draw(image)
        (draw.ellipse if number % 2 else draw.rectangle)((8, 8, 30, 30), fill=color)
        image.save(folder / f"{number:02d}.png")
        shape = "circle" if number % 2 else "square"
        (folder / f"{number:02d}.txt").write_text(f"a {color} {shape}\n")
    return folder


def train(*args: str | Path) -> Result:
    arguments = [str(arg) for arg in (*args, "--threads", 1)]
    return CliRunner().invoke(train_command, arguments, catch_exceptions=False)


def scratch(pictures: Path, out: Path, *options: str) -> Result:
    return train(pictures, "-o", out, "--from-scratch", "--preset=tiny", *STEPS, *options)


@pytest.mark.slow
def test_a_folder_becomes_a_model_that_draws_in_its_own_size(
    pictures: Path, tmp_path: Path
) -> None:
    result = scratch(pictures, tmp_path / "model", "--alpha")
    assert result.exit_code == 0, result.output
    model = load(tmp_path / "model", threads=1)
    assert model.defaults.style == "shapes"
    drawn = model.generate("a red circle", n=2, steps=2)
    assert drawn[0].pixels.shape == (32, 32, 4)
    assert np.array_equal(
        drawn[1].pixels, model.generate("a red circle", first_index=1, steps=2)[0].pixels
    )
    with pytest.raises(UserError, match="style='noto' is unknown: choose one of shapes"):
        model.generate("a red circle", style="noto")


@pytest.mark.slow
def test_a_run_stopped_in_every_stage_ends_with_the_same_bytes(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scratch(pictures, tmp_path / "whole").exit_code == 0
    for stage in ("clip", "codec", "denoiser", "decoder"):
        with monkeypatch.context() as patch:
            save = loop.Run.save

            def stop(run: loop.Run, stage: str = stage, save=save) -> None:  # type: ignore[no-untyped-def]
                save(run)
                if run.folder.name == stage:
                    raise SystemExit("killed")

            patch.setattr(loop.Run, "save", stop)
            assert scratch(pictures, tmp_path / "cut").exit_code != 0
    assert scratch(pictures, tmp_path / "cut").exit_code == 0
    for name in FILES:
        kind = name.partition(".")[0]
        whole, cut = (read_weights(tmp_path / run / name, kind) for run in ("whole", "cut"))
        assert all(np.array_equal(whole.tensors[k], cut.tensors[k]) for k in whole.tensors), name


@pytest.mark.slow
def test_lora_fine_tuning_starts_from_the_shipped_weights(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prior_pictures, "COUNT", 6)
    result = train(
        pictures, "-o", tmp_path / "model", "--lora", "--steps=denoiser=1", "--steps=decoder=1"
    )
    assert result.exit_code == 0, result.output
    shipped = read_weights(stage_builder.SHIPPED_WEIGHTS / FILES[2], "denoiser")
    tuned = read_weights(tmp_path / "model" / FILES[2], "denoiser")
    assert tuned.tensors.keys() == shipped.tensors.keys()
    assert tuned.meta["styles"] == sorted(["shapes", *STYLES])
    assert tuned.meta["style"] == ""
    assert load(tmp_path / "model", threads=1).generate("a red circle", steps=2)


def test_another_option_on_the_folder_of_a_run_is_refused(pictures: Path, tmp_path: Path) -> None:
    plan.Plan("scratch", "tiny", {}, None, settings={"data": "x", "style": ""}).write(tmp_path)
    with pytest.raises(UserError, match=r"holds a run with data 'x'.*use the same options"):
        scratch(pictures, tmp_path)


def test_steps_and_minutes_exclude_each_other(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--minutes and --steps exclude each other"):
        train(pictures, "-o", tmp_path / "m", "--minutes", "3", "--steps", "codec=3")
    result = train(pictures, "-o", tmp_path / "m", "--steps", "codec=many")
    assert (result.exit_code, "give STAGE=N" in result.output) == (2, True)


def test_lora_changes_nothing_before_training_and_merges_exactly() -> None:
    from undiffuse.networks.denoiser import DenoiserNetwork
    from undiffuse.networks.lora import add_lora, merge_lora

    torch.manual_seed(0)
    network = DenoiserNetwork(tiny.DENOISER)
    torch.nn.init.normal_(network.out.weight)
    shape = (2, tiny.DENOISER.channels, tiny.DENOISER.side, tiny.DENOISER.side)
    inputs = torch.randn(shape), torch.rand(2), torch.randn(2, 512)
    before, names = network(*inputs), {name for name, _ in network.named_parameters()}
    trained = add_lora(network, 4)
    assert torch.equal(network(*inputs), before)
    with torch.no_grad():
        for parameter in trained:
            parameter.normal_(std=0.1)
    changed = network(*inputs)
    assert not torch.allclose(changed, before, atol=1e-3)
    merged = merge_lora(network)
    assert torch.allclose(merged(*inputs), changed, atol=1e-5)
    assert {name for name, _ in merged.named_parameters()} == names


def test_a_prepared_set_is_read_back_and_never_mixed_up(pictures: Path, tmp_path: Path) -> None:
    from undiffuse.data.prepared import prepare
    from undiffuse.data.sources import open_source

    first = prepare(open_source(str(pictures)), tmp_path / "data", size=16, channels=4)
    again = prepare(open_source(str(pictures)), tmp_path / "data", size=16, channels=4)
    assert first.pictures.shape == (40, 4, 16, 16)
    assert first.digest == again.digest
    with pytest.raises(UserError, match="holds another data set"):
        prepare(open_source(str(pictures)), tmp_path / "data", size=32, channels=4)
    shutil.rmtree(tmp_path / "data")


def test_a_changed_data_set_is_noticed_on_resuming(pictures: Path, tmp_path: Path) -> None:
    from undiffuse.data.prepared import prepare
    from undiffuse.data.sources import open_source

    data, said = tmp_path / "own", list[str]()
    shutil.copytree(pictures, data)

    def again() -> str:
        source = open_source(str(data))
        return prepare(source, tmp_path / "data", size=16, channels=3, say=said.append).digest

    first = again()
    os.utime(data / "00.png", ns=(1, 1))  # the time alone: the content is compared
    assert again() == first
    assert "the times of files in" in said[-1]
    assert again() == first
    assert len(said) == 1
    (data / "00.txt").write_text("a gray square\n")
    with pytest.raises(UserError, match="has changed since it was prepared"):
        again()
    (data / "00.txt").write_text((pictures / "00.txt").read_text())
    assert again() == first
    (data / "03.txt").write_text("a orange circlf\n")  # as long as before
    assert (data / "03.txt").stat().st_size == (pictures / "03.txt").stat().st_size
    with pytest.raises(UserError, match="has changed since it was prepared"):
        again()
    shutil.copy(pictures / "03.txt", data / "03.txt")
    shutil.copy(data / "00.png", data / "99.png")
    with pytest.raises(UserError, match="80 files then, 81 now"):
        again()
    assert not list(tmp_path.glob(".*part"))


@pytest.mark.slow
def test_the_report_shows_the_run_and_needs_no_network(pictures: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a <b>red</b> circle\na blue square\n")
    model = tmp_path / "model"
    assert scratch(pictures, model, "--prompts", str(prompts)).exit_code == 0
    page = (model / "report.html").read_text()
    assert "a &lt;b&gt;red&lt;/b&gt; circle" in page
    assert "<b>" not in page
    addresses = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    for text in ("Stage clip", "Stage decoder", "CLIP retrieval", "peak memory", "nearest by CLIP",
                 "scratch: as asked", "preset tiny"):  # fmt: skip
        assert text in page, text
    assert list((model / "runs" / "denoiser" / "samples").glob("step-*.png"))
    assert list((model / "runs" / "codec" / "samples").glob("step-*.png"))


@pytest.mark.slow
def test_a_truncated_checkpoint_is_replaced_by_the_one_before(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from undiffuse.training.checkpoint import previous_path

    monkeypatch.setattr(loop.Run, "save_minutes", 0.0, raising=False)
    steps = ["--steps=codec=4", "--steps=clip=1", "--steps=denoiser=1", "--steps=decoder=1"]
    begin = [pictures, "-o", tmp_path / "m", "--from-scratch", "--preset=tiny", *steps]
    update = loop.update_weights

    def stop(run: loop.Run, losses):  # type: ignore[no-untyped-def]
        values = update(run, losses)
        if run.folder.name == "codec" and run.step == 3:
            raise SystemExit("killed")
        run.save()
        return values

    with monkeypatch.context() as patch:
        patch.setattr(loop, "update_weights", stop)
        assert train(*begin).exit_code != 0
    path = tmp_path / "m" / "runs" / "codec" / loop.CHECKPOINT
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])
    assert previous_path(path).exists()
    result = train(*begin)
    assert result.exit_code == 0, result.output
    assert "broken: continuing from the checkpoint before it, of step 1" in result.stderr
    assert train(pictures, "-o", tmp_path / "w", *begin[3:]).exit_code == 0
    cut, whole = (read_weights(tmp_path / run / FILES[1], "codec").tensors for run in ("m", "w"))
    assert all(np.array_equal(cut[name], whole[name]) for name in whole)


@pytest.mark.slow
def test_the_decoder_stays_as_it_is_where_few_latents_can_be_sampled(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = stage_builder.sample_latents

    def few(*args: object) -> object:
        found = sample(*args)  # type: ignore[arg-type]
        return replace(found, rows=found.rows[:8], x0=found.x0[:8])

    monkeypatch.setattr(stage_builder, "sample_latents", few)
    out = tmp_path / "model"
    result = scratch(pictures, out)
    assert result.exit_code == 0, result.output
    assert "no decoder fine-tuning" in result.output
    codec = read_weights(out / "codec.safetensors", "codec")
    assert codec.hash == read_weights(out / "runs/codec/codec.safetensors", "codec").hash
    assert load(out, threads=1).generate("a red circle", steps=1)
    assert scratch(pictures, out).exit_code == 0  # resumed: nothing is left to do
