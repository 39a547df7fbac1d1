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
    run("cats", "-n", "2", "--steps", "3", "--seed", "5", "--guidance", "2", "--style", "blob",
        "--scale", "4")  # fmt: skip
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


def test_size_and_background_are_replayed(run: Run) -> None:
    for number, size in enumerate(("64", "128", "256", "512")):
        run("cats", "--steps", "2", "-o", f"{number}.png", "--size", size, "--background", "white")
        pixels, record = png.read_png(Path(f"{number}.png"))
        assert pixels.shape == (int(size), int(size), 3)
        assert (record["size"], record["background"]) == (int(size), "white")
        assert run("replay", f"{number}.png")[:2] == (0, ["the same, pixel for pixel"])
    for number, change in enumerate(({"size": 100}, {"size": "64"}, {"background": 3})):
        changed = png.encode_png(pixels, {**record, **change})
        files.write_atomic(Path(f"bad-{number}.png"), changed)
        status, out, err = run("replay", f"bad-{number}.png")
        assert (status, out, err.count("\n")) == (2, [], 1)


def test_bad_output_options_are_one_line_and_write_nothing(run: Run) -> None:
    for options in (
        ("--size", "100"), ("--size", "x"), ("--background", "#12"),
        ("--background", "transparent"),
        ("--size", "64", "--scale", "2"), ("-o", "cats.gif"),
    ):  # fmt: skip
        status, out, err = run("cats", "--steps", "1", *options)
        assert (status, out, err.count("\n")) == (2, [], 1), options
    assert not list(Path().iterdir())


def test_webp_and_svg_are_written_by_suffix(run: Run) -> None:
    assert run("cats", "--steps", "1", "-o", "a.webp", "--size", "128")[0] == 0
    with Image.open("a.webp") as image:
        assert (image.format, image.size) == ("WEBP", (128, 128))
    assert run("cats", "-n", "2", "--steps", "1", "-o", "a.svg", "--size", "64")[0] == 0
    assert Path("a-2.svg").read_bytes().startswith(b"<?xml")
