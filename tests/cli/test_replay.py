"""`undiffuse replay`: the same pixels again, or what differs."""

import shutil
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import LATENT, Run, write_part
from undiffuse.imaging import files, png
from undiffuse.runtime.weights import Weights, read_weights


def test_replay_says_whether_it_is_the_same(run: Run, model_folder: Path, tmp_path: Path) -> None:
    run("cats", "-n", "2", "--steps", "3", "--seed", "5", "--guidance", "2", "--style", "blob")
    assert run("replay", "cats-2.png") == (0, ["the same, pixel for pixel"], "")
    assert run("replay", "cats-2.png", "--threads", "1")[0] == 0
    pixels, record = png.read_png(Path("cats-2.png"))
    pixels = pixels.copy()
    pixels[:8, :4] ^= 255  # two pixels of those that were drawn
    record["versions"]["numpy"] = "1.0"
    files.write_atomic(Path("other.png"), png.encode_png(pixels, record))
    status, out, _ = run("replay", "other.png")
    assert (status, out[0]) == (1, "different: 2 of 4096 pixels")
    assert out[1] == f"numpy: 1.0 then, {np.__version__} now"

    folder = shutil.copytree(model_folder, tmp_path / "model")
    hashes = {"clip": record_of(model_folder, "clip").hash}
    hashes["codec"] = record_of(model_folder, "codec").encoder
    write_part(folder, "denoiser", LATENT, seed=1, **hashes)
    status, out, _ = run("replay", "cats-2.png", model=folder)
    assert status == 1
    assert out[1].startswith(f"model: {record['model']} then, ")


def record_of(model_folder: Path, kind: str) -> Weights:
    return read_weights(model_folder / f"{kind}.safetensors", kind)


def test_every_sampler_and_an_empty_prompt_are_replayed(run: Run) -> None:
    for number, sampler in enumerate(("blend", "ddpm", "heun", "previous")):
        run("", "--steps", "3", "--sampler", sampler, "-o", f"{number}.png", "--scale", "1")
        assert run("replay", f"{number}.png")[:2] == (0, ["the same, pixel for pixel"])


def test_replay_refuses_what_has_no_record_of_its_own(run: Run) -> None:
    Image.new("RGB", (64, 64)).save("plain.png")
    run("cats", "-n", "2", "--grid", "--steps", "1", "--scale", "1")
    pixels, record = png.read_png(Path("cats-1.png"))
    for number, change in enumerate(
        ({"steps": "3"}, {"band": [0]}, {"band": ["a", "b"]}, {"sampler": "x"}, {"steps": 10**9},
         {"style": "x"}, {"prompt": None}, {"seed": -1}, {"guidance": float("nan")},
         {"style_strength": "1"}, {"style_below": 2.0})
    ):  # fmt: skip
        changed = png.encode_png(pixels, {**record, **change})
        files.write_atomic(Path(f"{number}.png"), changed)
    for name in ("plain.png", "none.png", "cats-1-grid.png", *(f"{k}.png" for k in range(11))):
        status, out, err = run("replay", name)
        assert (status, out, err.count("\n")) == (2, [], 1), name


def test_every_pairing_of_prompt_and_negative_prompt_is_replayed(run: Run) -> None:
    """The record has one style, but the negative prompt may have another one than the prompt."""
    prompts = ("", "cat", "cat in noto style", "cat + hat", '"a - b"')
    negatives = ("hat", "hat in blob style", "hat + 0.5*beard", '"x + y"')
    for number, (prompt, negative) in enumerate(product(prompts, negatives)):
        file = f"{number}.png"
        run(prompt, "--negative", negative, "--steps", "2", "-o", file, "--scale", "1")
        status, out, _ = run("replay", file)
        assert (status, out) == (0, ["the same, pixel for pixel"]), (prompt, negative)
