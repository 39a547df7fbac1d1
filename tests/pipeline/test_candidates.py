"""Several candidates of a drawing, of which CLIP chooses one."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Run
from undiffuse import Picture, TextToImage, UserError, load
from undiffuse.imaging.png import on_white
from undiffuse.pipeline.scenes import CANDIDATE_SHIFT

COUNT = 4


@pytest.fixture(scope="module")
def model(model_folder: Path) -> TextToImage:
    return load(model_folder)


def similarity(model: TextToImage, prompt: str, picture: Picture) -> float:
    pixels = on_white(picture.pixels[None]).transpose(0, 3, 1, 2)
    text = model.clip.encode_text([picture.record["text"]])[0]
    return float(model.clip.encode_image(np.ascontiguousarray(pixels))[0] @ text)


def test_the_candidate_nearest_to_the_prompt_is_kept(model: TextToImage) -> None:
    for prompt in ("a red apple", "two cats", "a green tree"):
        chosen = model.generate(prompt, candidates=COUNT, steps=2)[0]
        alone = [
            model.generate(prompt, first_index=k << CANDIDATE_SHIFT, steps=2)[0]
            for k in range(COUNT)
        ]
        best = int(np.argmax([similarity(model, prompt, picture) for picture in alone]))
        assert np.array_equal(chosen.pixels, alone[best].pixels)
        assert chosen.record["candidates"] == COUNT
        assert chosen.record["index"] == 0


def test_a_batch_changes_nothing(model: TextToImage) -> None:
    prompts = ["a red apple", "", "two cats"]
    together = model.generate(prompts, n=2, seed=3, candidates=3, steps=2)
    assert len(together) == 6
    for k, picture in enumerate(together):
        alone = model.generate(prompts[k // 2], seed=3, first_index=k % 2, candidates=3, steps=2)
        assert np.array_equal(alone[0].pixels, picture.pixels)


def test_without_a_prompt_the_first_one_is_kept(model: TextToImage) -> None:
    one, four = (model.generate("", candidates=count, steps=2)[0] for count in (1, 4))
    assert np.array_equal(one.pixels, four.pixels)


def test_steps_show_the_first_candidate_and_end_with_the_best(model: TextToImage) -> None:
    single = list(model.steps("a red apple", steps=3))
    several = list(model.steps("a red apple", steps=3, candidates=COUNT))
    for one, other in zip(single[:-1], several[:-1], strict=True):
        assert np.array_equal(one.x0(), other.x0())
    drawn = model.generate("a red apple", steps=3, candidates=COUNT)[0]
    assert np.array_equal(several[-1].x_t()[0], on_white(drawn.pixels))


def test_other_ways_to_steer_have_candidates_too(model: TextToImage, tmp_path: Path) -> None:
    model.generate("a red apple", steps=2)[0].save(tmp_path / "a.png", size=64)
    for options in (
        {"negative": "a dog"}, {"style": "noto"}, {"like": [tmp_path / "a.png"]},
        {"start": tmp_path / "a.png", "strength": 0.9}, {"sampler": "blend"},
    ):  # fmt: skip
        drawn = model.generate("a cat", candidates=2, steps=3, **options)  # type: ignore[arg-type]
        assert drawn[0].record["candidates"] == 2


@pytest.mark.parametrize("count", [-1, 17, 1.5])
def test_other_numbers_are_refused(model: TextToImage, count: float) -> None:
    with pytest.raises(UserError, match=f"candidates={count}"):
        model.generate("a cat", candidates=count)  # type: ignore[arg-type]


def test_a_picture_with_candidates_is_replayed(run: Run) -> None:
    status, _, err = run("a red apple", "-o", "a.png", "--candidates", "3", "--steps", "3")
    assert status == 0, err
    assert run("replay", "a.png")[:2] == (0, ["the same, pixel for pixel"])
