"""The command line as a person meets it: what is drawn, where it goes, what is said."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Run
from undiffuse.cli.output_paths import slug
from undiffuse.imaging import png


def files() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_a_prompt_is_drawn(run: Run) -> None:
    assert run("a red apple", "--steps", "3") == (0, ["a-red-apple.png"], "")
    pixels, record = png.read_png(Path("a-red-apple.png"))
    assert pixels.shape == (256, 256, 3)
    assert (record["prompt"], record["steps"]) == ("a red apple", 3)
    assert files() == {"a-red-apple.png"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("draw", "a red apple", "--steps", "2", "--seed", "7"),
        ("a red apple", "--steps", "2", "--seed", "7"),
        ("--steps", "2", "--seed=7", "a red apple"),
        ("--steps=2", "a", "red", "apple", "--seed", "7"),
        ("--seed", "7", "--steps", "2", "--", "a red apple"),
    ],
)
def test_options_may_stand_anywhere(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[:2] == (0, ["a-red-apple.png"])
    _, record = png.read_png(Path("a-red-apple.png"))
    assert (record["prompt"], record["seed"], record["steps"]) == ("a red apple", 7, 2)


def test_several_pictures_and_a_grid(run: Run) -> None:
    status, out, _ = run("cats", "-n", "3", "--grid", "-o", "some.png", "--steps", "2")
    assert (status, out) == (0, ["some-1.png", "some-2.png", "some-3.png", "some-grid.png"])
    assert files() == set(out)
    single = run("cats", "-o", "one.png", "--steps", "2")
    assert single[1] == ["one.png"]
    assert Path("one.png").read_bytes() == Path("some-1.png").read_bytes()
    assert Path("one.png").read_bytes() != Path("some-2.png").read_bytes()
    assert Image.open("some-grid.png").size == (2 * 260 + 4, 2 * 260 + 4)


def test_nothing_is_written_over_unasked(run: Run) -> None:
    names = [run("cats", "--steps", "1")[1] for _ in range(3)]
    assert names == [["cats.png"], ["cats-2.png"], ["cats-3.png"]]
    assert run("cats", "--steps", "1", "-n", "2")[1] == ["cats-4.png", "cats-5.png"]
    before = Path("cats.png").read_bytes()
    for more in ((), ("-n", "3"), ("--trace", "cats.png")):
        out = "cats.png" if "-n" in more or not more else "new.png"
        status, lines, err = run("dogs", "-o", out, *more)
        assert (status, lines) == (2, [])
        assert "is there already" in err
        assert err.count("\n") == 1
    assert Path("cats.png").read_bytes() == before
    assert run("dogs", "--steps", "1", "-o", "cats.png", "--overwrite")[0] == 0
    assert Path("cats.png").read_bytes() != before


def test_into_a_folder(run: Run) -> None:
    Path("out").mkdir()
    assert run("ein Äpfel!", "--steps", "1", "-o", "out")[1] == ["out/ein-apfel.png"]
    assert run("яблоко", "--steps", "1", "-o", "out")[1] == ["out/picture.png"]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A Red Apple!", "a-red-apple"),
        ("../../etc/passwd", "etc-passwd"),
        ("-o x", "o-x"),
        ("☕", "picture"),
        ("", "picture"),
        ("word " * 40, "word-word-word-word-word-word-word-word-word-wor"),
    ],
)
def test_a_prompt_makes_a_harmless_name(prompt: str, name: str) -> None:
    assert slug(prompt) == name


def test_what_one_should_know_is_said_on_stderr(run: Run) -> None:
    assert run("", "--steps", "1")[1:] == (
        ["picture.png"],
        "undiffuse: the prompt is empty: the picture is unsteered, some picture or other\n",
    )
    assert "cut off" in run("a" * 60, "--steps", "1")[2]


def test_a_bar_where_a_person_looks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("cats", "--steps", "3")[2] == ""
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True, raising=False)
    _, out, err = run("cats", "--steps", "3")
    assert "3/3" in err
    assert out == ["cats-2.png"]


@pytest.mark.parametrize(
    ("name", "kind", "frames"),
    [("t.png", "PNG", 1), ("t.gif", "GIF", 12), ("t.apng", "PNG", 12), ("t.WEBP", "WEBP", 12)],
)
def test_a_trace_shows_the_steps(run: Run, name: str, kind: str, frames: int) -> None:
    arguments = ("cats", "-n", "2", "--steps", "12", "--sampler", "blend", "--trace", name)
    status, out, _ = run(*arguments)
    assert (status, out) == (0, ["cats-1.png", "cats-2.png", name])
    with Image.open(name) as image:
        assert image.format == kind
        assert getattr(image, "n_frames", 1) == frames
        shown = np.asarray(image.convert("RGB"))
    if frames > 1:
        assert shown.shape[1] == 2 * 4 * 64


def test_a_long_trace_is_thinned_and_ends_with_the_picture(model_folder: Path) -> None:
    from undiffuse import load
    from undiffuse.pipeline.trace import MOST, Trace

    trace = Trace(Path("t.gif"))
    for look in load(model_folder).steps("cats", steps=150):
        trace.add(look)
    assert len(trace.frames) == MOST
    assert np.array_equal(trace.frames[-1].x_t, look.x_t()[0])
    assert trace.frames[-1].label == "100% picture + 0% noise"


WRONG = {
    "steps": (("--steps", "0"), "--steps"),
    "no number": (("--steps", "many"), "'many' is not a valid integer"),
    "seed": (("--seed", "-1"), "--seed"),
    "count": (("-n", "0"), "-n"),
    "guidance": (("--guidance", "nan"), "guidance=nan"),
    "sampler": (("--sampler", "magic"), "choose one of blend, ddpm"),
    "style": (("--style", "cubist"), "choose one of noto, twemoji"),
    "option": (("--stpes", "3"), "--steps"),
    "folder": (("-o", "none/a.png"), "can't be written"),
    "suffix": (("-o", "a.jpg"), ".png"),
    "system": (("-o", "/proc/a.png"), "can't be written"),
    "trace": (("--trace", "none/a.gif"), "can't be written"),
    "trace's suffix": (("--trace", "a.mp4"), ".gif"),
    "trace's name": (("-o", "a.png", "--trace", "a.png"), "another"),
    "model": (("--model", "none"), "no weight file"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line_and_status_2(run: Run, what: str) -> None:
    arguments, said = WRONG[what]
    status, out, err = run("cats", *arguments, **({"model": None} if what == "model" else {}))
    assert (status, out) == (2, [])
    assert said in err
    assert err.count("\n") == 1
    assert files() == set()


def test_paths_are_tried_before_anything_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "undiffuse.pipeline", None)  # importing it fails
    assert "can't be written" in run("cats", "-o", "none/a.png")[2]


def test_help_and_version(run: Run) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        status, out, _ = run(*arguments, model=None)
        assert status == 0
        assert any("draw" in line for line in out)
    assert "0.1.0" in run("--version", model=None)[1][0]
    assert "--trace" in "".join(run("draw", "--help", model=None)[1])
    assert "Missing argument 'PROMPT" in run("draw", model=None)[2]
    status, _, err = run("train", model=None)
    assert (status, err.count("clip") > 0, err.count("\n") > 5) == (2, True, True)


def test_graphs_are_made_by_a_command(run: Run, model_folder: Path) -> None:
    status, out, _ = run("train", "graphs", str(model_folder), "-o", "here", model=None)
    assert status == 0
    assert [Path(line).name for line in out] == [
        "clip_text.onnx", "clip_image.onnx", "codec_encode.onnx", "codec_decode.onnx",
        "denoiser.onnx",
    ]  # fmt: skip
    made = Path("here/graphs/denoiser.onnx").read_bytes()
    assert made == (model_folder / "graphs" / "denoiser.onnx").read_bytes()


def test_steering_by_pictures_is_drawn_and_replayed(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (90, 40), "red").save("a.png")
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 30, 64))
    mask.save("mask.png")
    words = ("--from", "a.png", "--mask", "mask.png", "--negative", "hat", "--like", "a.png")
    status, out, err = run("draw", "cat - dog", *words, "--steps", "3", "-o", "x.png")
    assert (status, out, err) == (0, ["x.png"], "")
    assert run("replay", "x.png")[:2] == (0, ["the same, pixel for pixel"])
    Image.new("RGB", (90, 40), "blue").save("a.png")
    status, out, _ = run("replay", "x.png")
    assert status == 1
    assert any(line.startswith("files: ") for line in out)
    Path("a.png").unlink()
    assert "a.png can't be read" in run("replay", "x.png")[2]


@pytest.mark.parametrize("name", ["way.png", "way.gif", "way.apng", "way.webp"])
def test_the_way_between_two_prompts(run: Run, name: str) -> None:
    from PIL import Image

    status, out, _ = run("between", "cat", "dog - hat", "-n", "3", "-o", name)
    assert (status, out) == (0, [name])
    with Image.open(name) as image:
        frames = getattr(image, "n_frames", 1)
        assert (image.width > 3 * 128) if name == "way.png" else frames == 3
    assert "is there" in run("between", "cat", "dog", "-o", name)[2]


def test_ways_that_are_refused(run: Run) -> None:
    assert "ends in .png" in run("between", "cat", "dog", "-o", "x.txt")[2]
    assert "on one line" in run("between", "cat", "cat", "-o", "x.png")[2]
