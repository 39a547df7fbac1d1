"""A picture is a function of model, prompt, settings, seed and index: tested on its bytes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import LATENT, write_model
from undiffuse import DrawConfig, TextToImage, UserError, diffusion, load
from undiffuse.config import SIDE, STYLES, DenoiserConfig
from undiffuse.data.emoji_sets import TRAINED
from undiffuse.pipeline import Picture
from undiffuse.pipeline.prompt import styled
from undiffuse.runtime.weights import read_weights

FAST: dict[str, Any] = {"steps": 4}


@pytest.fixture(scope="module")
def model(model_folder: Path) -> TextToImage:
    return load(model_folder)


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.pixels, other.pixels)


def test_the_families_are_those_that_are_trained_on() -> None:
    assert STYLES == TRAINED
    assert DrawConfig().style in STYLES


def test_a_picture_alone_or_among_others(model: TextToImage) -> None:
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


def test_threads_and_a_fresh_start_change_nothing(model_folder: Path) -> None:
    drawn = [
        load(model_folder, threads).generate("a red apple", n=2, sampler="ddpm", **FAST)
        for threads in (1, 2, 3)
    ]
    assert all(same(a, b) for other in drawn[1:] for a, b in zip(drawn[0], other, strict=True))


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS)
def test_every_sampler_draws_the_same_alone(model: TextToImage, sampler: str) -> None:
    settings = {"sampler": sampler, "steps": 3}
    both = model.generate("a red apple", n=2, **settings)
    assert same(model.generate("a red apple", first_index=1, **settings)[0], both[1])
    assert both[0].pixels.shape == (SIDE, SIDE, 3)
    assert both[0].pixels.dtype == np.uint8


def test_steps_are_the_drawing_as_it_goes(model: TextToImage) -> None:
    looks = list(model.steps("a red apple", n=2, sampler="blend", steps=20))
    assert [look.step.alpha for look in looks] == pytest.approx([k / 20 for k in range(1, 21)])
    assert [look.step.sigma for look in looks] == pytest.approx([1 - k / 20 for k in range(1, 21)])
    for look in (looks[0], looks[-1]):
        assert look.x_t().shape == look.x0().shape == (2, SIDE, SIDE, 3)
        assert np.array_equal(look.x_t(slice(1, 2))[0], look.x_t()[1])
    drawn = model.generate("a red apple", n=2, sampler="blend", steps=20)
    assert np.array_equal(looks[-1].x_t(), [picture.pixels for picture in drawn])
    assert not np.array_equal(looks[0].x_t(), looks[-1].x_t())


def test_settings_do_what_they_say(model: TextToImage) -> None:
    usual = model.generate("a red apple", **FAST)[0]
    for other in ({"guidance": 1.0}, {"steps": 5}, {"sampler": "euler"}, {"style": "noto"}):
        assert not same(usual, model.generate("a red apple", **{**FAST, **other})[0]), other
    for change in ({"shift": 3.0}, {"band_high": 0.5}, {"band_low": 0.5}):
        changed = replace(model, defaults=DrawConfig(**change))
        assert not same(usual, changed.generate("a red apple", **FAST)[0]), change
    off = replace(model, defaults=DrawConfig(band_low=0.99, band_high=0.995))
    unguided = model.generate("a red apple", guidance=1.0, **FAST)[0]
    assert same(off.generate("a red apple", **FAST)[0], unguided)


def test_the_record_is_enough_to_draw_it_again(model: TextToImage, model_folder: Path) -> None:
    picture = model.generate("two cats", n=2, seed=2**64 - 1, guidance=2, style="blob", **FAST)[1]
    record = json.loads(json.dumps(picture.record))
    assert record == picture.record
    assert record["model"] == read_weights(model_folder / "denoiser.safetensors", "denoiser").hash
    assert record["versions"]["numpy"] == np.__version__
    assert set(record["versions"]) == {"undiffuse", "numpy", "onnxruntime"}
    assert (record["text"], record["style"]) == ("two cats in blob style", "blob")
    assert (record["seed"], record["index"], record["guidance"]) == (2**64 - 1, 1, 2.0)


@pytest.mark.parametrize(
    ("prompt", "style", "text"),
    [
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
    ],
)
def test_a_bare_prompt_gets_a_family(prompt: str, style: str, text: str) -> None:
    assert styled(prompt, style).text == text


def test_what_one_should_know_is_said(model: TextToImage) -> None:
    def notes(prompt: str, **settings: Any) -> str:
        return " ".join(model.generate(prompt, steps=1, **settings)[0].notes)

    assert notes("a red apple") == ""
    assert "unsteered" in notes("")
    assert "cut off: 'in twemoji style'" in notes("a" * 46)
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
    ({"prompt": "a \udcff b"}, "is no text"),
    ({"prompt": [3]}, "is no text"),
    ({"prompt": []}, "no prompt"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_what_cannot_be_drawn_is_refused_before_it_begins(
    model: TextToImage, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        model.steps(**{"prompt": "a red apple", **wrong})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"band_low": 0.7, "band_high": 0.5}, {"shift": 0.0}])
def test_settings_out_of_range_are_refused(model: TextToImage, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"band_low|shift"):
        replace(model, defaults=DrawConfig(**change)).steps("a red apple")


@pytest.mark.parametrize("target", ["eps", "v", "previous"])
def test_networks_that_predict_something_else_draw_too(tmp_path: Path, target: str) -> None:
    config = DenoiserConfig(**{**vars(LATENT), "target": target, "schedule": "linear"})
    chain = {"chain": 8} if target == "previous" else {}
    drawer = load(write_model(tmp_path, config, **chain))
    sampler = "previous" if target == "previous" else "dpmpp_2m"
    picture = drawer.generate("a red apple", sampler=sampler, **FAST)[0]
    assert picture.pixels.std() > 0
