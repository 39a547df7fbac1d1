"""The fast denoiser of a model: when it draws, and what is drawn again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Run, write_fast
from undiffuse import TextToImage, UserError, load
from undiffuse.pipeline.options import NEEDS_FULL
from undiffuse.pipeline.record import parse_record
from undiffuse.runtime.session import FAST, weight_file
from undiffuse.runtime.weights import read_weights


@pytest.fixture(scope="module")
def folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fast(tmp_path_factory.mktemp("fast") / "model", model_folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> TextToImage:
    return load(folder)


def test_the_fast_denoiser_draws_by_default(model: TextToImage, folder: Path) -> None:
    steps = list(model.steps("a red apple"))
    assert [step.step.steps for step in steps] == [3, 3, 3]
    record = steps[-1].pictures()[0].record
    assert record["model"] == read_weights(weight_file(folder, FAST), "denoiser").hash
    assert (record["fast"], record["guidance"], record["sampler"]) == (True, 1.0, "euler")


def test_the_fast_denoiser_alone_draws_the_same(
    model: TextToImage, folder: Path, tmp_path: Path
) -> None:
    """A folder in which it is denoiser.safetensors, as `train few-steps` writes it."""
    alone = write_fast(tmp_path / "alone", folder)
    weight_file(alone, FAST).replace(weight_file(alone, "denoiser"))
    one, other = (one.generate("a cat", seed=3)[0] for one in (model, load(alone)))
    assert np.array_equal(one.pixels, other.pixels)
    assert one.record["model"] == other.record["model"]


@pytest.mark.parametrize(
    "options",
    [{"steps": 3}, {"guidance": 1.0}, {"sampler": "euler"}, {"negative": "a dog"},
     {"sampler": "blend", "freshness": 0.5}, {"fast": False}],
)  # fmt: skip
def test_some_options_need_the_other_denoiser(
    model: TextToImage, model_folder: Path, options: dict[str, Any]
) -> None:
    drawn = model.generate("a red apple", **options)[0]
    expected = load(model_folder).generate("a red apple", **options)[0]
    assert np.array_equal(drawn.pixels, expected.pixels)
    assert drawn.record == expected.record
    if "fast" not in options:
        assert set(options) & set(NEEDS_FULL)
        with pytest.raises(UserError, match=f"fast and {next(iter(options))} exclude each other"):
            model.generate("a red apple", fast=True, **options)


def test_other_options_leave_the_fast_denoiser(model: TextToImage) -> None:
    for options in ({"style": "noto"}, {"style_strength": 2.0}, {"literal": True}):
        assert model.generate("a cat", **options)[0].record["fast"], options  # type: ignore[arg-type]
    assert model.generate(["a cat - a dog", ""])[1].record["fast"]


def test_a_record_keeps_the_level_below_which_style_and_color_are_stronger(
    model: TextToImage,
) -> None:
    drawn = []
    for below in (0.0, 0.5, 1.0):
        config = replace(model.defaults, style_below=0.6, fast_style_below=below)
        one = replace(model, defaults=config).generate("a blue cat", style="noto")[0]
        assert one.record["style_below"] == below
        found, options = parse_record(one.record, Path("x.png"))
        again = replace(model, defaults=found).generate(**options)[0]
        assert np.array_equal(again.pixels, one.pixels)
        drawn.append(one.pixels)
    assert not np.array_equal(drawn[0], drawn[2])


def test_a_model_without_one_refuses(model_folder: Path) -> None:
    with pytest.raises(UserError, match="has no denoiser-fast"):
        load(model_folder).generate("a cat", fast=True)


def test_what_does_not_belong_to_the_model_is_refused(model_folder: Path, tmp_path: Path) -> None:
    other = write_fast(tmp_path / "other", model_folder, clip="0123456789abcdef")
    with pytest.raises(UserError, match="trained with clip 0123456789abcdef"):
        load(other)
    many = write_fast(tmp_path / "many", model_folder, few_steps=0)
    with pytest.raises(UserError, match="draws in many steps: give what"):
        load(many)
    full = write_fast(tmp_path / "full", model_folder)
    weight_file(full, "denoiser").unlink()
    model = load(full)
    assert model.generate("a cat")[0].record["fast"]
    with pytest.raises(UserError, match="no weight file"):
        model.generate("a cat", steps=5)


def test_the_command_line_draws_and_replays(run: Run, folder: Path, model_folder: Path) -> None:
    for arguments, fast in (((), True), (("--no-fast",), False), (("--steps", "4"), False)):
        status, out, err = run("a red apple", "-o", "a.png", "--overwrite", "--json", *arguments,
                               model=folder)  # fmt: skip
        assert status == 0, err
        assert json.loads(out[0])["record"].get("fast", False) is fast
        assert run("replay", "a.png", model=folder)[:2] == (0, ["the same, pixel for pixel"])
    run("a red apple", "-o", "b.png", model=folder)
    status, _, err = run("replay", "b.png", model=model_folder)
    assert status == 2
    assert "has no denoiser-fast.safetensors" in err
    status, _, err = run("a red apple", "--fast", "--steps", "4", model=folder)
    assert (status, err) == (2, "undiffuse: fast and steps exclude each other: give one of them\n")


def test_pictures_in_bulk_are_those_of_the_command(run: Run, folder: Path, tmp_path: Path) -> None:
    import tarfile

    (tmp_path / "prompts.txt").write_text("a red apple\na cat\n")
    for arguments in ((), ("--candidates", "2"), ("--no-fast",)):
        out = "-".join(["shards", *arguments])
        status, _, err = run("draw", "--prompts", "prompts.txt", "-o", out, *arguments,
                             model=folder)  # fmt: skip
        assert status == 0, err
        run("a cat", "-o", "one.png", "--overwrite", "--scale", "4", *arguments, model=folder)
        shard = next((tmp_path / out).glob("*.tar"))
        with tarfile.open(shard) as tar:
            file = tar.extractfile("000000001-0000.png")
            assert file is not None
            assert file.read() == (tmp_path / "one.png").read_bytes()
