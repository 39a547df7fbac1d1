"""Drawing over HTTP: the events, and that the pictures are those of the command line."""

import base64
import io
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Run
from tests.studio.conftest import Studio
from undiffuse.imaging.png import read_png


def png_of(event: dict[str, Any]) -> bytes:
    return base64.b64decode(event["png"].partition(",")[2])


def pictures(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == "picture"]


def image_file(kind: str = "PNG", color: str = "red", side: int = 80, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), color).save(file, kind, **options)
    return file.getvalue()


def test_the_events_are_the_steps_and_then_the_picture(studio: Studio) -> None:
    events = studio.draw(prompt="a red apple", steps=5, sampler="blend", seed=3, count=2)
    kinds = [event["type"] for event in events if event["type"] != "queued"]
    assert kinds == ["step"] * 10 + ["picture"] * 2 + ["done"]
    steps = [event for event in events if event["type"] == "step" and event["picture"] == 1]
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5]
    assert [round(step["picture_share"], 6) for step in steps] == [0.2, 0.4, 0.6, 0.8, 1]
    assert all(step["of"] == 5 for step in steps)
    assert [round(step["noise_share"], 6) for step in steps] == [0.8, 0.6, 0.4, 0.2, 0]
    last = Image.open(io.BytesIO(base64.b64decode(steps[-1]["x_t"].partition(",")[2])))
    large = Image.open(io.BytesIO(png_of(pictures(events)[1])))
    assert last.size == (64, 64)
    assert large.size == (256, 256)
    assert np.array_equal(np.asarray(large)[::4, ::4], np.asarray(last))


def test_a_picture_is_traced_as_svg(studio: Studio) -> None:
    pytest.importorskip("vtracer")
    assert "svg" in studio.get("/api/model").json()["files"]
    [picture] = pictures(studio.draw(prompt="a red apple", steps=2))
    reply = studio.get(f"/api/pictures/{picture['file'].replace('.png', '.svg')}")
    assert reply.status == 200
    assert reply.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(reply.body)
    assert (root.tag, root.get("width")) == ("{http://www.w3.org/2000/svg}svg", "64")
    assert studio.get("/api/pictures/20260101-000000-00000000.svg").status == 404


def test_svg_is_not_offered_without_the_tracer(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    [picture] = pictures(studio.draw(prompt="a red apple", steps=2))
    for module in ("studio.settings", "imaging.vector"):
        monkeypatch.setattr(f"undiffuse.{module}.find_spec", lambda name: None)
    assert "svg" not in studio.get("/api/model").json()["files"]
    reply = studio.get(f"/api/pictures/{picture['file'].replace('.png', '.svg')}")
    assert reply.status == 400
    assert "undiffuse[svg]" in reply.json()["error"]["message"]


SETTINGS: list[dict[str, Any]] = [
    {"prompt": "a red apple", "seed": 7},
    {"prompt": "man + 0.8 hat - beard", "steps": 3, "style": "noto", "guidance": 2.5},
    {"prompt": "cat", "sampler": "blend", "freshness": 0.0, "steps": 4, "index": 2},
    {"prompt": "cat", "sampler": "ddim", "freshness": 0.375, "steps": 4, "style": ""},
    {"prompt": '-x\'s "cat"', "negative": "-a beard", "steps": 2, "style_strength": 0.5},
    {"prompt": "", "steps": 2, "guidance": -1.5},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings["prompt"])
def test_the_files_are_those_of_the_command_line_and_of_python(
    studio: Studio, model_folder: Path, run: Run, tmp_path: Path, settings: dict[str, Any]
) -> None:
    event = pictures(studio.draw(**settings))[0]
    kept = (studio.folder / event["file"]).read_bytes()
    assert kept == png_of(event)
    words = shlex.split(event["command"])
    assert words[:2] == ["undiffuse", "draw"]
    assert run(*words[1:2], "-o", "x.png", *words[2:], model=None)[0] == 0
    assert (tmp_path / "x.png").read_bytes() == kept
    exec(event["python"], {})
    assert (tmp_path / "picture.png").read_bytes() == kept
    again = studio.post("/api/draw", event["settings"] | {"keep": False}).events()
    assert png_of(pictures(again)[0]) == kept
    assert pictures(again)[0]["file"] is None


def test_uploads_steer_begin_and_mask_a_picture(
    studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {}
    half = np.repeat(np.uint8([[0], [255]]), 40, 0).repeat(80, 1)
    file = io.BytesIO()
    Image.fromarray(half).save(file, "PNG")
    for name, data in {"init": image_file("JPEG"), "mask": file.getvalue(),
                       "like": image_file("WEBP", "blue")}.items():  # fmt: skip
        reply = studio.call("POST", "/api/upload", data, content_type="image/png")
        assert reply.status == 201, reply.body
        names[name] = reply.json()["name"]
        assert studio.get(f"/api/{names[name]}").headers["content-type"] == "image/png"
    monkeypatch.chdir(studio.folder)
    event = pictures(studio.draw(
        prompt=f"cat + {names['like']}", steps=3, init=names["init"], mask=names["mask"],
        like=[names["like"]], strength=0.9,
    ))[0]  # fmt: skip
    kept = (studio.folder / event["file"]).read_bytes()
    assert event["record"]["start"] == names["init"]  # no path of this machine
    assert str(studio.folder) not in str(event["record"])
    top = np.asarray(Image.open(io.BytesIO(kept)).convert("RGB"))[:100]
    assert (abs(top.astype(int) - (254, 0, 0)) < 3).all()  # JPEG's red
    words = shlex.split(event["command"])
    assert run(*words[1:], "-o", "x.png", "--overwrite", model=None)[0] in (0, 2)
    monkeypatch.chdir(studio.folder)
    replayed = pictures(studio.call("POST", f"/api/pictures/{event['file'][:-4]}/replay").events())
    assert replayed[0]["same"] is True
    studio.state.gallery.delete(event["file"][:-4])


def test_a_form_uploads_too(studio: Studio) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="../../x.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + image_file() + b"\r\n--b--\r\n"
    )
    kind = "multipart/form-data; boundary=b"
    reply = studio.call("POST", "/api/upload", body, content_type=kind)
    assert reply.status == 201
    assert reply.json()["name"].startswith("uploads/")


def test_a_replay_is_the_same_and_a_changed_picture_is_not(studio: Studio) -> None:
    name = pictures(studio.draw(prompt="cat", steps=2))[0]["file"]
    path, stem = studio.folder / name, name.removesuffix(".png")
    same = pictures(studio.call("POST", f"/api/pictures/{stem}/replay").events())[0]
    assert (same["same"], same["changes"]) == (True, [])
    pixels, record = read_png(path)
    from undiffuse.imaging.png import encode_png

    path.write_bytes(encode_png(255 - pixels, record))
    other = pictures(studio.call("POST", f"/api/pictures/{stem}/replay").events())[0]
    assert other["same"] is False


def test_a_picture_comes_as_webp_and_its_steps_as_gif(studio: Studio) -> None:
    name = pictures(studio.draw(prompt="cat", steps=6))[0]["file"].removesuffix(".png")
    png = Image.open(io.BytesIO(studio.get(f"/api/pictures/{name}.png").body))
    webp = Image.open(io.BytesIO(studio.get(f"/api/pictures/{name}.webp").body))
    assert np.array_equal(np.asarray(png), np.asarray(webp.convert("RGB")))
    gif = Image.open(io.BytesIO(studio.get(f"/api/pictures/{name}.gif").body))
    assert gif.n_frames == 6
    about = studio.get(f"/api/pictures/{name}").json()
    assert about["record"] == read_png(studio.folder / f"{name}.png")[1]
    assert about["command"].startswith("undiffuse draw ")


def test_what_the_user_should_know_comes_with_the_picture(studio: Studio) -> None:
    events = studio.draw(prompt="", steps=1)
    assert pictures(events)[0]["notes"] == ["the prompt is empty: the picture is random"]


def test_an_error_while_drawing_is_the_last_event(studio: Studio) -> None:
    events = studio.draw(prompt="cat - cat", steps=1, style="")
    assert events[-1]["type"] == "error"
    assert "cat - cat" in events[-1]["message"] or "zero" in events[-1]["message"]


@pytest.mark.slow
def test_a_long_drawing_shows_evenly_spaced_steps(studio: Studio) -> None:
    steps = [
        e["step"] for e in studio.draw(prompt="", steps=250, keep=False) if e["type"] == "step"
    ]
    assert len(steps) == 100
    assert steps[-1] == 250
    assert set(np.diff(steps)) == {2, 3}


WRONG: list[tuple[Any, str]] = [
    ([], "no JSON object"),
    ({"promt": "x"}, "'promt' is unknown"),
    ({"steps": "3"}, "give a whole number"),
    ({"steps": True}, "give a whole number"),
    ({"steps": 0}, "give 1 to 1000"),
    ({"count": 5}, "give 1 to 4"),
    ({"seed": -1}, "seed=-1"),
    ({"seed": 2**64}, "seed="),
    ({"guidance": 1e999}, "finite"),
    ({"sampler": "magic"}, "magic"),
    ({"style": "cubist"}, "cubist"),
    ({"sampler": "euler", "freshness": 1}, "no freshness"),
    ({"size": 65}, "64x64"),
    ({"prompt": "x" * 1001}, "1001 characters"),
    ({"prompt": '"open'}, "unclosed"),
    ({"prompt": "\ud800"}, "UTF-8"),
    ({"prompt": "cat + /etc/passwd.png"}, "is no upload"),
    ({"negative": "../x.png"}, "is no upload"),
    ({"like": ["uploads/../../x.png"]}, "is no upload"),
    ({"like": [1]}, "is no upload"),
    ({"init": "/etc/passwd"}, "is no upload"),
    ({"mask": "uploads/0123456789abcdef.png"}, "give init"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_setting_is_named(studio: Studio, settings: Any, message: str) -> None:
    reply = studio.post("/api/draw", settings)
    assert reply.status == 400
    assert message in reply.json()["error"]["message"]


def test_an_upload_that_is_gone_is_not_found(studio: Studio) -> None:
    reply = studio.post("/api/draw", {"init": "uploads/0123456789abcdef.png"})
    assert reply.status == 404


def test_the_model_is_described(studio: Studio) -> None:
    about = studio.get("/api/model").json()
    assert (about["size"], about["channels"]) == (64, 3)
    assert about["defaults"]["sampler"] in about["samplers"]
    assert about["limits"]["count"] == [1, 4]
