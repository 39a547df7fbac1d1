"""Prompts with several things are drawn apart and composed, and drawn again from their records."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clip.lexicons import write_lexicon
from tests.conftest import CLIP, CODEC, LATENT, Run, write_part
from undiffuse import TextToImage, UserError, load
from undiffuse.imaging.png import read_png
from undiffuse.runtime.weights import read_weights

FAST: dict[str, Any] = {"steps": 2, "style": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that draws transparency, with the lexicon of the tests."""
    pytest.importorskip("torch")
    from undiffuse.training.onnx_export import export_onnx

    folder = tmp_path_factory.mktemp("scenes")
    hashes = {"clip": write_part(folder, "clip", CLIP)}
    write_part(folder, "codec", replace(CODEC, image_channels=4))
    hashes["codec"] = read_weights(folder / "codec.safetensors", "codec").encoder
    write_part(folder, "denoiser", LATENT, **hashes)
    export_onnx(folder, folder)
    write_lexicon(folder / "lexicon.safetensors")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> TextToImage:
    return load(folder)


def test_two_things_are_composed_of_two_drawings(model: TextToImage) -> None:
    (picture,) = model.generate("a horse and a dog", seed=3, **FAST)
    assert picture.notes == ("composed of horse, dog",)
    assert picture.record["compose"] is True
    assert picture.record["text"] == "a horse and a dog"
    whole = model.generate("a horse and a dog", seed=3, compose=False, **FAST)[0]
    assert not np.array_equal(picture.pixels, whole.pixels)
    assert "composed" not in " ".join(whole.notes)


def test_one_thing_is_drawn_as_ever(model: TextToImage) -> None:
    for prompt in ("a red horse", "", "horse + hat", '"horse and dog" - hat'):
        one, whole = (model.generate(prompt, compose=how, **FAST)[0] for how in (None, False))
        assert np.array_equal(one.pixels, whole.pixels)
        assert "compose" not in one.record


def test_the_first_thing_has_the_noise_of_the_picture(model: TextToImage) -> None:
    """So that a thing looks the same alone and in company."""
    alone = list(model.steps("horse", seed=3, **FAST))[-1]
    both = list(model.steps("a horse and a dog", seed=3, **FAST))[-1]
    assert np.array_equal(alone.step.x_t[0], both.step.x_t[0])
    assert len(both.step.x_t) == 2


def test_pictures_do_not_depend_on_the_batch(model: TextToImage) -> None:
    prompts = ["two dogs", "a horse", "a dog on a horse in the snow"]
    together = model.generate(prompts, n=2, seed=5, **FAST)
    for k, prompt in enumerate(prompts):
        for index in range(2):
            alone = model.generate(prompt, seed=5, first_index=index, **FAST)[0]
            assert np.array_equal(alone.pixels, together[2 * k + index].pixels)
            assert alone.record == together[2 * k + index].record


def test_the_largest_seed_and_index_draw_a_ground(model: TextToImage) -> None:
    last = 2**64 - 1
    one, other = (
        model.generate("a dog in the snow", seed=seed, first_index=last - 1, **FAST)[0].pixels
        for seed in (last, last - 1)
    )
    assert not np.array_equal(one, other)


def test_previews_show_the_composed_picture(model: TextToImage) -> None:
    last = list(model.steps(["a dog", "two horses"], n=2, **FAST))[-1]
    x_t, x0 = last.both()
    assert x_t.shape == x0.shape == (4, 64, 64, 3)
    assert np.array_equal(x_t, last.x_t())
    assert np.array_equal(x0[2:3], last.x0(slice(2, 3)))


def test_words_that_tell_places_are_not_read_as_others(model: TextToImage) -> None:
    (picture,) = model.generate("a steed between a cat and a dog on a hill", **FAST)
    assert picture.notes == (
        "steed: read as horse (kind of)",
        "composed of cat, horse, dog, on a drawn ground: hill",
    )


def test_negative_prompts_and_styles_act_on_every_thing(model: TextToImage) -> None:
    plain, other = (
        model.generate("a horse and a dog", steps=2, **extra)[0]
        for extra in ({"style": "noto"}, {"style": "noto", "negative": "hat"})
    )
    assert plain.record["text"].endswith("in noto style")
    half = plain.pixels.shape[1] // 2
    for part in (np.s_[:, :half], np.s_[:, half:]):
        assert not np.array_equal(plain.pixels[part], other.pixels[part])


def test_what_can_not_be_composed(model: TextToImage, model_folder: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.png"
    model.generate("a dog", **FAST)[0].save(start)
    with pytest.raises(UserError, match="exclude each other"):
        model.generate("two dogs", compose=True, start=start, **FAST)
    with pytest.raises(UserError, match="no lexicon or draws no transparency"):
        load(model_folder).generate("two dogs", compose=True, **FAST)
    for options in ({"start": start}, {"literal": True}):
        assert "compose" not in model.generate("two dogs", **options, **FAST)[0].record


def test_replay_composes_again(folder: Path, run: Run) -> None:
    for extra in ((), ("--no-compose",), ("--literal",)):
        name = f"dogs{len(extra)}.png"
        status, _, err = run("two dogs", "-o", name, "--overwrite", "--steps", "2", *extra,
                             model=folder)  # fmt: skip
        assert status == 0, err
        assert ("composed of 2 x dog" in err) == (not extra)
        assert read_png(Path(name))[1].get("compose", False) == (not extra)
        status, _, err = run("replay", name, model=folder)
        assert status == 0, err


def test_a_prompt_that_says_more_is_pulled_to_what_it_names(run: Run, folder: Path) -> None:
    model = load(folder)
    drawn = model.generate("a dog in a red bear", **FAST)[0]
    assert drawn.notes == ("drawn above all: dog",)
    assert drawn.record["compose"] is True
    assert drawn.record["text"] == "a dog in a red bear"
    summed = model.generate('"a dog in a red bear" + 3*"dog"', **FAST)[0]
    assert np.array_equal(drawn.pixels, summed.pixels)
    whole = model.generate("a dog in a red bear", compose=False, **FAST)[0]
    assert whole.notes == ()
    assert not np.array_equal(drawn.pixels, whole.pixels)
    both = model.generate("a dog in a red bear and a horse", **FAST)[0]
    assert both.notes[-1] == "drawn above all: dog"
    styled = model.generate("a dog in a red bear", steps=2, style="noto", negative="horse")[0]
    assert styled.record["style"] == "noto"
    run("a dog in a red bear", "-o", "a.png", "--steps", "2", model=folder)
    assert run("replay", "a.png", model=folder)[:2] == (0, ["the same, pixel for pixel"])
