"""The tour's endpoints: runs in step, noise levels, cosines, words near a sum, and the map."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import Studio
from tests.studio.test_draw import image_file
from undiffuse.explore.space import Space


def png(uri: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def events_of(studio: Studio, path: str, body: Any) -> list[dict[str, Any]]:
    reply = studio.post(path, body)
    assert reply.status == 200, reply.body
    events = reply.events()
    assert events[-1]["type"] == "done", events[-1]
    return [event for event in events if event["type"] not in ("queued", "done")]


def upload(studio: Studio, color: str) -> str:
    reply = studio.call("POST", "/api/upload", image_file(color=color), content_type="image/png")
    return str(reply.json()["name"])


def test_runs_advance_in_step_and_are_the_drawings_of_each(studio: Studio) -> None:
    runs = [{"prompt": "cat", "steps": 8, "sampler": "blend"}, {"prompt": "dog", "steps": 4}]
    before = len(studio.get("/api/gallery").json()["pictures"])
    events = events_of(studio, "/api/compare", {"runs": runs})
    steps = [event for event in events if event["type"] == "step"]
    shares = [0.0, 0.0]
    for step in steps:
        assert shares[step["run"]] == min(shares)
        shares[step["run"]] = step["step"] / step["of"]
    assert shares == [1, 1]
    for number, run in enumerate(runs):
        alone = [event for event in studio.draw(**run, keep=False) if event["type"] == "picture"]
        found = [e for e in events if e["type"] == "picture" and e["run"] == number]
        assert found[0]["png"] == alone[0]["png"]
    assert len(studio.get("/api/gallery").json()["pictures"]) == before


def test_noise_levels_go_from_the_drawing_to_noise(studio: Studio) -> None:
    settings = {"prompt": "cat", "steps": 3, "seed": 5}
    events = events_of(studio, "/api/noise", settings)
    assert [event["step"] for event in events] == list(range(21))
    drawn = next(e for e in studio.draw(**settings) if e["type"] == "step" and e["step"] == 3)
    assert events[0]["x_t"] == events[0]["x0"] == drawn["x_t"]
    assert events[0]["noise_share"] == 0
    assert events[-1]["picture_share"] == pytest.approx(0, abs=1e-6)
    distances = [np.abs(png(e["x_t"]).astype(int) - png(e["x0"])).mean() for e in events]
    assert distances[0] < distances[5] < distances[-1]


def test_cosines_are_those_of_clip(studio: Studio) -> None:
    names = [upload(studio, color) for color in ("red", "blue")]
    words = ["cat", "dog", "house"]
    events = events_of(
        studio, "/api/similarities", {"words": words, "pictures": [names[0], None, names[1]]}
    )
    drawn, matrix = events
    assert (drawn["type"], drawn["index"]) == ("word_picture", 1)
    space = Space(studio.state.model.clip)
    paths = [studio.folder / name for name in (names[0], drawn["name"], names[1])]
    expected = [[float(space.vector(w) @ v) for v in space.encode_images(paths)] for w in words]
    assert np.allclose(matrix["cosines"], expected, atol=1e-4)


def test_the_words_near_a_sum_are_those_of_its_vector(studio: Studio) -> None:
    found = studio.post("/api/nearest", {"prompt": "man + hat - beard"}).json()["words"]
    space = studio.state.space
    expected = space.nearest_words(space.vector("man + hat - beard"), 10)
    assert [one["text"] for one in found] == [one.text for one in expected]


def test_halfway_is_as_near_to_both_ends(studio: Studio) -> None:
    name = upload(studio, "green")
    body = {"one": "a red cat", "other": name, "share": 0.5}
    prompt = studio.post("/api/between", body).json()["prompt"]
    space = studio.state.space
    path = str(studio.folder / name)
    middle = space.vector(prompt.replace(name, path))
    assert middle @ space.vector("a red cat") == pytest.approx(
        middle @ space.vector(path), abs=1e-3
    )


def test_the_map_has_words_pictures_and_the_arrow_of_a_sum(studio: Studio) -> None:
    for seed in range(3):
        studio.draw(prompt="cat", steps=1, seed=seed)
    found = studio.post("/api/map", {"prompts": ["man + hat - beard", "cat"]}).json()
    names = {row["name"] for row in studio.get("/api/gallery").json()["pictures"]}
    assert {row[2] for row in found["pictures"]} == names
    assert len(found["words"]) > 100
    assert all(-1 <= v <= 1 for row in found["words"] + found["pictures"] for v in row[:2])
    first, second = found["prompts"]
    assert first["arrow"][2:] == [first["x"], first["y"]]
    assert second["arrow"] is None


BAD: list[tuple[str, Any]] = [
    ("compare", {"runs": []}),
    ("compare", {"runs": [{"prompt": "cat"}] * 5}),
    ("compare", {"runs": [{"steps": 0}]}),
    ("compare", {"runs": [{"init": "../x.png"}]}),
    ("compare", [1]),
    ("noise", {"steps": "many"}),
    ("similarities", {"words": ["cat"], "pictures": ["../../etc/passwd"]}),
    ("similarities", {"words": ["cat"], "pictures": [None, None]}),
    ("similarities", {"words": [""], "pictures": [None]}),
    ("similarities", {"words": ["\ud800"], "pictures": [None]}),
    ("similarities", {"words": ["cat"], "pictures": [[]]}),
    ("nearest", {"prompt": "/etc/x.png"}),
    ("nearest", {"prompt": "cat - cat"}),
    ("nearest", {"prompt": " "}),
    ("between", {"one": "cat", "other": "dog", "share": 2}),
    ("between", {"one": "cat", "other": "dog", "share": True}),
    ("between", {"one": "cat", "other": "cat", "share": 0.5}),
    ("map", {"prompts": [3]}),
    ("map", {"prompts": ['"']}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body"), BAD, ids=lambda value: json.dumps(value)[:50])
def test_a_wrong_body_is_refused_with_a_line(studio: Studio, name: str, body: Any) -> None:
    reply = studio.post(f"/api/{name}", body)
    assert reply.status == 400, reply.body
    message = reply.json()["error"]["message"]
    assert "\n" not in message
    assert "mistake" not in message


def test_an_upload_that_is_missing_is_not_found(studio: Studio) -> None:
    missing = "uploads/0123456789abcdef.png"
    bodies = {"nearest": {"prompt": missing}, "compare": {"runs": [{"init": missing}]},
              "similarities": {"words": ["cat"], "pictures": [missing]}}  # fmt: skip
    for name, body in bodies.items():
        assert studio.post(f"/api/{name}", body).status == 404
