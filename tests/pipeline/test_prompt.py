"""Every way to steer: where it has no effect, where it has one, and what is refused."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.sample import originals
from undiffuse import Picture, TextToImage, UserError, load
from undiffuse.config import DrawConfig
from undiffuse.explore.expression import Term
from undiffuse.explore.space import Space
from undiffuse.imaging.read import read_image
from undiffuse.pipeline.init_image import InitImage
from undiffuse.pipeline.prompt import NEGATIVE_WEIGHT, interpolate_prompts, parse_prompt

FAST: dict[str, Any] = {"steps": 3}


@pytest.fixture(scope="module")
def model(model_folder: Path) -> TextToImage:
    return load(model_folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two emoji, and a mask whose left half is drawn in."""
    out = tmp_path_factory.mktemp("files")
    for name, sample in zip("ab", originals()[::40], strict=False):
        Image.fromarray(sample.picture).save(out / f"{name}.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 255
    Image.fromarray(mask).save(out / "mask.png")
    return out


def draw(model: TextToImage, prompt: str = "a cat", **asked: Any) -> Picture:
    return model.generate(prompt, **{**FAST, **asked})[0]


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.pixels, other.pixels)


def test_a_sum_is_drawn_and_its_plain_forms_are_equal(model: TextToImage) -> None:
    assert same(draw(model, "a cat"), draw(model, '"a cat"'))
    assert same(draw(model, "2.0*a cat"), draw(model, "a cat"))
    assert not same(draw(model, "a cat + a hat"), draw(model, "a cat"))
    assert not same(draw(model, "a cat + a hat"), draw(model, "a cat a hat"))
    text = draw(model, "a cat - 0.5 hat", style="noto").record["text"]
    assert text == "+1 a cat in noto style -0.5 hat in noto style"
    assert draw(model, "a noto cat + a hat").record["style"] == ""


def test_a_negative_prompt_is_subtracted_from_the_vector(model: TextToImage) -> None:
    usual = draw(model)
    less = draw(model, negative="a hat")
    assert not same(less, usual)
    assert less.record["text"].endswith(f"-{NEGATIVE_WEIGHT:g} a hat in twemoji style")
    assert same(less, draw(model, f"{less.record['prompt']} - {NEGATIVE_WEIGHT} a hat"))
    assert same(draw(model, negative=""), usual)


def test_a_negative_prompt_guides_an_unsteered_picture_away(model: TextToImage) -> None:
    """There is no vector to subtract from: it takes the place of the unconditional prediction."""
    away = draw(model, "", negative="a hat")
    assert not same(away, draw(model, ""))
    off = draw(model, "", negative="a hat", guidance=1.0)
    assert same(off, draw(model, "", guidance=1.0))
    assert "guidance is 1 (off): the negative prompt has no effect" in off.notes
    together = model.generate(["a cat", ""], negative="a hat", **FAST)
    assert same(together[0], draw(model, "a cat", negative="a hat"))
    assert same(together[1], away)


def test_the_vector_of_an_image_steers(model: TextToImage, files: Path) -> None:
    one = draw(model, "", like=[files / "a.png"])
    assert one.notes == ()
    assert same(one, draw(model, str(files / "a.png")))
    assert not same(one, draw(model, "", like=[files / "b.png"]))
    both = draw(model, "a cat", like=[files / "a.png"])
    assert not same(both, one)
    assert not same(both, draw(model))
    assert list(both.record["files"]) == [str(files / "a.png")]


def test_the_change_grows_with_the_strength(model: TextToImage, files: Path) -> None:
    known = model.codec.encode(InitImage(read_image(files / "a.png")).normalized)
    start = model.decode(known)[0].astype(int)
    far = [
        np.abs(draw(model, start=files / "a.png", strength=s).pixels.astype(int) - start).mean()
        for s in (0.01, 0.5, 1.0)
    ]
    assert far[0] < far[2]
    assert far == sorted(far)
    assert same(draw(model, start=files / "a.png", strength=1.0), draw(model))


def test_pixels_outside_the_mask_keep_their_bytes(model: TextToImage, files: Path) -> None:
    known = read_image(files / "a.png")
    for sampler in ("dpmpp_2m", "blend", "ddpm"):
        made = draw(model, start=files / "a.png", mask=files / "mask.png", sampler=sampler)
        assert np.array_equal(made.pixels[:, 32:], known[:, 32:]), sampler
        assert not np.array_equal(made.pixels[:, :32], known[:, :32]), sampler
        assert made.record["mask"] == str(files / "mask.png")


def test_interpolated_prompts_lie_evenly_on_the_sphere(model: TextToImage) -> None:
    encode = Space(model.clip).encode_term
    prompts = interpolate_prompts("a cat", "a dog - a hat", encode, 5)
    ends = [Space(model.clip).vector(text) for text in ("a cat", "a dog - a hat")]
    way = [Space(model.clip).vector(prompt) for prompt in prompts]
    assert way[0] == pytest.approx(ends[0], abs=1e-4)
    assert way[-1] == pytest.approx(ends[1], abs=1e-4)
    steps = [float(a @ b) for a, b in pairwise(way)]
    assert steps == pytest.approx([steps[0]] * 4, abs=1e-3)
    pictures = model.between("a cat", "a dog", 3, **FAST)
    assert [p.record["index"] for p in pictures] == [0, 0, 0]
    assert same(pictures[1], draw(model, pictures[1].record["prompt"]))
    with pytest.raises(UserError, match="parallel vectors"):
        interpolate_prompts("a cat", "2*a cat", encode, 5)
    with pytest.raises(UserError, match="count=1"):
        interpolate_prompts("a cat", "a dog", encode, 1)


@pytest.mark.slow
def test_the_clip_gradient_raises_the_similarity(model: TextToImage) -> None:
    from undiffuse.training.clip_guidance import ClipGuidance

    steep = ClipGuidance(model.folder)
    x0 = model.codec.encode(
        np.stack([s.picture for s in originals()[:3]])[..., :3].transpose(0, 3, 1, 2)
    )
    cond = model.clip.encode_text(["a cat", "a dog", "a hat"])

    def cosines(latents: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            seen = steep.clip.encode_image(steep.codec.decode(torch.from_numpy(latents)))
        return (seen.numpy() * cond).sum(1)

    up = steep.gradient(x0, cond)
    assert (cosines(x0 + np.float32(0.02) * up) > cosines(x0)).all()
    assert np.array_equal(steep.gradient(x0[1:2], cond[1:2]), up[1:2])
    assert not same(draw(model, gradient=0.5), draw(model))
    assert same(draw(model, gradient=0.0), draw(model))
    assert same(draw(model, "", gradient=0.5), draw(model, ""))


def test_a_record_with_every_option_draws_the_same_picture(model: TextToImage, files: Path) -> None:
    asked = {
        "negative": "a hat", "like": [files / "b.png"], "start": files / "a.png", "strength": 0.8,
        "mask": files / "mask.png", "seed": 7,
    }  # fmt: skip
    made = draw(model, "a cat + 0.5 dog", **asked)
    record = json.loads(json.dumps(made.record))
    again = {name: record[name] for name in (*asked, "style_strength")}
    assert same(made, draw(model, record["prompt"], style=record["style"], **again))
    assert set(record["files"]) == {str(files / n) for n in ("a.png", "b.png", "mask.png")}


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "cat - cat"}, "is zero and has no direction"),
    ({"prompt": "cat + "}, "empty term"),
    ({"prompt": "nowhere.png"}, "nowhere.png can't be read"),
    ({"like": ["nowhere.png"]}, "nowhere.png can't be read"),
    ({"negative": "- "}, "empty term"),
    ({"mask": "m.png"}, "need an image to start from"),
    ({"strength": 0.5}, "need an image to start from"),
    ({"start": "a.png", "strength": 0.0}, "leaves the image unchanged"),
    ({"start": "a.png", "strength": 1.5}, "strength=1.5"),
    ({"start": "a.png", "mask": "white.png"}, "has one color"),
    ({"start": "nowhere.png"}, "nowhere.png can't be read"),
    ({"gradient": 1000.0}, "gradient=1000.0"),
    ({"magic": 1}, "option 'magic' is unknown: choose from"),
]


def test_options_that_can_not_steer_are_refused_in_one_line(
    model: TextToImage, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    Image.new("L", (64, 64), 255).save("white.png")
    for options, message in WRONG_OPTIONS:
        with pytest.raises(UserError, match=message) as caught:
            model.steps(**{"prompt": "a cat", **options})
        assert "\n" not in str(caught.value)


def test_the_last_steps_get_more_of_a_requested_style(model: TextToImage) -> None:
    usual = draw(model, style="noto")
    assert usual.record["style_strength"] == DrawConfig().style_strength > 0
    assert draw(model).record["style_strength"] == 0.0
    asked = draw(model, style=DrawConfig().style)
    assert not same(draw(model), asked)
    assert same(draw(model, style_strength=DrawConfig().style_strength), asked)
    both = model.generate(["a cat", "a cat in noto style"], **FAST)
    assert same(both[0], draw(model))
    assert same(both[1], usual)
    less = draw(model, style="noto", style_strength=0.0)
    assert not same(less, usual)
    assert same(draw(model, "a cat in noto style"), usual)
    for asked in ({"prompt": "a noto cat"}, {"prompt": "a cat", "style": ""}):
        made = [draw(model, style_strength=strength, **asked) for strength in (0.0, 3.0)]
        assert same(*made), "there is no style to take off"
    early = list(model.steps("a cat", style="noto", style_strength=0.0, **FAST))
    late = list(model.steps("a cat", style="noto", **FAST))
    ways = [np.array_equal(a.step.x_t, b.step.x_t) for a, b in zip(early, late, strict=True)]
    assert ways == sorted(ways, reverse=True)
    assert ways[0]
    assert not ways[-1]


def test_style_strength_adds_the_direction_of_the_style(model: TextToImage) -> None:
    term, prompt = Space(model.clip).encode_term, parse_prompt("a cat + a hat", "noto")
    unstyled = parse_prompt("a cat + a hat", "").embed(term)
    wanted = 2 * prompt.embed(term) - unstyled
    np.testing.assert_allclose(
        prompt.embed(term, style_strength=1.0), wanted / np.linalg.norm(wanted), atol=1e-6
    )
    assert np.array_equal(parse_prompt("", "noto").embed(term, 1.0), np.zeros(512))
    negative = parse_prompt("beard", "noto")
    texts = [t.text for t in prompt.subtract(negative).unstyled]
    assert texts == ["a cat", "a hat", "beard"]


def test_a_difference_of_styles_is_no_style_to_make_stronger(model: TextToImage) -> None:
    for other in ("a cat", "a cat in flat style"):
        prompt = f"a cat in noto style - {other}"
        parsed = parse_prompt(prompt, "twemoji")
        assert parsed.unstyled == parsed.terms
        assert draw(model, prompt).record["style_strength"] == 0.0


def test_style_is_added_to_words_and_not_to_pictures() -> None:
    made = parse_prompt("a cat + b.png", "noto", like=["c.png"])
    assert made.terms == (
        Term(1, "a cat in noto style"), Term(1, "b.png", True), Term(1, "c.png", True),
    )  # fmt: skip
    assert parse_prompt("b.png", "noto").style == ""
