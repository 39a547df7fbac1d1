"""The OpenAI Python client, unchanged, against the studio."""

import base64
import io
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.studio.conftest import TOKEN, Studio, running
from undiffuse.imaging.png import read_png

openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def locked(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running(model_folder, tmp_path_factory.mktemp("openai"), TOKEN) as found:
        yield found


@pytest.fixture(scope="module")
def client(locked: Studio) -> Any:
    return openai.OpenAI(base_url=f"{locked.url}/v1", api_key=TOKEN, max_retries=0)


def opened(image: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(image.b64_json)))


def test_it_draws_a_picture(client: Any) -> None:
    reply = client.images.generate(model="dall-e-3", prompt="a red apple", quality="hd")
    assert opened(reply.data[0]).size == (256, 256)
    assert reply.usage.input_tokens > 0


def test_it_draws_several_in_a_size_and_format(client: Any) -> None:
    reply = client.images.generate(
        prompt="cat", n=3, size="512x512", output_format="webp", user="me", extra_body={"steps": 2},
    )  # fmt: skip
    images = [opened(image) for image in reply.data]
    assert [(image.format, image.size) for image in images] == [("WEBP", (512, 512))] * 3


def test_the_seed_decides(client: Any) -> None:
    def draw(**extra: Any) -> str:
        body = {"steps": 2, **extra}
        return client.images.generate(prompt="cat", extra_body=body).data[0].b64_json

    assert draw(seed=5) == draw(seed=5)
    assert draw() != draw()  # as OpenAI's own, another picture each time


def test_a_url_needs_no_token(client: Any, locked: Studio, tmp_path: Path) -> None:
    reply = client.images.generate(prompt="cat", response_format="url", extra_body={"seed": 1})
    with urllib.request.urlopen(reply.data[0].url) as file:
        (tmp_path / "x.png").write_bytes(file.read())
    assert read_png(tmp_path / "x.png")[1]["prompt"] == "cat"


def test_it_streams_partial_images(client: Any) -> None:
    stream = client.images.generate(
        prompt="cat", stream=True, partial_images=3, extra_body={"steps": 8, "seed": 2}
    )
    events = list(stream)
    kinds = [event.type.partition(".")[2] for event in events]
    assert kinds == ["partial_image"] * 3 + ["completed"]
    assert [event.partial_image_index for event in events[:3]] == [0, 1, 2]
    whole = client.images.generate(prompt="cat", extra_body={"steps": 8, "seed": 2})
    assert events[-1].b64_json == whole.data[0].b64_json
    assert events[-1].usage.total_tokens > 0


def test_the_model_is_listed(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["undiffuse-64"]
    assert client.models.retrieve("undiffuse-64").owned_by == "undiffuse"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"size": "1792x1024"}, "1024x1024"), ({"size": "100x100"}, "64x64"), ({"n": 11}, "1 to 10"),
     ({"response_format": "svg"}, "b64_json or url"), ({"prompt": "x" * 1001}, "1001 characters"),
     ({"prompt": "cat + /etc/x.png"}, "no upload"), ({"extra_body": {"stream": 1}}, "stream"),
     ({"extra_body": {"partial_images": 9}}, "0 to 3"), ({"extra_body": {"n": "two"}}, "whole")],
)  # fmt: skip
def test_a_wrong_request_is_a_bad_request(client: Any, wrong: Any, message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        client.images.generate(**{"prompt": "cat", **wrong})


def test_a_prompt_that_can_not_be_drawn_is_a_bad_request(client: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        client.images.generate(prompt="cat - cat", extra_body={"style": ""})


def test_a_wrong_key_is_refused(locked: Studio) -> None:
    other = openai.OpenAI(base_url=f"{locked.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        other.images.generate(prompt="cat")


def test_unknown_fields_are_ignored(locked: Studio) -> None:
    body = {"prompt": "cat", "steps": 1, "moderation": "low", "style": "vivid", "x": {"y": []}}
    reply = locked.post("/v1/images/generations", body, authorization=f"Bearer {TOKEN}")
    assert reply.status == 200
