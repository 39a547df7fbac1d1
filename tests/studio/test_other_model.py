"""A model of another size, with an alpha channel: nothing is bound to 64 pixels of RGB."""

import base64
import io
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import CODEC, LATENT, Run, write_part
from tests.studio.conftest import Studio, running
from undiffuse.runtime.weights import read_weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def transparent(
    model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Studio, Path]]:
    from undiffuse.training.onnx_export import export_onnx

    model = tmp_path_factory.mktemp("model") / "transparent"
    shutil.copytree(model_folder, model)
    config = replace(CODEC, image_size=128, image_channels=4, widths=(8, 16, 16, 16))
    write_part(model, "codec", config)
    clip = read_weights(model / "clip.safetensors", "clip").hash
    codec = read_weights(model / "codec.safetensors", "codec").encoder
    write_part(model, "denoiser", LATENT, clip=clip, codec=codec)
    export_onnx(model, model)
    with running(model, tmp_path_factory.mktemp("transparent")) as studio:
        yield studio, model


def opened(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data.rpartition(",")[2])))


def test_it_is_drawn_kept_and_drawn_again(
    transparent: tuple[Studio, Path], run: Run, tmp_path: Path
) -> None:
    studio, model = transparent
    about = studio.get("/api/model").json()
    assert (about["size"], about["channels"], about["scale"]) == (128, 4, 2)
    events = studio.draw(prompt="cat", steps=2, size=128)
    step, picture = events[-3], events[-2]
    assert opened(step["x_t"]).size == (128, 128)
    assert opened(step["x_t"]).mode == "RGB"  # on white
    large = opened(picture["png"])
    assert (large.size, large.mode) == ((256, 256), "RGBA")
    words = shlex.split(picture["command"])
    assert words[-3:-1] == ["--model", str(model)]
    assert run(*words[1:], "-o", "x.png", model=None)[0] == 0
    assert (tmp_path / "x.png").read_bytes() == base64.b64decode(picture["png"].partition(",")[2])
    stem = picture["file"].removesuffix(".png")
    replayed: list[Any] = studio.call("POST", f"/api/pictures/{stem}/replay").events()
    assert replayed[-2]["same"] is True
    webp = Image.open(io.BytesIO(studio.get(f"/api/pictures/{stem}.webp").body))
    assert np.array_equal(np.asarray(webp)[..., 3], np.asarray(large)[..., 3])
    assert studio.get(f"/api/pictures/{stem}.gif").status == 200
    assert studio.get("/api/gallery?search=cat").status == 200


def test_the_form_of_openai_has_its_sizes(transparent: tuple[Studio, Path]) -> None:
    studio, _ = transparent
    body = {"prompt": "cat", "steps": 1, "size": "384x384", "output_format": "jpeg"}
    reply = studio.post("/v1/images/generations", body).json()
    assert opened(reply["data"][0]["b64_json"]).size == (384, 384)
    assert studio.post("/v1/images/generations", body | {"size": "64x64"}).status == 400
