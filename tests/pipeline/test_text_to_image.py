"""A picture is a function of model, prompt, settings, seed and index: tested on its bytes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import LATENT, write_variant
from undiffuse import DrawConfig, TextToImage, UserError, diffusion, load
from undiffuse.config import IMAGE_SIZE, STYLES
from undiffuse.data.emoji_sets import TRAINED_STYLES
from undiffuse.pipeline import Picture
from undiffuse.pipeline.prompt import parse_prompt
from undiffuse.runtime.weights import read_weights

FAST: dict[str, Any] = {"steps": 4}


@pytest.fixture(scope="module")
def model(model_folder: Path) -> TextToImage:
    return load(model_folder)


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.pixels, other.pixels)


def test_styles_are_those_of_the_training_set() -> None:
    assert STYLES == TRAINED_STYLES
    assert DrawConfig().style in STYLES


def test_a_picture_is_the_same_alone_and_in_a_batch(model: TextToImage) -> None:
    prompts = ["a red apple", "", "two cats"]
    together = model.generate(prompts, n=3, seed=5, **FAST)
    assert [(p.record["prompt"], p.record["index"]) for p in together] == [
        (prompt, index) for prompt in prompts for index in range(3)
    ]
    for k, prompt in ((0, "a red apple"), (4, ""), (8, "two cats")):
        alone = model.generate(prompt, seed=5, first_index=k % 3, **FAST)[0]
        assert same(alone, together[k])
        assert alone.record == together[k].record
    assert not same(together[0], together[1])
    assert not same(together[0], together[6])
    assert not same(together[0], model.generate("a red apple", seed=6, **FAST)[0])


def test_threads_and_loading_again_change_nothing(model_folder: Path) -> None:
    drawn = [
        load(model_folder, threads).generate("a red apple", n=2, sampler="ddpm", **FAST)
        for threads in (1, 2, 3)
    ]
    assert all(same(a, b) for other in drawn[1:] for a, b in zip(drawn[0], other, strict=True))


def test_every_sampler_draws_the_same_alone(model: TextToImage) -> None:
    for sampler in diffusion.SAMPLERS:
        settings: dict[str, Any] = {"sampler": sampler, "steps": 3}
        both = model.generate("a red apple", n=2, **settings)
        assert same(model.generate("a red apple", first_index=1, **settings)[0], both[1]), sampler
        assert both[0].pixels.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
        assert both[0].pixels.dtype == np.uint8


def test_steps_show_the_drawing_after_each_step(model: TextToImage) -> None:
    previews = list(model.steps("a red apple", n=2, sampler="blend", steps=20))
    steps = [preview.step for preview in previews]
    assert [step.alpha for step in steps] == pytest.approx([k / 20 for k in range(1, 21)])
    assert [step.sigma for step in steps] == pytest.approx([1 - k / 20 for k in range(1, 21)])
    for preview in (previews[0], previews[-1]):
        assert preview.x_t().shape == preview.x0().shape == (2, IMAGE_SIZE, IMAGE_SIZE, 3)
        assert np.array_equal(preview.x_t(slice(1, 2))[0], preview.x_t()[1])
    drawn = model.generate("a red apple", n=2, sampler="blend", steps=20)
    assert np.array_equal(previews[-1].x_t(), [picture.pixels for picture in drawn])
    assert not np.array_equal(previews[0].x_t(), previews[-1].x_t())


def test_every_setting_changes_the_picture(model: TextToImage) -> None:
    usual = model.generate("a red apple", **FAST)[0]
    for other in ({"guidance": 1.0}, {"steps": 5}, {"sampler": "euler"}, {"style": "noto"}):
        assert not same(usual, model.generate("a red apple", **{**FAST, **other})[0]), other
    for change in ({"shift": 3.0}, {"band_high": 0.5}, {"band_low": 0.5}):
        changed = replace(model, defaults=DrawConfig(**change))
        assert not same(usual, changed.generate("a red apple", **FAST)[0]), change
    off = replace(model, defaults=DrawConfig(band_low=0.99, band_high=0.995))
    unguided = model.generate("a red apple", guidance=1.0, **FAST)[0]
    assert same(off.generate("a red apple", **FAST)[0], unguided)


def test_the_record_holds_every_setting_and_version(model: TextToImage, model_folder: Path) -> None:
    picture = model.generate("two cats", n=2, seed=2**64 - 1, guidance=2, style="blob", **FAST)[1]
    record = json.loads(json.dumps(picture.record))
    assert record == picture.record
    assert record["model"] == read_weights(model_folder / "denoiser.safetensors", "denoiser").hash
    assert record["versions"]["numpy"] == np.__version__
    assert set(record["versions"]) == {"undiffuse", "numpy", "onnxruntime"}
    assert (record["text"], record["style"]) == ("two cats in blob style", "blob")
    assert (record["seed"], record["index"], record["guidance"]) == (2**64 - 1, 1, 2.0)


def test_a_prompt_that_names_no_style_gets_the_default_one() -> None:
    for prompt, style, text in (
        ("a red apple", "twemoji", "a red apple in twemoji style"),
        ("  a red\n apple ", "noto", "a red apple in noto style"),
        ("a red apple in noto style", "twemoji", "a red apple in noto style"),
        ("Noto apple", "twemoji", "Noto apple"),
        ("apple, FLAT style", "twemoji", "apple, FLAT style"),
        ("a flat tyre", "twemoji", "a flat tyre in twemoji style"),
        ("a keynoto", "blob", "a keynoto in blob style"),
        ("a red apple", "", "a red apple"),
        ("", "twemoji", ""),
        (" \n", "twemoji", ""),
    ):
        assert parse_prompt(prompt, style).text == text


def test_notes_tell_what_the_prompt_can_not_do(model: TextToImage) -> None:
    def notes(prompt: str, **settings: Any) -> str:
        return " ".join(model.generate(prompt, steps=1, **settings)[0].notes)

    assert notes("a red apple") == ""
    assert notes("") == "the prompt is empty: the picture is random"
    assert "'in twemoji style' was cut off" in notes("a" * 46)
    assert notes("a noto cat") == ""
    assert "flat is not added" in notes("a noto cat", style="flat")


def test_an_empty_prompt_is_unsteered_whatever_the_guidance(model: TextToImage) -> None:
    plain = model.generate("", guidance=1.0, **FAST)[0]
    assert same(model.generate("  ", guidance=9.0, **FAST)[0], plain)
    assert plain.record["style"] == ""


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"n": 0}, "n=0"),
    ({"n": 2.5}, "n=2.5"),
    ({"seed": -1}, "seed=-1"),
    ({"seed": 2**64}, "seed="),
    ({"first_index": -1}, "first_index=-1"),
    ({"steps": 0}, "steps=0"),
    ({"steps": 10**9}, "steps="),
    ({"steps": "20"}, "steps='20'"),
    ({"guidance": float("nan")}, "guidance=nan"),
    ({"guidance": float("inf")}, "guidance=inf"),
    ({"sampler": "magic"}, "choose one of blend, ddpm"),
    ({"style": "cubist"}, "choose one of noto, twemoji"),
    ({"prompt": "x" * 1001}, "1001 characters"),
    ({"prompt": "a \udcff b"}, "is no UTF-8 text"),
    ({"prompt": [3]}, "is no UTF-8 text"),
    ({"prompt": []}, "the list of prompts is empty"),
]


def test_a_wrong_argument_is_refused_in_one_line_before_the_first_step(model: TextToImage) -> None:
    for wrong, message in WRONG:
        with pytest.raises(UserError, match=message) as caught:
            model.steps(**{"prompt": "a red apple", **wrong})
        assert "\n" not in str(caught.value)
    for change in ({"band_low": 0.7, "band_high": 0.5}, {"shift": 0.0}):
        with pytest.raises(UserError, match=r"band_low|shift"):
            replace(model, defaults=DrawConfig(**change)).steps("a red apple")


@pytest.mark.slow
def test_networks_that_predict_eps_v_or_the_previous_step_draw_too(
    tmp_path: Path, model_folder: Path
) -> None:
    for target, sampler in (("eps", "dpmpp_2m"), ("v", "dpmpp_2m"), ("previous", "previous")):
        config = replace(LATENT, target=target, schedule="linear")
        folder = write_variant(tmp_path / target, model_folder, config, chain=8)
        picture = load(folder).generate("a red apple", sampler=sampler, **FAST)[0]
        assert picture.pixels.std() > 0, target


def test_freshness_is_the_share_of_new_noise(model: TextToImage) -> None:
    options = {"seed": 3, **FAST}
    uniform = replace(model, defaults=replace(model.defaults, shift=1.0))
    euler = uniform.generate("a red apple", sampler="euler", **options)[0]
    old = model.generate("a red apple", sampler="blend", freshness=0.0, **options)[0]
    assert same(old, euler)  # blend without fresh noise is Euler's method
    assert old.record["freshness"] == 0.0
    ddpm = model.generate("a red apple", sampler="ddpm", **options)[0]
    assert same(model.generate("a red apple", sampler="ddim", freshness=1.0, **options)[0], ddpm)
    assert "freshness" not in ddpm.record
    for wrong in ({"sampler": "euler", "freshness": 0.5}, {"sampler": "ddim", "freshness": 1.5}):
        with pytest.raises(UserError, match="freshness"):
            model.generate("a red apple", **options, **wrong)
